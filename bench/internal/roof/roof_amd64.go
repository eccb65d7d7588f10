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

func loadMulAdd(mem *byte, n int) int {
	switch {
	case avx512:
		loadMulAdd512(mem, n)
		return 12 * 16 * 2
	case avx2:
		loadMulAdd256(mem, n)
		return 12 * 8 * 2
	}
	return 0
}

func chained(n int) int {
	chain(n)
	return 16
}

func added(n int) int {
	adds(n)
	return 40
}

// tileConfig is eight tiles of 16 rows of 64 bytes (Intel manual, volume 1, 18.2).
var tileConfig = func() (c [64]byte) {
	c[0] = 1 // the palette
	for i := range 8 {
		c[16+2*i], c[48+i] = 64, 16
	}
	return c
}()

func tiles(n int, load bool) float64 {
	if n < 1 || !cpu.X86.HasAMXBF16 {
		return 0
	}
	if load {
		loadTileMulAdd(&tileConfig[0], &operand[0], n)
	} else {
		tileMulAdd(&tileConfig[0], &operand[0], n)
	}
	return float64(n) * 12 * 16 * 16 * 32 * 2
}

// tileMulAdd does n times twelve TDPBF16PS of 16 × 16 × 32 products.
//
//go:noescape
func tileMulAdd(config, tile *byte, n int)

// loadTileMulAdd loads one of the tiles of each before it.
//
//go:noescape
func loadTileMulAdd(config, tile *byte, n int)

// chain does n times sixteen ADDQ, one after the other.
func chain(n int)

// adds does n times forty ADDQ of ten registers.
func adds(n int)

// loadMulAdd256 loads one operand of each VFMADD231PS before it.
//
//go:noescape
func loadMulAdd256(mem *byte, n int)

// loadMulAdd512 is loadMulAdd256 with sixteen lanes.
//
//go:noescape
func loadMulAdd512(mem *byte, n int)

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
