package roof

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

var (
	avx2   = cpu.X86.HasAVX2 && cpu.X86.HasFMA
	avx512 = avx2 && cpu.X86.HasAVX512F
)

func level() string {
	switch {
	case avx512:
		return "AVX-512"
	case avx2:
		return "AVX2"
	}
	return "Go"
}

func read(a, b []byte, prefetch bool) {
	switch {
	case !avx2:
		readGo(a, b)
	case prefetch:
		readAhead(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	default:
		readPlain(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	}
}

func mulAdd(n int) int {
	switch {
	case avx512:
		mulAdd512(n)
		return 12 * 16 * 2
	case avx2:
		mulAdd256(n)
		return 12 * 8 * 2
	}
	return mulAddGo(n)
}

// readPlain reads n bytes, a positive multiple of block, at each of a and b.
//
//go:noescape
func readPlain(a, b *byte, n int)

// readAhead is readPlain with prefetches.
//
//go:noescape
func readAhead(a, b *byte, n int)

// mulAdd256 does n times twelve VFMADD231PS of eight lanes: four cycles of
// latency and two a cycle need eight independent sums.
//
//go:noescape
func mulAdd256(n int)

// mulAdd512 is mulAdd256 with sixteen lanes.
//
//go:noescape
func mulAdd512(n int)
