package optest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
	"pgregory.net/rapid"
)

// rowCounts are the numbers of rows that matter: one token, a few sequences
// decoding together, and prompts around the sizes of a tile.
var rowCounts = []int{1, 1, 2, 3, 5, 8, 9, 16, 31, 33, 64, 70}

// Conformance runs every operation of b over random operands. Each subtest is
// one operation and weight format; attention is run with each of the formats of
// caches.
func Conformance(t *testing.T, b kernels.Backend, caches ...kernels.Format) {
	for _, l := range Layouts() {
		t.Run("Embed/"+l.String(), func(t *testing.T) { check(t, b, l, embed) })
		t.Run("NormQKV/"+l.String(), func(t *testing.T) { check(t, b, l, normQKV) })
		t.Run("NormLogits/"+l.String(), func(t *testing.T) { check(t, b, l, normLogits) })
		t.Run("ProjAdd/"+l.String(), func(t *testing.T) { check(t, b, l, projAdd) })
		t.Run("NormSwiGLU/"+l.String(), func(t *testing.T) { check(t, b, l, normSwiGLU) })
	}
	for _, f := range caches {
		t.Run("Attend/"+f.String(), func(t *testing.T) { check(t, b, kernels.Layout{Format: f}, attend) })
	}
	t.Run("Errors", func(t *testing.T) { testErrors(t, b) })
}

type shape struct{ rows, outs, cols int }

// check draws shapes and runs one operation on each.
func check(t *testing.T, b kernels.Backend, l kernels.Layout, op func(*maker, kernels.Ops, kernels.Layout, shape)) {
	rapid.Check(t, func(r *rapid.T) {
		s := shape{rows: rapid.SampledFrom(rowCounts).Draw(r, "rows"), outs: rapid.IntRange(1, 80).Draw(r, "outs")}
		if l.Format.Valid() {
			unit := l.UnitCols()
			s.cols = unit * rapid.IntRange(1, max(1, 320/unit)).Draw(r, "blocks")
		}
		m := &maker{t: scope{TB: t, r: r, cleanups: new([]func())}, b: b, rng: rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 1))}
		defer m.t.(scope).finish()
		ops, err := b.Begin(context.Background())
		if err != nil {
			r.Fatal(err)
		}
		defer ops.End()
		op(m, ops, l, s)
	})
}

// scope is a testing.TB for one drawn case: it fails through rapid, which then
// shrinks the case, and cleans up at the case's end.
type scope struct {
	testing.TB
	r        *rapid.T
	cleanups *[]func()
}

func (s scope) Helper()                           {}
func (s scope) Fatal(args ...any)                 { s.r.Fatal(args...) }
func (s scope) Fatalf(format string, args ...any) { s.r.Fatalf(format, args...) }
func (s scope) Cleanup(f func())                  { *s.cleanups = append(*s.cleanups, f) }
func (s scope) finish() {
	for _, f := range *s.cleanups {
		f()
	}
}

// compare holds a result to its reference.
func (m *maker) compare(what string, got kernels.View, width int, want func(row, col int) value) {
	for i, g := range got.Floats() {
		w := want(i/width, i%width)
		if d := math.Abs(float64(g) - w.want); !(d <= w.tolerance+1e-30) {
			m.t.Fatalf("%s: row %d, element %d is %v, want %v ± %.2g", what, i/width, i%width, g, w.want, w.tolerance)
		}
	}
}

func (m *maker) run(ops kernels.Ops) {
	if err := ops.Run(); err != nil {
		m.t.Fatal(err)
	}
}

