package golden

import (
	"math"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

// Test reproduces every pack on backend b, from the checkpoint's files on:
// logits at every position and the residual stream after every layer, fed at
// once, token by token and in uneven chunks, and the greedy continuations.
func Test(t *testing.T, b kernels.Backend) {
	packs := Packs(t)
	if len(packs) == 0 {
		t.Fatal("no reference packs")
	}
	for _, p := range packs {
		t.Run(p.Name, func(t *testing.T) { p.Test(t, b) })
	}
}

// Test is [Test] for one pack.
func (p *Pack) Test(t *testing.T, b kernels.Backend) {
	m, err := loader.Open(t.Context(), p.Path(), &loader.Options{Backend: b, NoTokenizer: true, Adapter: p.Adapter()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	var worst difference
	for _, prompt := range Prompts {
		r := run{t: t, p: p, m: m, prompt: prompt, ids: p.Ints(prompt + ".input_ids")}
		if len(r.ids) == 0 {
			t.Fatalf("no prompt %s", prompt)
		}
		worst.merge(r.feed("at once", func(left int) int { return left }))
		worst.merge(r.feed("token by token", func(int) int { return 1 }))
		worst.merge(r.feed("in chunks", func(left int) int { return min(left, 1+left%7) }))
		r.hidden()
		r.greedy()
	}
	t.Logf("largest difference of a logit %.2g (allowed %.2g), root mean square %.2g (allowed %.2g)",
		worst.max, p.MaxLogit, worst.rms(), p.RMSLogit)
}

// difference collects differences from the reference.
type difference struct {
	max, squares float64
	n            int
}

func (d *difference) add(got, want []float32) {
	for i, g := range got {
		e := math.Abs(float64(g) - float64(want[i]))
		if math.IsNaN(e) {
			e = math.Inf(1)
		}
		d.max = max(d.max, e)
		d.squares += e * e
		d.n++
	}
}

func (d *difference) merge(o difference) {
	d.max, d.squares, d.n = max(d.max, o.max), d.squares+o.squares, d.n+o.n
}

func (d *difference) rms() float64 { return math.Sqrt(d.squares / float64(max(d.n, 1))) }

// run is one prompt of one pack.
type run struct {
	t      *testing.T
	p      *Pack
	m      *openelm.Model
	prompt string
	ids    []int32
}

func (r *run) session(o openelm.SessionOptions) *openelm.Session {
	r.t.Helper()
	s, err := r.m.NewSession(&o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { s.Close() })
	return s
}

// feed evaluates the prompt in pieces whose sizes next gives.
func (r *run) feed(how string, next func(left int) int) difference {
	r.t.Helper()
	want := r.p.Floats(r.prompt + ".logits")
	vocab := len(want) / len(r.ids)
	s := r.session(openelm.SessionOptions{Capacity: len(r.ids)})
	var d difference
	seen := 0
	for s.Len() < len(r.ids) {
		first := s.Len()
		n := next(len(r.ids) - first)
		err := s.AppendEach(r.t.Context(), func(i int, logits []float32) error {
			d.add(logits, want[(first+i)*vocab:(first+i+1)*vocab])
			seen++
			return nil
		}, r.ids[first:first+n]...)
		if err != nil {
			r.t.Fatal(err)
		}
		d.add(s.Logits(), want[(s.Len()-1)*vocab:s.Len()*vocab])
	}
	if seen != len(r.ids) || d.n < len(want) {
		r.t.Fatalf("%s %s: logits of %d positions, want %d", r.prompt, how, seen, len(r.ids))
	}
	if !(d.max <= r.p.MaxLogit) || !(d.rms() <= r.p.RMSLogit) {
		r.t.Errorf("%s %s: logits differ by %.3g (allowed %.3g), root mean square %.3g (allowed %.3g)",
			r.prompt, how, d.max, r.p.MaxLogit, d.rms(), r.p.RMSLogit)
	}
	return d
}

// hidden compares the residual stream after the embedding and every layer, of
// each pass that the prompt takes, where the pack has it. The last entry of the
// reference is after the final norm: the embedding is the mean of that.
func (r *run) hidden() {
	r.t.Helper()
	want := r.p.Floats(r.prompt + ".hidden")
	if len(want) == 0 && r.p.MaxHidden == 0 {
		return
	}
	layers, dim := len(r.m.Config().Layers)+1, r.m.Config().ModelDim
	if len(want) != (layers+1)*len(r.ids)*dim || r.p.MaxHidden == 0 {
		r.t.Fatalf("%s: reference of %d hidden values (allowed %.3g), want %d layers of %d × %d", r.prompt, len(want), r.p.MaxHidden, layers+1, len(r.ids), dim)
	}
	seen := make([][]float32, layers)
	s := r.session(openelm.SessionOptions{Capacity: len(r.ids), Trace: func(layer int, x []float32) {
		seen[layer] = append(seen[layer], x...)
	}})
	if err := s.Append(r.t.Context(), r.ids...); err != nil {
		r.t.Fatal(err)
	}
	for layer, x := range seen {
		if len(x) != len(r.ids)*dim {
			r.t.Errorf("%s: saw %d values after layer %d, want %d × %d", r.prompt, len(x), layer, len(r.ids), dim)
			continue
		}
		var d difference
		d.add(x, want[layer*len(x):(layer+1)*len(x)])
		if !(d.max <= r.p.MaxHidden) {
			r.t.Errorf("%s: after layer %d the residual stream differs by %.3g (allowed %.3g)", r.prompt, layer, d.max, r.p.MaxHidden)
		}
	}
	r.embedding(want[layers*len(r.ids)*dim:])
}

// embedding compares the embedding of the prompt with the mean of the states
// after the last norm. Its elements may differ by as much as a state's may, in
// units of the mean's length.
func (r *run) embedding(states []float32) {
	r.t.Helper()
	got, err := r.m.Embed(r.t.Context(), r.ids, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	mean := make([]float64, len(got))
	for i, v := range states {
		mean[i%len(got)] += float64(v) / float64(len(r.ids))
	}
	length := 0.0
	for _, v := range mean {
		length += v * v
	}
	length = math.Sqrt(length)
	for i, v := range got {
		if e := math.Abs(float64(v)*length - mean[i]); !(e <= r.p.MaxHidden) {
			r.t.Errorf("%s: element %d of the embedding differs by %.3g (allowed %.3g)", r.prompt, i, e, r.p.MaxHidden)
		}
	}
}

// greedy continues the prompt with the most probable tokens. They are binding
// while the reference's margin exceeds what two logits may differ by.
func (r *run) greedy() {
	r.t.Helper()
	want, margin := r.p.Ints(r.prompt+".greedy_ids"), r.p.Floats(r.prompt+".greedy_margin")
	if len(want) == 0 || len(margin) != len(want) {
		r.t.Fatalf("%s: no greedy reference", r.prompt)
	}
	r.continued(want)
	s := r.session(openelm.SessionOptions{Capacity: len(r.ids) + len(want)})
	var got []int32
	for tok, err := range s.Generate(r.t.Context(), r.ids, &openelm.GenerateOptions{MaxTokens: len(want), IgnoreEOS: true}) {
		if err != nil {
			r.t.Fatal(err)
		}
		got = append(got, tok.ID)
	}
	if len(got) != len(want) {
		r.t.Fatalf("%s: generated %d tokens, want %d", r.prompt, len(got), len(want))
	}
	for i := range want {
		if float64(margin[i]) <= 2*r.p.MaxLogit {
			r.t.Logf("%s: greedy token %d has a margin of %.2g; not compared from here", r.prompt, i, margin[i])
			return
		}
		if got[i] != want[i] {
			r.t.Fatalf("%s: greedy token %d is %d, want %d (margin %.2g)", r.prompt, i, got[i], want[i], margin[i])
		}
	}
}

// continued compares the logits along the reference's own continuation, where
// the pack has them.
func (r *run) continued(greedy []int32) {
	r.t.Helper()
	want := r.p.Floats(r.prompt + ".greedy_logits")
	if len(want) == 0 {
		return
	}
	vocab := len(want) / len(greedy)
	s := r.session(openelm.SessionOptions{Capacity: len(r.ids) + len(greedy)})
	if err := s.Append(r.t.Context(), r.ids...); err != nil {
		r.t.Fatal(err)
	}
	var d difference
	for i, id := range greedy {
		d.add(s.Logits(), want[i*vocab:(i+1)*vocab])
		if err := s.Append(r.t.Context(), id); err != nil {
			r.t.Fatal(err)
		}
	}
	if !(d.max <= r.p.MaxLogit) {
		r.t.Errorf("%s: logits along the greedy continuation differ by %.3g (allowed %.3g)", r.prompt, d.max, r.p.MaxLogit)
	}
}
