package roof

import "unsafe"

// sink keeps the compiler from removing loops whose result nobody needs.
var sink struct {
	word uint64
	sum  float32
}

// readGo reads a and b, whose length is a multiple of block, in words.
func readGo(a, b []byte) {
	x := unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(a))), len(a)/8)
	y := unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/8)
	var s0, s1, s2, s3 uint64
	for i := 0; i+4 <= len(x) && i+4 <= len(y); i += 4 {
		s0 |= x[i] | y[i]
		s1 |= x[i+1] | y[i+1]
		s2 |= x[i+2] | y[i+2]
		s3 |= x[i+3] | y[i+3]
	}
	if s := s0 | s1 | s2 | s3; s == 1 { // hardly ever: many threads write here
		sink.word = s
	}
}

// mulAddGo does n turns of eight multiply-adds and returns the operations of
// one turn.
func mulAddGo(n int) int {
	var s [8]float32
	m, c := float32(0.5), float32(n)
	for range n {
		s[0] = s[0]*m + c
		s[1] = s[1]*m + c
		s[2] = s[2]*m + c
		s[3] = s[3]*m + c
		s[4] = s[4]*m + c
		s[5] = s[5]*m + c
		s[6] = s[6]*m + c
		s[7] = s[7]*m + c
	}
	if s[0]+s[1]+s[2]+s[3]+s[4]+s[5]+s[6]+s[7] == 1 {
		sink.sum = 1
	}
	return 16
}
