package gpu

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/go-openelm/go-openelm/kernels"
)

// TuneOptions configure [Backend.Tune]. The zero value, and nil, are usable.
type TuneOptions struct {
	// Formats are those of the matrices to tune for; none means all.
	Formats []kernels.Format
	// Progress, if not nil, is told of each launch that was tuned.
	Progress func(Trial)
}

// Trial is one launch that was tuned: its variants, and what each took.
type Trial struct {
	Kernel   string
	Launch   string // what was launched, such as "BF16, 4096 × 1536"
	Variants []Variant
	Chosen   int // index of the one to use
}

// Variant is a way to launch a kernel.
type Variant struct {
	Name string        // such as "2 SIMD-groups"
	Time time.Duration // of one launch: the least of several
}

const (
	tuneCols    = 1536     // of matrices: a multiple of every format's blocks
	tuneBytes   = 64 << 20 // of weights that a timed pass reads, as far as it has enough launches
	tuneBuffer  = 128 << 20
	tuneRepeats = 3
	// tuneMargin is by how much a variant must be faster than the default to be
	// preferred: less is noise.
	tuneMargin = 0.03
)

// tuner times launches.
type tuner struct {
	ctx      context.Context
	backend  *Backend
	weights  kernels.Buffer
	values   kernels.Buffer // activations and their like
	offset   int            // of the next matrix in weights
	progress func(Trial)
}

// Tune times a few variants of each kernel on the GPU, which takes seconds, and
// returns the fastest. The backend should have nothing else to do meanwhile.
func (b *Backend) Tune(ctx context.Context, o *TuneOptions) (*Tuning, error) {
	if o == nil {
		o = &TuneOptions{}
	}
	t, err := b.newTuner(ctx)
	if err != nil {
		return nil, err
	}
	defer t.release()
	if t.progress = o.Progress; t.progress == nil {
		t.progress = func(Trial) {}
	}
	formats := slices.Clone(o.Formats)
	if formats == nil {
		for _, f := range tunedFormats {
			formats = append(formats, f)
		}
	}
	slices.Sort(formats)
	found := &Tuning{}
	for _, f := range formats {
		if unitCols(f) == 0 {
			return nil, fmt.Errorf("gpu: tuning for matrices in %v: %w", f, errors.ErrUnsupported)
		}
		for _, gated := range []bool{false, true} {
			m := MatvecTuning{Format: f.String(), Gated: gated}
			if err := t.matvec(f, &m); err != nil {
				return nil, err
			}
			found.Matvec = append(found.Matvec, m)
		}
	}
	if found.MatmulThreadgroups, err = t.matmul(); err != nil {
		return nil, err
	}
	if found.ChooseThreads, err = t.choose(); err != nil {
		return nil, err
	}
	return found, nil
}

func (b *Backend) newTuner(ctx context.Context) (_ *tuner, err error) {
	t := &tuner{ctx: ctx, backend: b}
	defer func() {
		if err != nil {
			t.release()
		}
	}()
	if t.weights, err = b.NewBuffer(tuneBuffer); err != nil {
		return nil, err
	}
	if t.values, err = b.NewBuffer(16 << 20); err != nil {
		return nil, err
	}
	// Every page is to be there, and nothing so regular that it could be compressed.
	for i, bytes := 0, t.weights.Bytes(); i < len(bytes); i += 8 {
		bytes[i] = byte(uint32(i) * 2654435761 >> 24)
	}
	return t, nil
}

func (t *tuner) release() {
	for _, buf := range []kernels.Buffer{t.weights, t.values} {
		if buf != nil {
			buf.Release()
		}
	}
}

// view is n bytes of weights that were not read lately.
func (t *tuner) view(n int) kernels.View {
	n = (n + 255) &^ 255
	if t.offset+n > tuneBuffer {
		t.offset = 0
	}
	v := kernels.Whole(t.weights).Slice(t.offset, n)
	t.offset += n
	return v
}

func (t *tuner) matrix(f kernels.Format, rows, cols int) *kernels.Matrix {
	m := &kernels.Matrix{Rows: rows, Cols: cols, Format: f}
	if f.Affine() {
		m.Group, m.ScaleFormat = 64, kernels.F16
		m.Scales = t.view(2 * rows * cols / 64)
		m.Biases = t.view(2 * rows * cols / 64)
	}
	m.Data = t.view(rows * m.RowBytes())
	return m
}

