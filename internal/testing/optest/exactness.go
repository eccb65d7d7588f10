package optest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
)

// promptRows are numbers of rows beyond kernels.ExactRows, around the sizes of
// tiles, taken from allPromptRows.
var promptRows = []int{17, 18, 23, 24, 31, 32, 33, 48, 65, 70}

const allPromptRows = 72

// decodeRows are the numbers of rows to run alone and in company: all up to
// ExactRows, or, in short runs (an emulated processor's), those at which kernels
// of one, two and four rows take turns.
func decodeRows() []int {
	if testing.Short() {
		return []int{1, 2, 3, 4, 7, kernels.ExactRows}
	}
	all := make([]int, kernels.ExactRows)
	for i := range all {
		all[i] = i + 1
	}
	return all
}

// Exactness holds two backends to what kernels.ExactRows promises, bit by bit: the
// first computes each row alone, or all rows of a prompt; the second some of them
// in random order and company. They may be one backend, or differ in what results
// must not depend on, as the number of threads. Attention is run with each of the
// formats of caches.
func Exactness(t *testing.T, reference, b kernels.Backend, caches ...kernels.Format) {
	ExactProducts(t, reference, b)
	ExactAttention(t, reference, b, caches...)
}

// ExactProducts is the part of Exactness that is products.
func ExactProducts(t *testing.T, reference, b kernels.Backend) {
	ops := []struct {
		name string
		run  rowsOp
	}{{"NormQKV", exactNormQKV}, {"NormLogits", exactNormLogits}, {"ProjAdd", exactProjAdd}, {"NormSwiGLU", exactNormSwiGLU}}
	for i, l := range Layouts() {
		for k, op := range ops {
			if testing.Short() && i%len(ops) != k {
				continue // one operation for each layout
			}
			name, op := op.name, op.run
			t.Run(name+"/"+l.String(), func(t *testing.T) {
				m := &maker{t: t, b: reference, rng: rand.New(rand.NewPCG(uint64(l.Format), uint64(l.Group+len(name))))}
				unit := l.UnitCols()
				random := func() rowsCase { return op(m, l, 1+m.rng.IntN(40), unit*(1+m.rng.IntN(max(2, 400/unit)))) }
				for _, n := range decodeRows() {
					m.exactRows(b, random(), n, kernels.ExactRows, 1)
				}
				for range 2 {
					m.exactRows(b, random(), promptRows[m.rng.IntN(len(promptRows))], allPromptRows, allPromptRows)
				}
			})
		}
	}
}

// ExactAttention is the part of Exactness that is attention.
func ExactAttention(t *testing.T, reference, b kernels.Backend, caches ...kernels.Format) {
	for _, f := range caches {
		t.Run("Attend/"+f.String(), func(t *testing.T) {
			for _, n := range decodeRows() {
				exactAttend(t, reference, b, f, n, 1)
			}
			prompts := promptRows
			if testing.Short() {
				prompts = []int{17, 33, 70}
			}
			for _, n := range prompts {
				exactAttend(t, reference, b, f, n, math.MaxInt)
			}
		})
	}
}

// rowsOp makes operands of an operation on rows.
type rowsOp func(m *maker, l kernels.Layout, outs, cols int) rowsCase

// rowsCase is an operation on rows of x; y begins with rows that it may add to.
type rowsCase struct {
	outs, cols int
	run        func(ops kernels.Ops, y, x kernels.View, rows int)
}

func exactNormQKV(m *maker, l kernels.Layout, outs, cols int) rowsCase {
	w := m.matrix(l, outs, cols)
	lin, norm := kernels.Linear{W: w, LoRA: m.lowRank(w)}, m.norm(cols)
	return rowsCase{outs, cols, func(ops kernels.Ops, y, x kernels.View, rows int) { ops.NormQKV(y, x, rows, norm, lin) }}
}

func exactNormLogits(m *maker, l kernels.Layout, outs, cols int) rowsCase {
	w := m.matrix(l, outs, cols)
	lin, norm := kernels.Linear{W: w, LoRA: m.lowRank(w)}, m.norm(cols)
	return rowsCase{outs, cols, func(ops kernels.Ops, y, x kernels.View, rows int) { ops.NormLogits(y, x, rows, norm, lin) }}
}

func exactProjAdd(m *maker, l kernels.Layout, outs, cols int) rowsCase {
	w := m.matrix(l, outs, cols)
	lin := kernels.Linear{W: w, LoRA: m.lowRank(w)}
	return rowsCase{outs, cols, func(ops kernels.Ops, y, x kernels.View, rows int) { ops.ProjAdd(y, x, rows, lin) }}
}

