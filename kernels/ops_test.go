package kernels_test

import (
	"errors"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
)

// TestCacheFormats: a cache is measured by its format, and has one of two.
func TestCacheFormats(t *testing.T) {
	const capacity, dim = 3, 4
	view := func(n int) kernels.View { return kernels.Whole(memory(make([]byte, n))) }
	a := &kernels.Attention{QueryHeads: 2, KVHeads: 1, HeadDim: dim, Rope: view(4 * capacity * dim)}
	for _, c := range []struct {
		format kernels.Format
		bytes  int
		ok     bool
	}{
		{0, 4, true}, {kernels.F32, 4, true}, {kernels.F16, 2, true},
		{0, 2, false}, {kernels.F32, 2, false}, {kernels.F16, 1, false},
		{kernels.BF16, 4, false}, {kernels.Q8_0, 4, false}, {200, 4, false},
	} {
		v := view(c.bytes * capacity * dim)
		err := a.Validate([]kernels.Span{{Keys: v, Values: v, Format: c.format, Capacity: capacity, Rows: 1}})
		if (err == nil) != c.ok || err != nil && !errors.Is(err, kernels.ErrShape) {
			t.Errorf("a cache in %s with %d bytes an element: got error %v", c.format, c.bytes, err)
		}
	}
}
