package gpu_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/gpu"
	"github.com/go-openelm/go-openelm/loader"
)

// TestSmallBuffers opens files that are larger than the device's largest buffer:
// the weights are the file's all the same, in place, and the text is.
func TestSmallBuffers(t *testing.T) {
	const largest = 320 << 10
	for _, name := range []string{"tiny-f32", "tiny-untied", "gguf-f16", "gguf-q8_0", "mlx-q8-g32"} {
		t.Run(name, func(t *testing.T) {
			sim := simulated(t)
			p := pack(t, name)
			prompt := p.Ints("p0.input_ids")
			open := func() (*gpu.Backend, func()) {
				b, err := gpu.Open(gpu.Options{})
				if err != nil {
					t.Fatal(err)
				}
				return b, func() { b.Close() }
			}
			whole, done := open()
			defer done()
			before := sim.Counters().Buffers
			m := load(t, p, whole)
			defer m.Close()
			one := sim.Counters().Buffers - before
			want, err := generate(t, m, m, prompt)
			if err != nil {
				t.Fatal(err)
			}
			sim.Set(t, "buffer", fmt.Sprint(largest))
			small, done := open()
			defer done()
			before = sim.Counters().Buffers
			cut := load(t, p, small)
			defer cut.Close()
			if several := sim.Counters().Buffers - before; several <= one {
				t.Errorf("%d buffers, %d with large ones", several, one)
			}
			a, b := m.Weights(), cut.Weights()
			for i := range a.Layers {
				for _, pair := range [][2]*kernels.Matrix{
					{&a.Layers[i].QKV, &b.Layers[i].QKV}, {&a.Layers[i].Out, &b.Layers[i].Out}, {&a.Layers[i].Gate, &b.Layers[i].Gate},
					{&a.Layers[i].Up, &b.Layers[i].Up}, {&a.Layers[i].Down, &b.Layers[i].Down}, {&a.Embedding, &b.Embedding}, {&a.Head, &b.Head},
				} {
					for part, v := range map[string][2]kernels.View{"weights": {pair[0].Data, pair[1].Data}, "scales": {pair[0].Scales, pair[1].Scales}, "biases": {pair[0].Biases, pair[1].Biases}} {
						if string(v[0].Bytes()) != string(v[1].Bytes()) {
							t.Fatalf("layer %d: other %s", i, part)
						}
					}
				}
			}
			got, err := generate(t, cut, cut, prompt)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%v, %v, want %v", got, err, want)
			}
			// A tensor must lie in one buffer.
			sim.Set(t, "buffer", "16384")
			tiny, done := open()
			defer done()
			var size *gpu.BufferSizeError
			if m, err := loader.Open(t.Context(), p.Path(), &loader.Options{Backend: tiny, NoTokenizer: true}); err == nil {
				m.Close()
				t.Error("opened with buffers smaller than a tensor")
			} else if !errors.As(err, &size) || size.Max != 16384 {
				t.Errorf("%v, want a BufferSizeError", err)
			}
		})
	}
}