// product records y = W·x, W of a format, as often as n says.
func (t *tuner) product(p *pass, f kernels.Format, rows, outs, cols int, gated bool, n int) {
	for range n {
		l := product{op: "Tune", rows: rows, w: t.matrix(f, outs, cols)}
		if gated {
			l.up, l.flags = t.matrix(f, outs, cols), 1<<constSilu
		}
		values := kernels.Whole(t.values)
		l.x = p.floats(l.op, "x", values, rows*cols)
		l.y = p.floats(l.op, "y", values.Slice(len(t.values.Bytes())/2, len(t.values.Bytes())/2), rows*outs)
		p.depends()
		p.multiply(&l)
	}
}

// time is how long the GPU takes for what record records.
func (t *tuner) time(g *geometry, record func(p *pass)) (time.Duration, error) {
	ops, err := t.backend.Begin(t.ctx)
	if err != nil {
		return 0, err
	}
	p := ops.(*pass)
	defer p.End()
	p.geometry = g
	record(p)
	if err := p.Run(); err != nil {
		return 0, err
	}
	return p.gpuTime, nil
}

// fastest times the variants of a launch in turn, n launches at a time, and chooses
// one: the default, of that index, unless another is clearly faster.
func (t *tuner) fastest(trial Trial, byDefault, n int, record func(p *pass, n int), variants []*geometry) (int, error) {
	for i := range trial.Variants {
		trial.Variants[i].Time = math.MaxInt64
	}
	for repeat := range 1 + tuneRepeats {
		for i, g := range variants {
			d, err := t.time(g, func(p *pass) { record(p, n) })
			if err != nil {
				return 0, err
			}
			if repeat > 0 { // the first one finds clocks low and caches cold
				v := &trial.Variants[i]
				v.Time = min(v.Time, d/time.Duration(n))
			}
		}
	}
	trial.Chosen = byDefault
	best := float64(trial.Variants[byDefault].Time) * (1 - tuneMargin)
	for i, v := range trial.Variants {
		if float64(v.Time) < best {
			trial.Chosen, best = i, float64(v.Time)
		}
	}
	t.progress(trial)
	return trial.Chosen, nil
}

// matvec tunes the products of one row with matrices of m's format.
func (t *tuner) matvec(f kernels.Format, m *MatvecTuning) error {
	perSIMDGroup, matrices := matvecOuts, 1
	if m.Gated {
		perSIMDGroup, matrices = matvecOuts/2, 2
	}
	for class, simdgroups := range [len(matvecClasses)]int{256, 1024, 4096} {
		outs := perSIMDGroup * simdgroups
		trial := Trial{Kernel: "matvec", Launch: fmt.Sprintf("%s, %d × %d", f, outs, tuneCols)}
		if m.Gated {
			trial.Launch += ", gate and up"
		}
		var variants []*geometry
		for _, n := range matvecVariants {
			g := defaultGeometry()
			g.matvec[f][gatedIndex(m.Gated)][class] = n
			variants = append(variants, g)
			trial.Variants = append(trial.Variants, Variant{Name: plural(n, "SIMD-group")})
		}
		n := min(max(2, tuneBytes/(matrices*outs*(&kernels.Matrix{Cols: tuneCols, Format: f}).RowBytes())), 64)
		chosen, err := t.fastest(trial, slices.Index(matvecVariants[:], matvecSimdgroups), n, func(p *pass, n int) {
			t.product(p, f, 1, outs, tuneCols, m.Gated, n)
		}, variants)
		if err != nil {
			return err
		}
		m.SIMDGroups[class] = matvecVariants[chosen]
	}
	return nil
}

