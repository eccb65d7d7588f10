package openelm_test

import (
	"context"
	"math"
	"testing"

	"github.com/go-openelm/go-openelm/internal/checkpoint"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"pgregory.net/rapid"
)

// reference is the forward pass in float64, written from the paper without
// regard to speed: the logits after each token.
func reference(m *openelm.Model, tokens []int32) [][]float64 {
	c, w := m.Config(), m.Weights()
	hd := c.HeadDim
	x := make([][]float64, len(tokens))
	for i, id := range tokens {
		x[i] = row(&w.Embedding, int(id))
	}
	for l := range c.Layers {
		lw, lc := &w.Layers[l], c.Layers[l]
		var keys, values [][]float64 // by position: all heads
		for pos := range x {
			qkv := times(&lw.QKV, norm(x[pos], lw.AttnNorm, c.NormEps))
			q, rest := qkv[:lc.QueryHeads*hd], qkv[lc.QueryHeads*hd:]
			k, v := rest[:lc.KVHeads*hd], rest[lc.KVHeads*hd:]
			rotateHeads(q, lw.QNorm, c, pos)
			rotateHeads(k, lw.KNorm, c, pos)
			keys, values = append(keys, k), append(values, v)
			attended := make([]float64, len(q))
			for h := range lc.QueryHeads {
				kv := h / (lc.QueryHeads / lc.KVHeads) * hd
				weights, sum := make([]float64, pos+1), 0.0
				for j := range weights {
					s := 0.0
					for i := range hd {
						s += q[h*hd+i] * keys[j][kv+i]
					}
					weights[j] = math.Exp(s / math.Sqrt(float64(hd)))
					sum += weights[j]
				}
				for j, p := range weights {
					for i := range hd {
						attended[h*hd+i] += p / sum * values[j][kv+i]
					}
				}
			}
			add(x[pos], times(&lw.Out, attended))
		}
		for pos := range x {
			n := norm(x[pos], lw.FFNNorm, c.NormEps)
			h := times(&lw.Gate, n)
			for i, g := range h {
				h[i] = g / (1 + math.Exp(-g))
			}
			if c.GLU {
				for i, u := range times(&lw.Up, n) {
					h[i] *= u
				}
			}
			add(x[pos], times(&lw.Down, h))
		}
	}
	logits := make([][]float64, len(x))
	for pos := range x {
		logits[pos] = times(&w.Head, norm(x[pos], w.Norm, c.NormEps))
	}
	return logits
}

func row(m *kernels.Matrix, i int) []float64 {
	f := make([]float32, m.Cols)
	m.ReadRow(f, i)
	d := make([]float64, len(f))
	for j, v := range f {
		d[j] = float64(v)
	}
	return d
}

func times(m *kernels.Matrix, x []float64) []float64 {
	y := make([]float64, m.Rows)
	for o := range y {
		for i, w := range row(m, o) {
			y[o] += w * x[i]
		}
	}
	return y
}

func add(x, y []float64) {
	for i, v := range y {
		x[i] += v
	}
}

func norm(x []float64, weight kernels.View, eps float32) []float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	scale := 1 / math.Sqrt(sum/float64(len(x))+float64(eps))
	y := make([]float64, len(x))
	for i, w := range weight.Floats() {
		y[i] = x[i] * scale * float64(w)
	}
	return y
}

// rotateHeads normalises (if the model does) and rotates each head of x.
func rotateHeads(x []float64, weight kernels.View, c *openelm.Config, pos int) {
	hd, half := c.HeadDim, c.HeadDim/2
	for ; len(x) > 0; x = x[hd:] {
		head := x[:hd]
		if c.QKNorm {
			copy(head, norm(head, weight, c.NormEps))
		}
		for i := range half {
			sin, cos := math.Sincos(float64(pos) * math.Pow(c.RopeBase, -2*float64(i)/float64(hd)))
			a, b := head[i], head[half+i]
			head[i], head[half+i] = a*cos-b*sin, b*cos+a*sin
		}
	}
}

// TestAnyConfig holds models of random legal configurations, in every format,
// to the float64 reference.
func TestAnyConfig(t *testing.T) {
	b := cpu.New(cpu.Options{Threads: 2})
	defer b.Close()
	formats := []kernels.Format{kernels.F32, kernels.F16, kernels.BF16, kernels.Affine4, kernels.Affine8, kernels.Q8_0, kernels.Q4_0, kernels.Q4_1}
	rapid.Check(t, func(r *rapid.T) {
		format := rapid.SampledFrom(formats).Draw(r, "format")
		unit := 2 // all widths are multiples of what the format needs
		if !format.Float() {
			unit = 32
		}
		width := func(name string) int { return unit * rapid.IntRange(1, 3).Draw(r, name) }
		c := openelm.Config{
			// A narrower residual stream can nearly cancel, and its norm amplifies
			// the rounding.
			VocabSize: rapid.IntRange(3, 70).Draw(r, "vocab"), ModelDim: 4 * width("dim"), HeadDim: width("head"),
			QKNorm: rapid.Bool().Draw(r, "qknorm"), GLU: rapid.Bool().Draw(r, "glu"), TiedHead: rapid.Bool().Draw(r, "tied"),
			RopeBase: rapid.SampledFrom([]float64{100, 10000, 500000}).Draw(r, "base"), MaxContext: 64, NormEps: 1e-6, BOS: 1, EOS: []int32{2},
		}
		for range rapid.IntRange(1, 4).Draw(r, "layers") {
			kv := rapid.IntRange(1, 3).Draw(r, "kv")
			c.Layers = append(c.Layers, openelm.LayerConfig{QueryHeads: kv * rapid.IntRange(1, 3).Draw(r, "group"), KVHeads: kv, FFNDim: width("ffn")})
		}
		dir := t.TempDir()
		spec := checkpoint.Spec{Config: c, Format: format, Group: 32, Seed: rapid.Uint64().Draw(r, "seed")}
		path, err := write(t.Context(), dir, spec)
		if err != nil {
			r.Fatal(err)
		}
		m, err := loader.Open(t.Context(), path, &loader.Options{Backend: b, NoTokenizer: true})
		if err != nil {
			r.Fatal(err)
		}
		defer m.Close()
		tokens := rapid.SliceOfN(rapid.Int32Range(0, int32(c.VocabSize-1)), 1, 12).Draw(r, "tokens")
		s, err := m.NewSession(nil)
		if err != nil {
			r.Fatal(err)
		}
		defer s.Close()
		want := reference(m, tokens)
		largest := 1.0
		for _, logits := range want {
			for _, l := range logits {
				largest = max(largest, math.Abs(l))
			}
		}
		err = s.AppendEach(t.Context(), func(i int, logits []float32) error {
			for j, l := range logits {
				if d := math.Abs(float64(l) - want[i][j]); !(d < 2e-5*largest) {
					r.Fatalf("%+v: logit %d after token %d is %v, want %v", c, j, i, l, want[i][j])
				}
			}
			return nil
		}, tokens...)
		if err != nil {
			r.Fatal(err)
		}
	})
}

// write makes a checkpoint of the kind that the format belongs to.
func write(ctx context.Context, dir string, spec checkpoint.Spec) (path string, err error) {
	if spec.Format.Float() || spec.Format.Affine() {
		return dir, checkpoint.WriteDir(ctx, dir, spec)
	}
	path = dir + "/model.gguf"
	return path, checkpoint.WriteGGUF(ctx, path, spec)
}