func embed(m *maker, ops kernels.Ops, l kernels.Layout, s shape) {
	table := m.matrix(l, s.outs, s.cols)
	tokens := m.buffer(4 * s.rows)
	for i := range tokens.Ints() {
		tokens.Ints()[i] = int32(m.rng.IntN(s.outs))
	}
	x := m.garbage(s.rows * s.cols)
	lin := kernels.Linear{W: table, LoRA: m.lowRank(table)}
	ops.Embed(x, lin, tokens, s.rows)
	m.run(ops)
	d := expand(lin)
	for r, id := range tokens.Ints() {
		m.compare("Embed", x.Slice(4*r*s.cols, 4*s.cols), s.cols, func(_, c int) value { return d.element(int(id), c) })
	}
}

// rows splits a view into float64 rows.
func rows(v kernels.View, width int) [][]float64 {
	all := widen(v.Floats())
	var r [][]float64
	for ; len(all) > 0; all = all[width:] {
		r = append(r, all[:width])
	}
	return r
}

func normed(x [][]float64, n kernels.Norm) [][]float64 {
	y := make([][]float64, len(x))
	for i := range x {
		y[i] = rmsNorm(x[i], n)
	}
	return y
}

func normQKV(m *maker, ops kernels.Ops, l kernels.Layout, s shape) {
	normLinear(m, ops, l, s, "NormQKV", ops.NormQKV)
}

func normLogits(m *maker, ops kernels.Ops, l kernels.Layout, s shape) {
	normLinear(m, ops, l, s, "NormLogits", ops.NormLogits)
}

func normLinear(m *maker, ops kernels.Ops, l kernels.Layout, s shape, name string, op func(y, x kernels.View, rows int, n kernels.Norm, w kernels.Linear)) {
	w := m.matrix(l, s.outs, s.cols)
	lin := kernels.Linear{W: w, LoRA: m.lowRank(w)}
	x, norm := m.floats(s.rows*s.cols, 3), m.norm(s.cols)
	y := m.garbage(s.rows * s.outs)
	op(y, x, s.rows, norm, lin)
	m.run(ops)
	n, d := normed(rows(x, s.cols), norm), expand(lin)
	m.compare(name, y, s.outs, func(r, o int) value { return d.product(o, n[r]) })
}

func projAdd(m *maker, ops kernels.Ops, l kernels.Layout, s shape) {
	w := m.matrix(l, s.outs, s.cols)
	lin := kernels.Linear{W: w, LoRA: m.lowRank(w)}
	in, x := m.floats(s.rows*s.cols, 1), m.floats(s.rows*s.outs, 1)
	before := widen(x.Floats())
	ops.ProjAdd(x, in, s.rows, lin)
	m.run(ops)
	a, d := rows(in, s.cols), expand(lin)
	m.compare("ProjAdd", x, s.outs, func(r, o int) value {
		v := d.product(o, a[r])
		v.want += before[r*s.outs+o]
		v.tolerance += 2 * unit * (math.Abs(v.want) + math.Abs(before[r*s.outs+o]))
		return v
	})
}

func normSwiGLU(m *maker, ops kernels.Ops, l kernels.Layout, s shape) {
	gw := m.matrix(l, s.outs, s.cols)
	gate, up := kernels.Linear{W: gw, LoRA: m.lowRank(gw)}, kernels.Linear{}
	if m.rng.IntN(4) > 0 {
		up.W = m.matrix(l, s.outs, s.cols)
		up.LoRA = m.lowRank(up.W)
	}
	x, norm := m.floats(s.rows*s.cols, 1), m.norm(s.cols)
	h := m.garbage(s.rows * s.outs)
	ops.NormSwiGLU(h, x, s.rows, norm, gate, up)
	m.run(ops)
	n, dg, du := normed(rows(x, s.cols), norm), expand(gate), (*dense)(nil)
	if up.W != nil {
		du = expand(up)
	}
	m.compare("NormSwiGLU", h, s.outs, func(r, o int) value {
		v := silu(dg.product(o, n[r]))
		if du != nil {
			v = mul(v, du.product(o, n[r]))
		}
		return v
	})
}