// matmul finds from how many threadgroups on tiles of 64 rows are the faster ones,
// with the least loss in all that is tried.
func (t *tuner) matmul() (int, error) {
	type tried struct {
		groups int
		loss   [2]float64 // of tiles of 32 and 64 rows, relative to the faster of them
	}
	var all []tried
	never, always := defaultGeometry(), defaultGeometry()
	never.matmulGroups, always.matmulGroups = math.MaxInt, 1
	for _, rows := range []int{64, 128, 512} {
		for _, outs := range []int{1024, 4096} {
			trial := Trial{Kernel: "matmul", Launch: fmt.Sprintf("BF16, %d × %d, %d rows", outs, tuneCols, rows),
				Variants: []Variant{{Name: "tiles of 32"}, {Name: "tiles of 64"}}}
			groups := ceilDiv(outs, matmulOuts) * ceilDiv(rows, matmulRows)
			byDefault := 0
			if groups >= matmulMinGroups {
				byDefault = 1
			}
			if _, err := t.fastest(trial, byDefault, 2, func(p *pass, n int) {
				t.product(p, kernels.BF16, rows, outs, tuneCols, false, n)
			}, []*geometry{never, always}); err != nil {
				return 0, err
			}
			few, many := float64(trial.Variants[0].Time), float64(trial.Variants[1].Time)
			least := max(min(few, many), 1)
			all = append(all, tried{groups, [2]float64{few/least - 1, many/least - 1}})
		}
	}
	loss := func(threshold int) (sum float64) {
		for _, a := range all {
			if a.groups >= threshold {
				sum += a.loss[1]
			} else {
				sum += a.loss[0]
			}
		}
		return sum
	}
	best := matmulMinGroups
	least := loss(best) - tuneMargin
	for _, threshold := range []int{1, 1024} {
		if l := loss(threshold); l < least {
			best, least = threshold, l
		}
	}
	for _, a := range all {
		if l := loss(a.groups); l < least {
			best, least = a.groups, l
		}
	}
	return best, nil
}

// choose tunes the choice among a vocabulary of OpenELM's.
func (t *tuner) choose() (int, error) {
	const vocabulary = 32000
	trial := Trial{Kernel: "choose", Launch: fmt.Sprint(vocabulary, " logits")}
	var variants []*geometry
	for _, n := range chooseVariants {
		g := defaultGeometry()
		g.chooseThreads = n
		variants = append(variants, g)
		trial.Variants = append(trial.Variants, Variant{Name: plural(n, "thread")})
	}
	values := kernels.Whole(t.values)
	chosen, err := t.fastest(trial, slices.Index(chooseVariants[:], chooseThreads), 8, func(p *pass, n int) {
		for range n {
			p.Choose(values.Slice(0, 4), values.Slice(256, 4*vocabulary), 1, vocabulary)
		}
	}, variants)
	return chooseVariants[chosen], err
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}

// SweepPoint is a matrix-vector product that was timed: what a model of GPUs takes
// of a dispatch, and how long it took.
type SweepPoint struct {
	Threadgroups int     `json:"threadgroups"`
	SIMDGroups   int     `json:"simdgroups"` // of a threadgroup
	Bytes        int     `json:"bytes"`      // of bfloat16 weights that a dispatch reads
	Seconds      float64 `json:"seconds"`    // of a dispatch: the least of several
}

// Sweep times a product of bfloat16 weights over threadgroups × SIMD-groups: how
// fast so many cores of the GPU can read. Each SIMD-group has the same to do.
func (b *Backend) Sweep(ctx context.Context) ([]SweepPoint, error) {
	const cols = 4096
	t, err := b.newTuner(ctx)
	if err != nil {
		return nil, err
	}
	defer t.release()
	var points []SweepPoint
	for threadgroups := 4; threadgroups <= 512; threadgroups *= 2 {
		for _, simdgroups := range matvecVariants {
			outs := matvecOuts * simdgroups * threadgroups
			g := defaultGeometry()
			g.matvec[kernels.BF16][0][matvecClass(simdgroups*threadgroups)] = simdgroups
			point := SweepPoint{Threadgroups: threadgroups, SIMDGroups: simdgroups, Bytes: 2 * outs * cols, Seconds: math.Inf(1)}
			n := min(max(2, tuneBytes/point.Bytes), 64)
			for range 1 + tuneRepeats {
				d, err := t.time(g, func(p *pass) { t.product(p, kernels.BF16, 1, outs, cols, false, n) })
				if err != nil {
					return nil, err
				}
				point.Seconds = min(point.Seconds, d.Seconds()/float64(n))
			}
			points = append(points, point)
		}
	}
	return points, nil
}
