//go:build linux && amd64

package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// The files that prepare and the script leave in the folder.
const (
	kernelFile = "kernel.ram"
)

// prepare makes what the packages under root hold fit to run: all that is the
// same for every run.
func prepare(dir string) error {
	images, err := filepath.Glob(filepath.Join(dir, "boot/vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return fmt.Errorf("one kernel is needed, found %q", images)
	}
	return unpackKernel(images[0], filepath.Join(dir, kernelFile))
}

// unpackKernel writes the memory that a kernel image unpacks itself to.
func unpackKernel(image, to string) error {
	data, err := os.ReadFile(image)
	if err != nil {
		return err
	}
	// See "The Linux/x86 Boot Protocol" in the kernel's documentation.
	if len(data) < 0x250 || string(data[0x202:0x206]) != "HdrS" {
		return fmt.Errorf("%s is not a kernel", image)
	}
	start := (int(data[0x1f1])+1)*512 + int(binary.LittleEndian.Uint32(data[0x248:]))
	end := start + int(binary.LittleEndian.Uint32(data[0x24c:])) - 4 // the size of the kernel unpacked
	if start > end || end > len(data) {
		return fmt.Errorf("%s is cut off", image)
	}
	payload := data[start:end]
	tool := "xz"
	if bytes.HasPrefix(payload, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		tool = "zstd"
	}
	cmd := exec.Command(tool, "-dc")
	cmd.Stdin = bytes.NewReader(payload)
	cmd.Stderr = os.Stderr
	unpacked, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("unpacking the kernel needs %s: install it", tool)
	} else if err != nil {
		return fmt.Errorf("unpacking the kernel with %s: %w", tool, err)
	}
	f, err := elf.NewFile(bytes.NewReader(unpacked))
	if err != nil {
		return err
	}
	memory := make([]byte, paramsAt-entryAt)
	binary.LittleEndian.PutUint64(memory, f.Entry)
	end = 0
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		if p.Paddr < kernelAt || p.Paddr+p.Memsz > paramsAt {
			return fmt.Errorf("%s has a part at %#x, which is no place for it", image, p.Paddr)
		}
		at := int(p.Paddr - entryAt)
		if _, err := p.ReadAt(memory[at:at+int(p.Filesz)], 0); err != nil {
			return err
		}
		end = max(end, at+int(p.Memsz))
	}
	return os.WriteFile(to, memory[:end], 0o644)
}
