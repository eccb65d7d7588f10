//go:build !race

package tokenizer_test

import "testing"

// Under the race detector sync.Pool drops what it holds at random, hence the build tag.

func TestAppendEncodeDoesNotAllocate(t *testing.T) {
	tok := fromModel(t, ".")
	dst := tok.Encode(english)
	if n := testing.AllocsPerRun(100, func() { dst = tok.AppendEncode(dst[:0], english) }); n >= 1 {
		t.Errorf("%v allocations a call", n)
	}
}
