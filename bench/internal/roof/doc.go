// Package roof holds the two loops that a machine's roofline is measured with,
// one that only reads memory and one that only multiplies and adds, and those that
// tell what state it is in.
//
// They are as fast as the processor allows, so that no computation on the same
// number of threads reads or calculates faster. Where there is no assembly for
// the processor, plain Go stands in, which is slower; [Level] tells.
package roof

import "unsafe"

// Read reads a and b, of the same length, as two interleaved streams: two keep
// more cache lines under way than one. With prefetch, lines are also asked for
// 1 KiB ahead, which helps on processors whose own prefetcher is timid.
func Read(a, b []byte, prefetch bool) {
	n := min(len(a), len(b)) / block * block
	if n == 0 {
		return
	}
	read(a[:n], b[:n], prefetch)
}

// block is the number of bytes of a stream in one turn of the loop.
const block = 128

// MulAdd does n turns of independent float32 multiply-adds and returns the
// number of floating-point operations, two for each multiply-add.
func MulAdd(n int) float64 { return turns(n, mulAdd) }

// LoadMulAdd is MulAdd with an operand of each multiply-add loaded from the first-level
// cache. It is 0 where there is no assembly.
func LoadMulAdd(n int) float64 {
	return turns(n, func(n int) int { return loadMulAdd(&operand[0], n) })
}

// operand is what loops load, from the start of a cache line on: a tile, the largest.
var operand = func() []byte {
	const line, size = 64, 1 << 10
	mem := make([]byte, size+line)
	skip := int(-uintptr(unsafe.Pointer(&mem[0])) % line)
	return mem[skip : skip+size]
}()

// Chain does n turns of register additions of which each waits for the one before, one
// in a cycle, and Adds of such that do not: as many in a cycle as the processor starts
// and has adders for. Both return the number of additions, 0 where there is no assembly.
//
// A core shared with a busy hyperthread starts half as many instructions, which
// MulAdd hardly feels, and Chain not at all.
func Chain(n int) float64 { return turns(n, chained) }

// Adds is the other one; see Chain.
func Adds(n int) float64 { return turns(n, added) }

// turns runs a loop n times and returns what that was; the loops themselves end at
// exactly no turns left.
func turns(n int, loop func(n int) int) float64 {
	if n < 1 {
		return 0
	}
	return float64(n) * float64(loop(n))
}

// TileMulAdd and LoadTileMulAdd are MulAdd and LoadMulAdd with the bfloat16 tiles of
// AMX, which the process must have been allowed to use: package kernels/cpu asks.
func TileMulAdd(n int) float64 { return tiles(n, false) }

// LoadTileMulAdd is the one that loads; see TileMulAdd.
func LoadTileMulAdd(n int) float64 { return tiles(n, true) }

// Level names what runs the loops, such as "AVX2" or "Go".
func Level() string { return level() }
