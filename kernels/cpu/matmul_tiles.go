package cpu

import (
	"math"
	"unsafe"

	"github.com/go-openelm/go-openelm/kernels"
)

// Tiles are how AMX multiplies bfloat16: 16 rows of 32 activations with 32 rows
// of 16 weights, the latter in pairs, and sums in float32. Activations are split
// into three bfloat16 each, of 8 bits, which are all 24 bits of a float32: the
// products are those of float32 and differ in nothing but the order of the sums.
const (
	tileRows  = 16
	tileDepth = 32                   // columns of activations, rows of weights
	tileBytes = tileRows * 64        // a row of a tile is 64 bytes
	stepBytes = 3 * tileBytes        // three parts of the same activations
	tileCells = tileRows * tileDepth // bfloat16 in a tile
	tileSteps = 16                   // steps of weights that are packed at once: 32 KiB
)

// set configures the sums of up to 32 rows, activations and weights.
func (c *tileConfig) set(rows0, rows1 int) {
	*c = tileConfig{palette: 1}
	for i, rows := range [8]int{rows0, rows0, rows1, rows1, rows0, rows1, tileRows, tileRows} {
		if rows > 0 {
			c.rows[i], c.rowBytes[i] = uint8(rows), 64
		}
	}
}

// bf16x3 is what the routines of that name compute.
func bf16x3(a *bf16x3Args) {
	for i, v := range unsafe.Slice(a.x, tileDepth*a.steps) {
		for part := range 3 {
			high := math.Float32bits(v) >> 16
			to := unsafe.Add(unsafe.Pointer(a.dst), i/tileDepth*a.next+part*tileBytes+i%tileDepth*2)
			*(*uint16)(to) = uint16(high)
			v -= math.Float32frombits(high << 16)
		}
	}
}

// tiles is what the routines of that name compute, for one or two rows of tiles.
func tiles(a *tileArgs) {
	half := func(v uint16) float32 { return math.Float32frombits(uint32(v) << 16) }
	for i, rows := range [2]int{a.rows0, a.rows1} {
		for r := range rows {
			c := unsafe.Slice(at(a.c, (i*tileRows+r)*a.ldc/4), 2*tileRows)
			if a.add == 0 {
				clear(c)
			}
			for step := range 3 * a.steps {
				x := unsafe.Slice((*uint16)(unsafe.Add(unsafe.Pointer(a.a), i*a.aNext+step*tileBytes+r*64)), tileDepth)
				for o := range c {
					b := unsafe.Slice((*uint32)(unsafe.Add(unsafe.Pointer(a.b), o/tileRows*a.bNext+step/3*tileBytes)), tileCells/2)
					for k, v := range x {
						c[o] += half(v) * half(uint16(b[k/2*tileRows+o%tileRows]>>(k%2*16)))
					}
				}
			}
		}
	}
}

// tiled reports whether prompts are multiplied with w and up in tiles.
func (r *isaTable) tiled(w, up *kernels.Matrix) bool {
	fits := func(m *kernels.Matrix) bool {
		return m == nil || m.Format == kernels.BF16 && m.Cols%tileDepth == 0
	}
	return r.tiles[0] != nil && fits(w) && fits(up)
}

// toBF16x3 splits the activations of a product. Its items are rows.
type toBF16x3 struct {
	dst  []uint16
	from []float32
	cols int
}

func (t *toBF16x3) run(lo, hi int, s *scratch) {
	steps := t.cols / tileDepth
	for r := lo; r < hi; r++ {
		at := r/tileRows*steps*stepBytes/2 + r%tileRows*tileDepth
		s.bf16x3Args = bf16x3Args{dst: &t.dst[at], x: &t.from[r*t.cols], steps: steps, next: stepBytes}
		s.bf16x3(&s.bf16x3Args)
	}
}

// toBF16x3 returns the tiles of activations: for each 16 rows and each 32 columns
// three of them.
func (p *pass) toBF16x3(x []float32, rows, cols int) []uint16 {
	n := (rows + tileRows - 1) / tileRows * (cols / tileDepth) * stepBytes
	buf := grow(&p.blocked, n/4)
	dst := unsafe.Slice((*uint16)(unsafe.Pointer(ptr(buf))), n/2)
	p.bf16x3 = toBF16x3{dst, x, cols}
	p.run(rows, 1+1<<14/cols, &p.bf16x3)
	p.bf16x3 = toBF16x3{}
	return dst
}

// tilePanel is panel in tiles.
func (t *matmul) tilePanel(s *scratch, m *kernels.Matrix, c []float32, ldc, o int, sum bool) {
	n := min(s.tileCols, m.Rows-o)
	all := m.Cols / tileDepth
	for first := 0; first < all; first += tileSteps {
		steps := min(tileSteps, all-first)
		// Pairs of weights are transposed like float32.
		pairs := steps * tileDepth / 2
		packed := grow(&s.packed, s.tileCols*pairs)
		src, stride := m.Data.Bytes()[o*m.RowBytes()+first*2*tileDepth:], m.RowBytes()
		if n < s.tileCols { // rows that m does not have are zero
			rows := grow(&s.rows, s.tileCols*pairs)
			clear(rows[n*pairs:])
			to := unsafe.Slice((*byte)(unsafe.Pointer(ptr(rows))), 4*len(rows))
			for i := range n {
				copy(to[4*i*pairs:4*(i+1)*pairs], src[i*stride:])
			}
			src, stride = to, 4*pairs
		}
		for i := 0; i < s.tileCols; i += packRows {
			s.packArgs = packArgs{dst: &packed[i*pairs], src: (*float32)(unsafe.Pointer(&src[i*stride])), stride: stride, n: pairs}
			s.pack(&s.packArgs)
		}
		s.prefetchPanel(m, o, (first+steps)*tileDepth, s.depth)
		a := &s.tileArgs
		*a = tileArgs{
			ldc: 4 * ldc, aNext: all * stepBytes, b: (*uint32)(unsafe.Pointer(ptr(packed))), bNext: 4 * packRows * pairs,
			steps: steps, config: &s.tileConfig,
		}
		if sum || first > 0 {
			a.add = 1
		}
		for r := 0; r < t.rows; r += 2 * tileRows {
			a.rows0, a.rows1 = min(tileRows, t.rows-r), max(0, min(tileRows, t.rows-r-tileRows))
			s.tileConfig.set(a.rows0, a.rows1)
			a.c, a.a = &c[r*ldc], &t.bf16x3[(r/tileRows*all+first)*stepBytes/2]
			if a.rows1 > 0 {
				s.tiles[1](a)
			} else {
				s.tiles[0](a)
			}
		}
	}
}
