package roof

import "unsafe"

func level() string { return "NEON" }

func read(a, b []byte, prefetch bool) {
	if prefetch {
		readAhead(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
		return
	}
	readPlain(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
}

func mulAdd(n int) int {
	mulAddNEON(n)
	return 24 * 4 * 2
}

func loadMulAdd(mem *byte, n int) int {
	loadMulAddNEON(mem, n)
	return 24 * 4 * 2
}

func chained(n int) int {
	chain(n)
	return 16
}

func added(n int) int {
	adds(n)
	return 48
}

func tiles(int, bool) float64 { return 0 }

// chain does n times sixteen ADD, one after the other.
func chain(n int)

// adds does n times forty-eight ADD of twelve registers.
func adds(n int)

// loadMulAddNEON loads one operand of each FMLA before it, two at a time.
//
//go:noescape
func loadMulAddNEON(mem *byte, n int)

// readPlain reads n bytes, a positive multiple of block, at each of a and b.
//
//go:noescape
func readPlain(a, b *byte, n int)

// readAhead is readPlain with prefetches.
//
//go:noescape
func readAhead(a, b *byte, n int)

// mulAddNEON does n times twenty-four FMLA of four lanes: Apple's cores start
// four a cycle, each of which takes four.
//
//go:noescape
func mulAddNEON(n int)