// attend runs one to three sequences at different positions, with caches of l's
// format, head_dim even and otherwise free.
func attend(m *maker, ops kernels.Ops, l kernels.Layout, s shape) {
	positions := 90
	if m.rng.IntN(4) == 0 {
		positions = 600 // contexts that a backend may cut
	}
	hd := 2 * (1 + m.rng.IntN(40))
	if m.rng.IntN(2) == 0 {
		hd = []int{16, 32, 64, 128}[m.rng.IntN(4)]
	}
	kv := 1 + m.rng.IntN(3)
	a := &kernels.Attention{QueryHeads: kv * (1 + m.rng.IntN(4)), KVHeads: kv, HeadDim: hd, Rope: m.buffer(4 * positions * hd)}
	kernels.RopeTable(a.Rope.Floats(), hd, 0, 10000)
	if m.rng.IntN(3) > 0 {
		a.QueryNorm, a.KeyNorm = m.norm(hd), m.norm(hd)
	}
	var spans []kernels.Span
	total := 0
	for i := range 1 + m.rng.IntN(3) {
		n := 1
		if i == 0 {
			n = s.rows
		}
		pos := m.rng.IntN(positions - n + 1)
		capacity := pos + n + m.rng.IntN(8)
		size := l.Format.BlockBytes()
		sp := kernels.Span{Pos: pos, Rows: n, Capacity: capacity, Format: l.Format, Keys: m.noCache(kv*capacity*hd, l.Format), Values: m.noCache(kv*capacity*hd, l.Format)}
		for h := range kv {
			for _, v := range []kernels.View{sp.Keys, sp.Values} {
				m.fill(v.Slice(h*capacity*hd*size, pos*hd*size).Bytes(), l.Format, 1)
			}
		}
		spans = append(spans, sp)
		total += n
	}
	width := (a.QueryHeads + 2*kv) * hd
	qkv, out := m.floats(total*width, 1), m.garbage(total*a.QueryHeads*hd)
	in := rows(qkv, width)
	ops.Attend(out, qkv, a, spans)
	m.run(ops)

	// What a cache holds may be off by half a unit in the last place of its format.
	stored := func(v, tolerance float64) value {
		if l.Format == kernels.F16 {
			tolerance += math.Max(math.Abs(v)*0x1p-11, 0x1p-25)
		}
		return value{v, tolerance}
	}
	cached := func(v kernels.View, first, n int) kernels.View {
		return m.widened(v.Slice(first*l.Format.BlockBytes(), n*l.Format.BlockBytes()), l.Format)
	}
	row := 0
	rope := a.Rope.Floats()
	for i, sp := range spans {
		for r := range sp.Rows {
			pos := sp.Pos + r
			for h := range kv {
				k := rotate(in[row][(a.QueryHeads+h)*hd:][:hd], a.KeyNorm, rope, pos)
				v := in[row][(a.QueryHeads+kv+h)*hd:][:hd]
				at := (h*sp.Capacity + pos) * hd
				m.compare(fmt.Sprintf("key of span %d, head %d, position %d", i, h, pos), cached(sp.Keys, at, hd), hd,
					func(_, c int) value { return stored(k[c], sumTolerance(hd, math.Abs(k[c]))+8*unit*norm2(k)) })
				m.compare(fmt.Sprintf("value of span %d, head %d, position %d", i, h, pos), cached(sp.Values, at, hd), hd,
					func(_, c int) value { return stored(v[c], 0) })
			}
			for h := range a.QueryHeads {
				q := rotate(in[row][h*hd:][:hd], a.QueryNorm, rope, pos)
				first := h / (a.QueryHeads / kv) * sp.Capacity * hd
				n := (pos + 1) * hd
				want := attention(q, rows(cached(sp.Keys, first, n), hd), rows(cached(sp.Values, first, n), hd))
				m.compare(fmt.Sprintf("Attend span %d, row %d, head %d", i, r, h), out.Slice(4*(row*a.QueryHeads+h)*hd, 4*hd), hd,
					func(_, c int) value { return want[c] })
			}
			row++
		}
	}
}

