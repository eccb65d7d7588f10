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
)

// What lies where in the emulated memory. The kernel's place is what it is
// linked for; the page in front of it holds the address to start it at.
const (
	romAt    = 0xf0000
	entryAt  = kernelAt - 4096
	kernelAt = 16 << 20
	paramsAt = 128 << 20
	initrdAt = paramsAt + 8192
)

const commandLine = "console=ttyS0,115200 8250.nr_uarts=1 quiet acpi=off tsc=reliable no_timer_check mitigations=off" +
	// Half of the time until the first process: checks of signatures and of
	// random numbers, and types for BPF.
	" cryptomgr.notests initcall_blacklist=load_system_certificate_list,jent_mod_init,bpf_tcp_ca_kfunc_init"

// unpackKernel writes the memory that a kernel image unpacks itself to. What it
// reads of the image is in "The Linux/x86 Boot Protocol", as are the parameters
// further down.
func unpackKernel(image, to string) error {
	data, err := os.ReadFile(image)
	if err != nil {
		return err
	}
	if len(data) < 0x250 || string(data[0x202:0x206]) != "HdrS" {
		return fmt.Errorf("%s is not a kernel", image)
	}
	start := (int(data[0x1f1])+1)*512 + int(binary.LittleEndian.Uint32(data[0x248:]))
	end := start + int(binary.LittleEndian.Uint32(data[0x24c:])) - 4 // the size unpacked
	if start > end || end > len(data) {
		return fmt.Errorf("%s is cut off", image)
	}
	tool := "xz"
	if bytes.HasPrefix(data[start:], []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		tool = "zstd"
	}
	cmd := exec.Command(tool, "-dc")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(data[start:end]), os.Stderr
	unpacked, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("unpacking %s with %s: %w", image, tool, err)
	}
	f, err := elf.NewFile(bytes.NewReader(unpacked))
	if err != nil {
		return err
	}
	memory := make([]byte, paramsAt-entryAt)
	binary.LittleEndian.PutUint64(memory, f.Entry)
	used := 0
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		if p.Paddr < kernelAt || p.Paddr+p.Memsz > paramsAt || p.Filesz > p.Memsz {
			return fmt.Errorf("%s has a part at %#x, which is no place for it", image, p.Paddr)
		}
		at := int(p.Paddr - entryAt)
		if _, err := p.ReadAt(memory[at:at+int(p.Filesz)], 0); err != nil {
			return err
		}
		used = max(used, at+int(p.Memsz))
	}
	if used == 0 {
		return errors.New("the kernel has no parts")
	}
	return os.WriteFile(to, memory[:used], 0o644)
}

// rom returns what the emulated processor runs first, in 16-bit mode, from 16
// bytes below its end. It enters 64-bit mode, the first 4 GiB of memory mapped
// as they are, and starts the kernel with its parameters.
func rom() []byte {
	const (
		mapAt   = 0x0000 // two tables of 4 KiB
		gdtAt   = 0x2000
		gdtrAt  = 0x2040
		startAt = 0x2080
		longAt  = 0x2100
		jump    = startAt - 0xfff3 + 1<<16
	)
	rom := make([]byte, 64<<10)
	le := binary.LittleEndian

	// The processor cannot mark in ROM what it used, so all is marked already.
	le.PutUint64(rom[mapAt:], romAt+mapAt+4096|0x23)
	for i := range 4 {
		le.PutUint64(rom[mapAt+4096+8*i:], uint64(i)<<30|0xe3)
	}
	le.PutUint64(rom[gdtAt+0x10:], 0x00af9b000000ffff) // code
	le.PutUint64(rom[gdtAt+0x18:], 0x00cf93000000ffff) // data
	le.PutUint16(rom[gdtrAt:], 0x1f)
	le.PutUint32(rom[gdtrAt+2:], romAt+gdtAt)

	copy(rom[0xfff0:], []byte{0xe9, jump & 0xff, jump >> 8}) // jmp start
	copy(rom[startAt:], []byte{
		0xfa,                                                     // cli
		0x2e, 0x66, 0x0f, 0x01, 0x16, gdtrAt & 0xff, gdtrAt >> 8, // lgdt cs:[gdtr]
		0x66, 0xb8, 0x20, 0, 0, 0, 0x0f, 0x22, 0xe0, // cr4 = PAE
		0x66, 0xb8, 0, 0, romAt >> 16, 0, 0x0f, 0x22, 0xd8, // cr3 = map
		0x66, 0xb9, 0x80, 0, 0, 0xc0, // ecx = EFER
		0x66, 0xb8, 0, 1, 0, 0, 0x66, 0x31, 0xd2, 0x0f, 0x30, // wrmsr: LME
		0x66, 0xb8, 0x33, 0, 0, 0x80, 0x0f, 0x22, 0xc0, // cr0 = PG NE ET MP PE
		0x66, 0xea, longAt & 0xff, longAt >> 8, romAt >> 16, 0, 0x10, 0, // jmp 0x10:long
	})
	copy(rom[longAt:], []byte{
		0xb8, 0x18, 0, 0, 0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, // ds = es = ss = 0x18
		0xbe, 0, 0, 0, paramsAt >> 24, // esi = parameters
		0xff, 0x24, 0x25, 0, entryAt >> 8 & 0xff, entryAt >> 16, 0, // jmp [entry]
	})
	return rom
}

// bootParams returns the "zero page" of the boot protocol and, behind it, the
// command line.
func bootParams(memory, initrd int) []byte {
	page := make([]byte, initrdAt-paramsAt)
	le := binary.LittleEndian
	le.PutUint16(page[0x1fe:], 0xaa55)
	copy(page[0x202:], "HdrS")
	le.PutUint16(page[0x206:], 0x20f)
	page[0x210] = 0xff // an unknown boot loader
	page[0x211] = 1    // LOADED_HIGH
	le.PutUint32(page[0x218:], initrdAt)
	le.PutUint32(page[0x21c:], uint32(initrd))
	le.PutUint32(page[0x228:], paramsAt+4096)
	le.PutUint32(page[0x230:], 2<<20) // kernel_alignment
	le.PutUint32(page[0x238:], 2047)  // the longest command line
	ranges := [][2]int{{0, 0x9f000}, {1 << 20, memory}}
	page[0x1e8] = byte(len(ranges))
	for i, r := range ranges {
		entry := page[0x2d0+20*i:]
		le.PutUint64(entry, uint64(r[0]))
		le.PutUint64(entry[8:], uint64(r[1]-r[0]))
		le.PutUint32(entry[16:], 1)
	}
	copy(page[4096:], commandLine)
	return page
}