func exactNormSwiGLU(m *maker, l kernels.Layout, outs, cols int) rowsCase {
	gw, norm := m.matrix(l, outs, cols), m.norm(cols)
	gate, up := kernels.Linear{W: gw, LoRA: m.lowRank(gw)}, kernels.Linear{}
	if m.rng.IntN(4) > 0 {
		up.W = m.matrix(l, outs, cols)
		up.LoRA = m.lowRank(up.W)
	}
	return rowsCase{outs, cols, func(ops kernels.Ops, y, x kernels.View, rows int) { ops.NormSwiGLU(y, x, rows, norm, gate, up) }}
}

// exactRows runs c on n of all rows, in random order, and compares each of them
// with what it gets from m's backend in an operation of together rows.
func (m *maker) exactRows(b kernels.Backend, c rowsCase, n, all, together int) {
	m.t.Helper()
	x, y := m.floats(all*c.cols, 1), m.floats(all*c.outs, 1)
	for _, row := range []int{1, 5} { // large and small rows beside others
		for i := range x.Slice(4*row*c.cols, 4*c.cols).Floats() {
			x.Floats()[row*c.cols+i] *= []float32{1e6, 1e-6}[row/5]
		}
	}
	want := m.copyOf(y)
	for r := 0; r < all; r += together {
		m.pass(m.b, func(ops kernels.Ops) {
			c.run(ops, want.Slice(4*r*c.outs, 4*together*c.outs), x.Slice(4*r*c.cols, 4*together*c.cols), together)
		})
	}
	order := m.rng.Perm(all)[:n]
	some, got := m.buffer(4*n*c.cols), m.buffer(4*n*c.outs)
	for i, r := range order {
		copy(some.Slice(4*i*c.cols, 4*c.cols).Floats(), x.Slice(4*r*c.cols, 4*c.cols).Floats())
		copy(got.Slice(4*i*c.outs, 4*c.outs).Floats(), y.Slice(4*r*c.outs, 4*c.outs).Floats())
	}
	m.pass(b, func(ops kernels.Ops) { c.run(ops, got, some, n) })
	for i, r := range order {
		m.same(fmt.Sprintf("%d × %d, row %d of %d", c.outs, c.cols, i, n), got.Slice(4*i*c.outs, 4*c.outs), want.Slice(4*r*c.outs, 4*c.outs))
	}
}

// exactAttend runs spans of n rows in all, with caches of a format, and compares each
// row with what it gets if its sequence is evaluated alone, at most so many rows at a
// time.
func exactAttend(t *testing.T, reference, b kernels.Backend, f kernels.Format, n, together int) {
	t.Helper()
	m := &maker{t: t, b: reference, rng: rand.New(rand.NewPCG(19, uint64(n)))}
	const positions = 700
	hd := []int{64, 128, 2 * (1 + m.rng.IntN(50))}[m.rng.IntN(3)]
	kv := 1 + m.rng.IntN(3)
	a := &kernels.Attention{QueryHeads: kv * (1 + m.rng.IntN(6)), KVHeads: kv, HeadDim: hd, Rope: m.buffer(4 * positions * hd)}
	kernels.RopeTable(a.Rope.Floats(), hd, 0, 10000)
	if m.rng.IntN(3) > 0 {
		a.QueryNorm, a.KeyNorm = m.norm(hd), m.norm(hd)
	}
	width, outWidth := (a.QueryHeads+2*kv)*hd, a.QueryHeads*hd

	var spans, alone []kernels.Span
	for left := n; left > 0; left -= spans[len(spans)-1].Rows {
		rows := 1 + m.rng.IntN(min(left, 1+n/2))
		if together > 1 && len(spans) == 0 {
			rows = max(rows, min(n, kernels.ExactRows+1)) // the first one is a prompt by itself
		}
		pos := m.rng.IntN(positions - rows)
		if m.rng.IntN(3) == 0 {
			pos = max(0, 256*m.rng.IntN(3)-m.rng.IntN(rows+1)) // across where contexts may be cut
		}
		capacity := pos + rows + m.rng.IntN(8)
		s := kernels.Span{Pos: pos, Rows: rows, Capacity: capacity, Format: f, Keys: m.cache(kv*capacity*hd, f), Values: m.cache(kv*capacity*hd, f)}
		spans = append(spans, s)
		s.Keys, s.Values = m.copyOf(s.Keys), m.copyOf(s.Values)
		alone = append(alone, s)
	}
	qkv, got := m.floats(n*width, 1), m.garbage(n*outWidth)
	in := m.copyOf(qkv)
	m.pass(b, func(ops kernels.Ops) { ops.Attend(got, qkv, a, spans) })

	first := 0
	for i := range alone {
		s := &alone[i]
		rows := s.Rows
		if together == 1 || rows > kernels.ExactRows {
			for r := 0; r < rows; {
				one := *s
				one.Pos += r
				one.Rows = min(together, rows-r)
				out := m.garbage(one.Rows * outWidth)
				m.pass(reference, func(ops kernels.Ops) {
					ops.Attend(out, in.Slice(4*(first+r)*width, 4*one.Rows*width), a, []kernels.Span{one})
				})
				m.same(fmt.Sprintf("%d rows: span %d at %d, row %d of %d", n, i, s.Pos, r, rows), got.Slice(4*(first+r)*outWidth, 4*one.Rows*outWidth), out)
				r += one.Rows
			}
			m.same(fmt.Sprintf("%d rows: keys of span %d", n, i), spans[i].Keys, s.Keys)
			m.same(fmt.Sprintf("%d rows: values of span %d", n, i), spans[i].Values, s.Values)
		}
		first += rows
	}
}

