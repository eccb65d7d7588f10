package gpu_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/go-openelm/go-openelm/internal/checkpoint"
	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/gpu"
	"github.com/go-openelm/go-openelm/openelm"
)

// soak reports whether tests run their long forms (make soak).
var soak = os.Getenv("OPENELM_SOAK") != ""

// layouts are the ways to store a matrix that have kernels.
var layouts = []kernels.Layout{
	{Format: kernels.BF16}, {Format: kernels.F16}, {Format: kernels.F32},
	{Format: kernels.Q8_0}, {Format: kernels.Q4_0}, {Format: kernels.Q4_1}, {Format: kernels.Q5_0}, {Format: kernels.Q5_1},
	{Format: kernels.Q2_K}, {Format: kernels.Q3_K}, {Format: kernels.Q4_K}, {Format: kernels.Q5_K}, {Format: kernels.Q6_K},
	{Format: kernels.IQ4_NL}, {Format: kernels.IQ4_XS},
	{Format: kernels.Affine4, Group: 32, ScaleFormat: kernels.BF16},
	{Format: kernels.Affine4, Group: 64, ScaleFormat: kernels.F16},
	{Format: kernels.Affine8, Group: 128, ScaleFormat: kernels.F32},
}

// TestSweep launches what a person can ask of Apple's four models, with the work
// left out: prompts of every length, every number of sessions, every context,
// chunks after chunks. It holds the launchers' arithmetic to Metal's limits, in
// every order of kernels, whatever their geometry.
func TestSweep(t *testing.T) {
	for i, name := range []string{"270M", "450M", "1_1B", "3B"} {
		for j, layout := range layouts {
			// Compiling the kernels of a format takes the time, and launchers
			// know a format by its size only: one does everything, the smallest
			// ones some of it. Adapters come with one model.
			all, adapters := soak || j == 0, soak || i+j == 0
			small := name == "3B" && layout.Format == kernels.Q4_0 || name == "1_1B" && layout.Format == kernels.Affine4 && layout.Group == 64
			if !all && !small {
				continue
			}
			t.Run(fmt.Sprintf("%s/%v", name, layout.Format), func(t *testing.T) {
				const most = "1099511627776" // bytes of zeros, which take none
				sim, b := open(t, "memory", most, "buffer", most)
				s := newSweep(t, sim, b, name, layout)
				s.chunks()
				if all {
					s.prompts()
					s.contexts()
					s.sessions()
				}
				if adapters {
					for _, a := range s.adapters(1, 3, 8, 64, 256) {
						s.adapter = a
						s.chunks()
						s.sessions()
					}
				}
			})
		}
	}
}

// sweep launches one model in many ways.
type sweep struct {
	t       *testing.T
	sim     *metalsim.Simulator
	b       *gpu.Backend
	c       *openelm.Config
	m       *openelm.Model
	rng     *rand.Rand
	adapter *openelm.Adapter
}

