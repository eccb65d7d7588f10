package gpu

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/go-openelm/go-openelm/kernels"
)

// Tuning is how kernels are launched: what [Backend.Tune] found to be fastest on
// one GPU. Whatever it says, no bit of any result changes: all variants of a kernel
// add in one order.
type Tuning struct {
	Matvec []MatvecTuning `json:"matvec"`
	// MatmulThreadgroups is how many threadgroups with tiles of 64 rows it takes for
	// matmul not to prefer tiles of 32.
	MatmulThreadgroups int `json:"matmul_threadgroups"`
	// ChooseThreads is the size of choose's threadgroups.
	ChooseThreads int `json:"choose_threads"`
}

// MatvecTuning is how products of one row with matrices of a format are launched.
type MatvecTuning struct {
	Format string `json:"format"`
	Gated  bool   `json:"gated"` // gate and up in one launch
	// SIMDGroups of a threadgroup, for products that take less than 512 SIMD-groups
	// in all, less than 2,048, and more.
	SIMDGroups [len(matvecClasses)]int `json:"simdgroups"`
}

// ErrTuning is wrapped by errors about a tuning that no GPU has.
var ErrTuning = errors.New("gpu: not a tuning")

var (
	matvecVariants = [...]int{1, 2, 4, 8} // SIMD-groups of a threadgroup
	chooseVariants = [...]int{256, 512, 1024}
	// matvecClasses are sizes of products, by the number of SIMD-groups that they
	// take: the first size that is not of the class.
	matvecClasses = [...]int{512, 2048, math.MaxInt}
)

// geometry is a tuning as launchers read it.
type geometry struct {
	matvec        [len(units)][2][len(matvecClasses)]int // by format, gated, class
	matmulGroups  int
	chooseThreads int
}

// defaultGeometry is what internal/gpumodel finds good for all Apple GPUs.
func defaultGeometry() *geometry {
	g := &geometry{matmulGroups: matmulMinGroups, chooseThreads: chooseThreads}
	for f := range g.matvec {
		for gated := range g.matvec[f] {
			for class := range g.matvec[f][gated] {
				g.matvec[f][gated][class] = matvecSimdgroups
			}
		}
	}
	return g
}

// matvecClass is the class of a product that takes so many SIMD-groups.
func matvecClass(simdgroups int) int {
	class := 0
	for simdgroups >= matvecClasses[class] {
		class++
	}
	return class
}

// SetTuning makes passes from now on launch kernels as t says; nil is what they are
// launched like by default. Errors wrap [ErrTuning].
func (b *Backend) SetTuning(t *Tuning) error {
	g := defaultGeometry()
	if t != nil {
		if err := g.set(t); err != nil {
			return err
		}
	}
	b.geometry.Store(g)
	return nil
}

func (g *geometry) set(t *Tuning) error {
	for _, m := range t.Matvec {
		f, ok := tunedFormats[m.Format]
		if !ok {
			return fmt.Errorf("%w: matrices in %q", ErrTuning, m.Format)
		}
		for _, n := range m.SIMDGroups {
			if !slices.Contains(matvecVariants[:], n) {
				return fmt.Errorf("%w: matvec with %d SIMD-groups, want one of %v", ErrTuning, n, matvecVariants)
			}
		}
		g.matvec[f][gatedIndex(m.Gated)] = m.SIMDGroups
	}
	if !slices.Contains(chooseVariants[:], t.ChooseThreads) {
		return fmt.Errorf("%w: choose with %d threads, want one of %v", ErrTuning, t.ChooseThreads, chooseVariants)
	}
	if t.MatmulThreadgroups < 1 {
		return fmt.Errorf("%w: tiles of 64 rows from %d threadgroups on", ErrTuning, t.MatmulThreadgroups)
	}
	g.matmulGroups, g.chooseThreads = t.MatmulThreadgroups, t.ChooseThreads
	return nil
}

func gatedIndex(gated bool) int {
	if gated {
		return 1
	}
	return 0
}

// tunedFormats are the formats that have kernels, by name.
var tunedFormats = func() map[string]kernels.Format {
	m := map[string]kernels.Format{}
	for f := kernels.F32; f.Valid(); f++ {
		if unitCols(f) > 0 {
			m[f.String()] = f
		}
	}
	return m
}()

// SourceDigest identifies the kernels: a tuning is for those it was made with.
func SourceDigest() string {
	h := sha256.New()
	for _, s := range []*source{&matvecSource, &matmulSource, &chooseSource} {
		io.WriteString(h, s.program()) // never fails
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
