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
	if err := keepTiles(unpacked, f); err != nil {
		return fmt.Errorf("%s: %w", image, err)
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

// keepTiles makes the kernel save the tiles of every process. It wants to do so
// only for those that used them, which the processor tells it by a fault (XFD)
// that Bochs does not have; without it, Linux uses no tiles at all. In
// fpu__init_system_xstate it takes bit 18 out of two masks, of what it may save
// and of what it does by default: these are the only such instructions there.
func keepTiles(kernel []byte, f *elf.File) error {
	section := f.Section(".init.text")
	if section == nil {
		return errors.New("no .init.text")
	}
	const without18 = "\xff\xff\xfb\xff"
	code := kernel[section.Offset : section.Offset+section.Size]
	found := 0
	for i := 7; i+4 <= len(code); i++ {
		inMemory := code[i-6] == 0x81 && code[i-5] == 0x25 // and $imm, disp(%rip)
		inRAX := code[i-2] == 0x48 && code[i-1] == 0x25    // and $imm, %rax
		if string(code[i:i+4]) == without18 && (inMemory || inRAX) {
			code[i+2] = 0xff
			found++
		}
	}
	if found != 2 {
		return fmt.Errorf("%d places where the kernel leaves out the tiles, want 2: another kernel may do", found)
	}
	return nil
}
