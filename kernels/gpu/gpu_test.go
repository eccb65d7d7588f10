package gpu_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/internal/optest"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/gpu"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

// open starts the simulator (on macOS there is none) and a backend, which the
// test's end closes.
func open(t testing.TB) (*metalsim.Simulator, *gpu.Backend) {
	t.Helper()
	sim := metalsim.Start(t)
	b, err := gpu.Open(gpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return sim, b
}

// TestConformance runs every operation and format over random shapes, every
// kernel under the whole checker.
func TestConformance(t *testing.T) {
	// A check is a few milliseconds on the CPU but a tenth of a second here.
	f := flag.Lookup("rapid.checks")
	before := f.Value.String()
	if err := f.Value.Set("6"); err != nil {
		t.Fatal(err)
	}
	defer f.Value.Set(before)
	_, b := open(t)
	optest.Conformance(t, b)
}

// config is the configuration of one of Apple's models.
func config(t testing.TB, name string) *openelm.Config {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../testdata/configs", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := loader.ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// model makes a model of zeros in a buffer, which takes no memory until it is
// written to. It returns the bytes of the weights that a token reads whole: all
// but the embedding of an untied head.
func model(t testing.TB, b kernels.Backend, c *openelm.Config, format kernels.Format) (*openelm.Model, int) {
	t.Helper()
	var matrices []*kernels.Matrix
	var vectors []*kernels.View
	var w openelm.Weights
	matrix := func(m *kernels.Matrix, rows, cols int) {
		*m = kernels.Matrix{Rows: rows, Cols: cols, Format: format}
		matrices = append(matrices, m)
	}
	vector := func(v *kernels.View, n int) {
		v.Len = 4 * n
		vectors = append(vectors, v)
	}
	matrix(&w.Embedding, c.VocabSize, c.ModelDim)
	vector(&w.Norm, c.ModelDim)
	if !c.TiedHead {
		matrix(&w.Head, c.VocabSize, c.ModelDim)
	}
	w.Layers = make([]openelm.LayerWeights, len(c.Layers))
	for i := range w.Layers {
		l, lc := &w.Layers[i], c.Layers[i]
		vector(&l.AttnNorm, c.ModelDim)
		matrix(&l.QKV, c.QKVDim(i), c.ModelDim)
		vector(&l.QNorm, c.HeadDim)
		vector(&l.KNorm, c.HeadDim)
		matrix(&l.Out, c.ModelDim, lc.QueryHeads*c.HeadDim)
		vector(&l.FFNNorm, c.ModelDim)
		matrix(&l.Gate, lc.FFNDim, c.ModelDim)
		matrix(&l.Up, lc.FFNDim, c.ModelDim)
		matrix(&l.Down, c.ModelDim, lc.FFNDim)
	}
	size := 0
	allot := func(n int) (off int) {
		off, size = size, size+(n+255)&^255
		return off
	}
	for _, m := range matrices {
		m.Data.Len = m.Rows * m.RowBytes()
		m.Data.Off = allot(m.Data.Len)
	}
	for _, v := range vectors {
		v.Off = allot(v.Len)
	}
	buf, err := b.NewBuffer(size)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, m := range matrices {
		m.Data.Buf = buf
		read += m.Data.Len
	}
	for _, v := range vectors {
		v.Buf = buf
		read += v.Len
	}
	if !c.TiedHead {
		read -= w.Embedding.Data.Len
	}
	m, err := openelm.New(openelm.Parts{Config: *c, Weights: w, Backend: b})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.Close()
		buf.Release()
	})
	return m, read
}

func session(t testing.TB, m *openelm.Model, capacity int) *openelm.Session {
	t.Helper()
	s, err := m.NewSession(&openelm.SessionOptions{Capacity: capacity})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
