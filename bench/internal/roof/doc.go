// Package roof holds the two loops that a machine's roofline is measured with:
// one that only reads memory, and one that only multiplies and adds.
//
// They are as fast as the processor allows, so that no computation on the same
// number of threads reads or calculates faster. Where there is no assembly for
// the processor, plain Go stands in, which is slower; [Level] tells.
package roof

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
func MulAdd(n int) float64 {
	if n < 1 {
		return 0
	}
	return float64(n) * float64(mulAdd(n))
}

// Level names what runs the loops, such as "AVX2" or "Go".
func Level() string { return level() }
