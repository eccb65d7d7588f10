//go:build linux && amd64

// Command emulate runs a static Linux program on an emulated Intel Sapphire
// Rapids, for the instructions that few machines have: AMX and AVX512-FP16.
// scripts/sapphire-rapids.sh calls it, gets what it needs and says how to use it.
//
// The emulator is Bochs. There is no BIOS, no boot loader and no disk: the
// kernel, its parameters and the first file system are put into the emulated
// memory, and a few bytes of ROM start the kernel; that takes no time. The first
// process inside is this command, too.
package main

import (
	"errors"
	"fmt"
	"os"
)

func main() {
	code, err := 0, error(nil)
	switch {
	case os.Getpid() == 1:
		guest()
	case len(os.Args) == 4 && os.Args[1] == "kernel":
		err = unpackKernel(os.Args[2], os.Args[3])
	case len(os.Args) >= 4 && os.Args[1] == "run":
		code, err = run(os.Args[2], os.Args[3], os.Args[4:])
	default:
		err = errors.New("usage: emulate kernel VMLINUZ FILE | run FOLDER PROGRAM [ARGUMENT ...]")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "emulate:", err)
		code = 125
	}
	os.Exit(code)
}
