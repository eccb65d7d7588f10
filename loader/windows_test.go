package loader_test

import (
	"testing"

	"github.com/go-openelm/go-openelm/loader"
	"pgregory.net/rapid"
)

// TestWindows divides files of any tensors: each lies in one window of whole
// pages, no window is larger than a buffer unless one tensor is, and two
// neighbours never fit into one.
func TestWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const page = 16
		limit := page * rapid.Int64Range(1, 20).Draw(t, "pages")
		var off, size []int64
		at := int64(0)
		for range rapid.IntRange(1, 30).Draw(t, "tensors") {
			at += rapid.Int64Range(0, 40).Draw(t, "gap")
			n := rapid.Int64Range(1, 100).Draw(t, "size")
			off, size = append(off, at), append(size, n)
			at += n
		}
		for i := range off { // in any order
			j := rapid.IntRange(0, i).Draw(t, "swap")
			off[i], off[j], size[i], size[j] = off[j], off[i], size[j], size[i]
		}
		begin, end, in := loader.Windows(off, size, page, limit)
		seen := map[int]bool{}
		for i := range in {
			if begin[i]%page != 0 || end[i]%page != 0 || end[i]-begin[i] > limit && len(in[i]) > 1 {
				t.Fatalf("window %d to %d of %d tensors, limit %d", begin[i], end[i], len(in[i]), limit)
			}
			for _, k := range in[i] {
				if seen[k] || off[k] < begin[i] || off[k]+size[k] > end[i] {
					t.Fatalf("tensor of %d bytes at %d is twice there, or not in %d to %d", size[k], off[k], begin[i], end[i])
				}
				seen[k] = true
			}
			if i > 0 {
				k := in[i][0]
				if (off[k]+size[k]+page-1)/page*page-begin[i-1] <= limit {
					t.Fatalf("tensor %d has room in the window before", k)
				}
			}
		}
		if len(seen) != len(off) {
			t.Fatalf("%d of %d tensors are in windows", len(seen), len(off))
		}
	})
}
