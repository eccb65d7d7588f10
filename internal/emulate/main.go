//go:build linux && amd64

// Command emulate runs a static Linux program on an emulated Intel Sapphire
// Rapids, for the instructions that few machines have: AMX and AVX512-FP16. It
// is what scripts/sapphire-rapids.sh calls; that script says how to use it, and
// gets Bochs and a kernel from Debian.
//
// There is no BIOS and no boot loader: the kernel, its parameters and the first
// file system are put into the emulated memory, and 80 bytes of ROM jump there.
// The emulator so spends no time on them, and not on unpacking the kernel.
//
// The same binary is the first process inside.
package main

import (
	"fmt"
	"os"
)

func main() {
	var err error
	switch {
	case os.Getpid() == 1:
		guest()
	case len(os.Args) == 3 && os.Args[1] == "prepare":
		err = prepare(os.Args[2])
	case len(os.Args) >= 4 && os.Args[1] == "run":
		var code int
		if code, err = run(os.Args[2], os.Args[3], os.Args[4:]); err == nil {
			os.Exit(code)
		}
	default:
		err = fmt.Errorf("usage: emulate prepare FOLDER | run FOLDER PROGRAM [ARGUMENT ...]")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "emulate:", err)
		os.Exit(3)
	}
}