// noCache is n elements of a cache that no result may depend on.
func (m *maker) noCache(n int, f kernels.Format) kernels.View {
	v := m.buffer(n * f.BlockBytes())
	for i := range v.Bytes() {
		v.Bytes()[i] = 0xff // a NaN in every format
	}
	return v
}

// widened is a copy of v, in a floating-point format, as float32.
func (m *maker) widened(v kernels.View, f kernels.Format) kernels.View {
	n := v.Len / f.BlockBytes()
	w := m.buffer(4 * n)
	kernels.Widen(w.Floats(), v.Bytes(), f)
	return w
}

func norm2(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v * v
	}
	return math.Sqrt(s)
}

// testErrors holds b to its promise that a bad operand is an error of Run, and
// that the backend goes on after it.
func testErrors(t *testing.T, b kernels.Backend) {
	m := &maker{t: t, b: b, rng: rand.New(rand.NewPCG(1, 1))}
	f32 := kernels.Layout{Format: kernels.F32}
	w := m.matrix(f32, 8, 16)
	x, y := m.floats(2*16, 1), m.floats(2*8, 1)
	norm := m.norm(16)
	tokens := m.buffer(8)
	a := &kernels.Attention{QueryHeads: 2, KVHeads: 1, HeadDim: 4, Rope: m.floats(8*4, 1)}
	span := kernels.Span{Keys: m.floats(8*4, 1), Values: m.floats(8*4, 1), Capacity: 8, Rows: 1}
	full, odd, groups := span, *a, *a
	full.Pos = 8
	odd.HeadDim = 3
	groups.KVHeads = 3
	for name, op := range map[string]func(kernels.Ops){
		"x too short": func(o kernels.Ops) { o.NormQKV(y, x, 3, norm, kernels.Linear{W: w}) },
		"y too short": func(o kernels.Ops) { o.NormLogits(y.Slice(0, 8), x, 2, norm, kernels.Linear{W: w}) },
		"norm too short": func(o kernels.Ops) {
			o.NormQKV(y, x, 2, kernels.Norm{Weight: norm.Weight.Slice(0, 8)}, kernels.Linear{W: w})
		},
		"no rows": func(o kernels.Ops) { o.ProjAdd(y, x, 0, kernels.Linear{W: w}) },
		"unlike gate and up": func(o kernels.Ops) {
			o.NormSwiGLU(y, x, 1, norm, kernels.Linear{W: w}, kernels.Linear{W: m.matrix(f32, 4, 16)})
		},
		"tokens too short":   func(o kernels.Ops) { o.Embed(m.buffer(4*4*16), kernels.Linear{W: w}, tokens, 4) },
		"cache full":         func(o kernels.Ops) { o.Attend(y, x, a, []kernels.Span{full}) },
		"odd head_dim":       func(o kernels.Ops) { o.Attend(y, x, &odd, []kernels.Span{span}) },
		"heads do not share": func(o kernels.Ops) { o.Attend(y, x, &groups, []kernels.Span{span}) },
		"no spans":           func(o kernels.Ops) { o.Attend(y, x, a, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			ops, err := b.Begin(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			defer ops.End()
			op(ops)
			if err := ops.Run(); !errors.Is(err, kernels.ErrShape) {
				t.Errorf("got error %v, want one that wraps ErrShape", err)
			}
			ops.NormQKV(y, x, 2, norm, kernels.Linear{W: w})
			if err := ops.Run(); err != nil {
				t.Errorf("a good operation after the error: %v", err)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		ops, err := b.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer ops.End()
		cancel()
		ops.NormQKV(y, x, 2, norm, kernels.Linear{W: w})
		if err := ops.Run(); !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want context.Canceled", err)
		}
		if _, err := b.Begin(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Begin: got error %v, want context.Canceled", err)
		}
	})
}
