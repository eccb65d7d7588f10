//go:build linux && amd64

package main

import "encoding/binary"

// What lies where in the emulated memory. The kernel's place is what it is
// linked for; the page in front of it holds the address to start it at.
const (
	romAt    = 0xf0000
	entryAt  = kernelAt - 4096
	kernelAt = 16 << 20
	paramsAt = 128 << 20
	initrdAt = paramsAt + 8192
)

// rom returns what the emulated processor runs first, in 16-bit mode, from 16
// bytes below its end. It enters 64-bit mode, the first 4 GiB of memory mapped
// as they are, and starts the kernel as the 64-bit boot protocol wants it.
func rom() []byte {
	const (
		mapAt   = 0x0000 // two tables of 4 KiB
		gdtAt   = 0x2000
		gdtrAt  = 0x2040
		startAt = 0x2080
		longAt  = 0x2100
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

	const jump = startAt - 0xfff3 + 1<<16
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
		0xbe, 0, 0, 0, paramsAt >> 24, // esi = params
		0xff, 0x24, 0x25, 0, entryAt >> 8 & 0xff, entryAt >> 16, 0, // jmp [entry]
	})
	return rom
}