func newSweep(t *testing.T, sim *metalsim.Simulator, b *gpu.Backend, name string, layout kernels.Layout) *sweep {
	if !sim.Simulated() {
		t.Skip("only the simulator can leave out the work")
	}
	sim.Set(t, "execute", "0")
	sim.Set(t, "mode", "plain")
	sim.Set(t, "coverage", "0")
	c := config(t, name)
	m, _, err := checkpoint.Zeros(b, c, layout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return &sweep{t: t, sim: sim, b: b, c: c, m: m, rng: rand.New(rand.NewPCG(10, uint64(layout.Format)))}
}

func (s *sweep) session(capacity int) *openelm.Session {
	s.t.Helper()
	n, err := s.m.NewSession(&openelm.SessionOptions{Capacity: capacity, Adapter: s.adapter})
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// append adds n tokens to a session.
func (s *sweep) append(n *openelm.Session, tokens int) {
	s.t.Helper()
	at := n.Len()
	if err := n.Append(s.t.Context(), make([]int32, tokens)...); err != nil {
		s.t.Fatalf("%d tokens after %d: %v", tokens, at, err)
	}
}

// prompts has prompts of 1 to 300 tokens, and of what is cut into two passes, with the logits of the last token and,
// up to the rows whose logits are computed at once, of all.
func (s *sweep) prompts() {
	n := s.session(600)
	defer n.Close()
	for rows := 1; rows <= 550; rows++ {
		if rows > 300 && rows < 505 {
			continue
		}
		n.Truncate(0)
		s.append(n, rows)
		if rows > 20 {
			continue
		}
		n.Truncate(0)
		err := n.AppendEach(s.t.Context(), func(int, []float32) error { return nil }, make([]int32, rows)...)
		if err != nil {
			s.t.Fatalf("logits of %d tokens: %v", rows, err)
		}
	}
}

// contexts has a token after every number of tokens that the model can hold.
func (s *sweep) contexts() {
	n := s.session(s.c.MaxContext)
	defer n.Close()
	for range s.c.MaxContext {
		s.append(n, 1)
	}
}

// sessions has steps of 1 to 20 sessions of all lengths, some of which have more
// than one token to go.
func (s *sweep) sessions() {
	var all []*openelm.Session
	defer func() {
		for _, n := range all {
			n.Close()
		}
	}()
	for range 20 {
		n := s.session(s.c.MaxContext)
		all = append(all, n)
		s.append(n, 1+s.rng.IntN(s.c.MaxContext/2))
	}
	for count := 1; count <= len(all); count++ {
		for _, most := range []int{40, 300, s.c.MaxContext - 20} {
			for pushed := range 2 {
				for _, n := range all {
					n.Truncate(min(n.Len(), s.rng.IntN(most)))
					if pushed == 1 && s.rng.IntN(3) == 0 {
						n.Push(make([]int32, s.rng.IntN(12))...)
					}
				}
				if err := openelm.Step(s.t.Context(), all[:count], make([]int32, count)); err != nil {
					s.t.Fatalf("a step of %d sessions: %v", count, err)
				}
			}
		}
	}
}

// chunks fills sessions with chunks of any size, mostly small ones.
func (s *sweep) chunks() {
	n := s.session(s.c.MaxContext)
	defer n.Close()
	for range 10 {
		n.Truncate(0)
		for n.Len() < s.c.MaxContext {
			most := []int{3, 12, 40, 300}[s.rng.IntN(4)]
			s.append(n, min(1+s.rng.IntN(most), s.c.MaxContext-n.Len()))
		}
	}
}

// adapters are of every rank: over all matrices of a model, with and without
// the row scales of DoRA, and over one of each kind of matrix.
func (s *sweep) adapters(ranks ...int) (list []*openelm.Adapter) {
	s.t.Helper()
	largest := 4 * 256 * max(s.c.VocabSize, s.c.ModelDim) // what any of A, B and the scales takes
	buf, err := s.b.NewBuffer(largest)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(buf.Release)
	v := kernels.Whole(buf)
	matrix := func(rows, cols int) kernels.Matrix {
		return kernels.Matrix{Rows: rows, Cols: cols, Format: kernels.F32, Data: v.Slice(0, 4*rows*cols)}
	}
	w := s.m.Weights()
	for i, rank := range ranks {
		on := func(w *kernels.Matrix, chosen bool) *kernels.LowRank {
			if !chosen {
				return nil
			}
			r := &kernels.LowRank{A: matrix(rank, w.Cols), B: matrix(w.Rows, rank)}
			if i%2 == 1 {
				r.RowScale = v.Slice(0, 4*w.Rows)
			}
			return r
		}
		a := &openelm.Adapter{Layers: make([]openelm.LayerAdapter, len(w.Layers)), Head: on(&w.Embedding, i%2 == 0)}
		for j := range w.Layers {
			l, all, one := &w.Layers[j], j%2 == 0, j/2%5
			a.Layers[j] = openelm.LayerAdapter{
				QKV: on(&l.QKV, all || one == 0), Out: on(&l.Out, all || one == 1), Gate: on(&l.Gate, all || one == 2),
				Up: on(&l.Up, all || one == 3), Down: on(&l.Down, all || one == 4),
			}
		}
		list = append(list, a)
	}
	return list
}