// LaterRows holds attention to a row's context: whatever stands in the rows after it,
// not a number included, it gets the same bits.
func LaterRows(t *testing.T, b kernels.Backend, caches ...kernels.Format) {
	for _, f := range caches {
		t.Run(f.String(), func(t *testing.T) {
			m := &maker{t: t, b: b, rng: rand.New(rand.NewPCG(23, uint64(f)))}
			for _, hd := range []int{64, 50} {
				for _, n := range []int{2, 5, kernels.ExactRows, kernels.ExactRows + 3} {
					for _, pos := range []int{0, 3, 250} {
						m.laterRows(f, hd, n, pos)
					}
				}
			}
		})
	}
}

func (m *maker) laterRows(f kernels.Format, hd, n, pos int) {
	m.t.Helper()
	const queryHeads, kvHeads = 6, 2
	a := &kernels.Attention{QueryHeads: queryHeads, KVHeads: kvHeads, HeadDim: hd, Rope: m.buffer(4 * (pos + n) * hd), QueryNorm: m.norm(hd), KeyNorm: m.norm(hd)}
	kernels.RopeTable(a.Rope.Floats(), hd, 0, 10000)
	width, outWidth := (queryHeads+2*kvHeads)*hd, queryHeads*hd
	clean := m.floats(n*width, 1)
	size := kvHeads * (pos + n) * hd
	cache := kernels.Span{Keys: m.cache(size, f), Values: m.cache(size, f), Format: f, Capacity: pos + n, Pos: pos, Rows: n}
	attend := func(qkv kernels.View) kernels.View {
		s, out := cache, m.garbage(n*outWidth)
		s.Keys, s.Values = m.copyOf(s.Keys), m.copyOf(s.Values)
		m.pass(m.b, func(ops kernels.Ops) { ops.Attend(out, qkv, a, []kernels.Span{s}) })
		return out
	}
	want := attend(m.copyOf(clean))
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		first := 1 + m.rng.IntN(n-1)
		qkv := m.copyOf(clean)
		for i := first * width; i < n*width; i++ {
			qkv.Floats()[i] = float32(bad)
		}
		m.same(fmt.Sprintf("head_dim %d, %d rows from %d on, %v from row %d on", hd, n, pos, bad, first),
			attend(qkv).Slice(0, 4*first*outWidth), want.Slice(0, 4*first*outWidth))
	}
}

// pass runs one pass.
func (m *maker) pass(b kernels.Backend, op func(kernels.Ops)) {
	m.t.Helper()
	ops, err := b.Begin(context.Background())
	if err != nil {
		m.t.Fatal(err)
	}
	defer ops.End()
	op(ops)
	m.run(ops)
}

// copyOf is another buffer with the same contents.
func (m *maker) copyOf(v kernels.View) kernels.View {
	c := m.buffer(v.Len)
	copy(c.Bytes(), v.Bytes())
	return c
}

// same holds two results to be the same in every bit.
func (m *maker) same(what string, got, want kernels.View) {
	m.t.Helper()
	if slices.Equal(got.Bytes(), want.Bytes()) {
		return
	}
	for i, g := range got.Floats() {
		if w := want.Floats()[i]; math.Float32bits(g) != math.Float32bits(w) {
			m.t.Fatalf("%s: element %d is %v (%#x), want %v (%#x)", what, i, g, math.Float32bits(g), w, math.Float32bits(w))
		}
	}
	m.t.Fatalf("%s: the last bytes differ", what)
}
