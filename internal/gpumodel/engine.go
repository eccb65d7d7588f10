package gpumodel

// Engine is how another program launches a token: the order of its dispatches and how each kernel splits its work. Facts
// about them are counts; none of their code is here.
type Engine int

// Engines. The graphs of 2023 and 2024 encode serially: each dispatch is a stage. Since 2025 llama.cpp fuses some
// operations and lets independent ones run side by side.
const (
	GGML2023 Engine = iota // llama.cpp build 8e672ef, of the table of 7B speeds
	GGML2024
	GGML
	MLX
)

// Model is the shape of a llama-like transformer.
type Model struct {
	Dim, Vocab int
	HeadDim    int
	Layers     []Layer
	QKNorm     bool // queries and keys are normalised
	PostNorm   bool // two more norms a layer, after attention and feed-forward
	OneQKV     bool // one matrix for queries, keys and values
}

// Layer is the shape of a layer.
type Layer struct{ Heads, KVHeads, FFN int }

// Uniform is a model of n equal layers.
func Uniform(n int, l Layer, m Model) Model {
	m.Layers = make([]Layer, n)
	for i := range m.Layers {
		m.Layers[i] = l
	}
	return m
}

// Token is what an engine launches for one token after cached others. last is the format of the output matrix.
func (e Engine) Token(m Model, weights, last Format, cached int) Token {
	b := builder{engine: e, weights: weights}
	for _, l := range m.Layers {
		b.layer(m, l, cached)
	}
	b.smalls(2)
	b.serial(b.matvec(m.Vocab, m.Dim, last))
	t := Token{Stages: b.stages, Host: 0.2e-3}
	if e == MLX {
		t.Host, t.StageCost = 0.1e-3, MLXStageCost
	}
	return t
}

type builder struct {
	engine  Engine
	weights Format
	stages  []Stage
}

// serial adds stages of one dispatch each.
func (b *builder) serial(ds ...Dispatch) {
	for _, d := range ds {
		b.stages = append(b.stages, Stage{d})
	}
}

// together adds one stage.
func (b *builder) together(ds ...Dispatch) { b.stages = append(b.stages, ds) }

// smalls adds n small ones, each a stage.
func (b *builder) smalls(n int) {
	for range n {
		b.serial(b.small())
	}
}

// small is a norm, rotation, copy or addition: one threadgroup and little to read.
func (b *builder) small() Dispatch {
	return Dispatch{Threadgroups: 1, SIMDGroups: 8, Bytes: 2e4, InFlight: 32}
}

// matvec is one row times a matrix of outs rows of k weights.
//
// How ggml divides it is known of each format. In 2023 16 bits gave a row to one SIMD-group, all others four rows to each of
// two. MLX (its gemv and qmv): eight rows to two SIMD-groups.
func (b *builder) matvec(outs, k int, f Format) Dispatch {
	kernel := formats[f].kernel
	d := Dispatch{
		Bytes: float64(outs*k)*f.BytesPerWeight() + float64(4*k+4*outs), Slots: float64(outs*k) * f.SlotsPerWeight(),
		Threadgroups: ceil(outs, kernel.outs), SIMDGroups: kernel.simdgroups, InFlight: kernel.inFlight,
	}
	switch {
	case b.engine == MLX:
		d.Threadgroups, d.SIMDGroups, d.InFlight = ceil(outs, 8), 2, 64
	case b.engine == GGML2023 && f.Float():
		d.Threadgroups, d.SIMDGroups, d.InFlight = outs, 1, 64
	case b.engine == GGML2023:
		d.Threadgroups, d.SIMDGroups, d.InFlight = ceil(outs, 8), 2, 36
	}
	return d
}

// attention reads cached keys and values of 16 bits.
func (b *builder) attention(kvHeads, headDim, threadgroups, cached int) Dispatch {
	return Dispatch{Threadgroups: threadgroups, SIMDGroups: 4, Bytes: float64(2 * kvHeads * headDim * cached * 2), InFlight: 64}
}

func (b *builder) layer(m Model, l Layer, cached int) {
	mv := func(outs, k int) Dispatch { return b.matvec(outs, k, b.weights) }
	q, kv := l.Heads*m.HeadDim, l.KVHeads*m.HeadDim
	qkv := []Dispatch{mv(q, m.Dim), mv(kv, m.Dim), mv(kv, m.Dim)}
	if m.OneQKV {
		qkv = []Dispatch{mv(q+2*kv, m.Dim)}
	}
	switch b.engine {
	case GGML2023, GGML2024:
		b.smalls(6) // norm, multiplication; two rotations; two copies
		b.serial(qkv...)
		b.serial(b.attention(l.KVHeads, m.HeadDim, l.Heads, cached))
		b.smalls(3) // softmax and two permutations
		if b.engine == GGML2023 {
			b.smalls(2) // scale and mask apart
		}
		b.serial(mv(m.Dim, q))
		b.smalls(3) // addition, norm, multiplication
		b.serial(mv(l.FFN, m.Dim), mv(l.FFN, m.Dim))
		b.smalls(2) // silu, product
		b.serial(mv(m.Dim, l.FFN))
		b.smalls(1) // addition
		return
	}
	b.smalls(1) // norm
	b.together(qkv...)
	if m.QKNorm {
		b.together(b.small(), b.small())
	}
	b.together(b.small(), b.small()) // rotations
	b.together(b.small(), b.small()) // copies into the cache
	if b.engine == MLX {
		b.serial(b.attention(l.KVHeads, m.HeadDim, l.Heads, cached))
	} else {
		b.serial(b.attention(l.KVHeads, m.HeadDim, 8*l.Heads, cached), b.small()) // split, and merged
	}
	b.serial(mv(m.Dim, q))
	b.smalls(2) // addition, norm
	if m.PostNorm && b.engine == GGML {
		b.smalls(2)
	}
	b.together(mv(l.FFN, m.Dim), mv(l.FFN, m.Dim))
	b.smalls(1) // silu and product
	b.serial(mv(m.Dim, l.FFN))
	b.smalls(1) // addition
}

func ceil(a, b int) int { return (a + b - 1) / b }
