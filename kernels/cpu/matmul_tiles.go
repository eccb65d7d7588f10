package cpu

import (
	"unsafe"

	"github.com/go-openelm/go-openelm/kernels"
)

// Tiles are how AMX multiplies bfloat16: 16 rows of 32 columns with 32 rows of 16, the
// latter in pairs, and sums in float32. Weights are the first operand, as they are in
// memory, and activations the second, transposed once for all weights.
//
// An activation is three bfloat16, of 8 bits, which are all 24 bits of a float32; a
// weight is as many as it needs. The products are those of float32 and differ in nothing
// but the order of the sums, which follows from the columns alone.
const (
	tileRows   = 16
	tileDepth  = 32                   // columns of a step
	tileBytes  = tileRows * 64        // a row of a tile is 64 bytes
	groupRows  = 4 * tileRows         // of weights, which a routine multiplies together
	groupCells = groupRows * tileRows // sums of them and of a tile of activations
)

// What goes through the cache together. The weights of a panel stay in the second level,
// 640 KiB, while all activations pass over them; longer rows go in parts. Where all
// activations fit in as well, as those of 128 rows of 1,280 columns do, they stay there
// and the panels are small.
const (
	mostGroups = 4
	mostSteps  = 40
	fewBytes   = 1 << 20 // of activations; with up to as many, a panel is one group
)

// zeroTile lies in whole cache lines, as a constant in assembly would not.
var zeroTile = aligned(tileBytes / 4)

// tileKernels are the routines that multiply in tiles.
type tileKernels struct {
	parts int // bfloat16 of an activation: three, or one, for activations that are bfloat16

	// sums multiplies weights of 1, 2 or 3 parts.
	sums [3]func(*tileArgs)
	// scaled multiplies weights of 1 or 2 parts that have a scale for each step, biased
	// those of one that have a scale and a bias.
	scaled [2]func(*tileArgs)
	biased func(*tileArgs)

	// split makes 1, 2 or 3 parts of a row.
	split     [3]func(*splitArgs)
	sum32     func(*sumArgs)
	transpose func(*transposeArgs)
}

// tiledRows are activations in tiles.
type tiledRows struct {
	*tileKernels           // nil: they are not
	x            []uint16  // as tileArgs has them
	sums         []float32 // of each step, where weights have biases
	steps        int
	next         int // bytes from 16 rows to the next
}

// toTiles brings activations into tiles. Its items are tiles of 16 rows.
type toTiles struct {
	tiledRows
	from       []float32
	rows, cols int
}

func (t *toTiles) run(lo, hi int, s *scratch) {
	for tile := lo; tile < hi; tile++ {
		x := t.x[tile*t.next/2 : (tile+1)*t.next/2]
		rows := min(tileRows, t.rows-tile*tileRows)
		if rows < tileRows {
			clear(x)
		}
		for r := range rows {
			from := t.from[(tile*tileRows+r)*t.cols:][:t.cols]
			s.splitRow(t.split[t.parts-1], x[r*tileDepth:], from, tileBytes, t.parts*tileBytes)
			if t.sums != nil {
				s.sumArgs = sumArgs{dst: &t.sums[tile*t.steps*tileRows+r], x: &from[0], steps: t.steps}
				t.sum32(&s.sumArgs)
			}
		}
		f := (*float32)(unsafe.Pointer(unsafe.SliceData(x)))
		s.transposeArgs = transposeArgs{
			dst: f, src: f, dstRow: 64, dstNext: tileBytes, srcRow: 64, srcNext: tileBytes, rows: tileRows, cols: tileRows * t.parts * t.steps,
		}
		t.transpose(&s.transposeArgs)
	}
}

func (p *pass) toTiles(k *tileKernels, x []float32, rows, cols int, sums bool) tiledRows {
	t := tiledRows{tileKernels: k, steps: (cols + tileDepth - 1) / tileDepth}
	t.next = t.steps * t.parts * tileBytes
	tiles := (rows + tileRows - 1) / tileRows
	t.x = words(grow(&p.blocked, tiles*t.next/4))
	if sums {
		t.sums = grow(&p.tileSums, tiles*t.steps*tileRows)
		clear(t.sums[(tiles-1)*t.steps*tileRows:])
	}
	p.tiling = toTiles{t, x, rows, cols}
	p.run(tiles, 1+1<<10/cols, &p.tiling)
	p.tiling = toTiles{}
	return t
}

// words is the memory of f as words.
func words(f []float32) []uint16 {
	return unsafe.Slice((*uint16)(unsafe.Pointer(ptr(f))), 2*len(f))
}

// splitRow makes a row of each part's tiles from row, so many bytes from one part to the
// next and from one step to the next. Columns that the last step lacks are zero.
func (s *scratch) splitRow(split func(*splitArgs), dst []uint16, row []float32, part, step int) {
	steps := len(row) / tileDepth
	if steps > 0 {
		s.splitArgs = splitArgs{dst: &dst[0], x: &row[0], steps: steps, part: part, step: step}
		split(&s.splitArgs)
	}
	if rest := row[steps*tileDepth:]; len(rest) > 0 {
		clear(s.lastStep[copy(s.lastStep[:], rest):])
		s.splitArgs = splitArgs{dst: &dst[steps*step/2], x: &s.lastStep[0], steps: 1, part: part, step: step}
		split(&s.splitArgs)
	}
}

// weightParts is how many bfloat16 hold a weight, or the integer in it.
func (r *isaTable) weightParts(m *kernels.Matrix) int {
	switch unpack := r.formats[m.Format].unpack; {
	case unpack.run != nil:
		return unpack.parts
	case m.Format == kernels.BF16:
		return 1
	case m.Format == kernels.F16: // 11 bits
		return 2
	}
	return 3
}

// biased reports whether w or up has integers with a bias.
func (r *isaTable) biased(w, up *kernels.Matrix) bool {
	return r.formats[w.Format].unpack.biased || up != nil && r.formats[up.Format].unpack.biased
}

// panelGroups is how many groups a panel of w, or of w and up, has.
func (r *isaTable) panelGroups(x tiledRows, w, up *kernels.Matrix) int {
	switch {
	case 2*len(x.x) <= fewBytes:
		return 1
	case r.weightParts(w) > 1 || up != nil && r.weightParts(up) > 1:
		return mostGroups / 2
	}
	return mostGroups
}

// panelSteps is how many steps of m a panel has. Where a sum is interrupted follows from
// it, so that it must not depend on the activations.
func (r *isaTable) panelSteps(m *kernels.Matrix) int {
	most := mostSteps
	if parts := r.weightParts(m); parts > 1 {
		most = 2 * mostSteps / parts // of half as many groups
	}
	unit := max(1, m.Format.BlockCols()/tileDepth, m.Group/tileDepth)
	return most / unit * unit
}

// tilePanel is accumulate in tiles, for n rows of m.
func (t *matmul) tilePanel(s *scratch, m *kernels.Matrix, c []float32, ldc, o, n int, sum bool) {
	tiles, groups := (t.rows+tileRows-1)/tileRows, (n+groupRows-1)/groupRows
	sums := grow(&s.tileSums, tiles*groups*groupCells)
	a := &s.tileArgs
	*a = tileArgs{c: ptr(sums), xNext: t.tiled.next, tiles: tiles, groups: groups, block: ptr(grow(&s.tileBlock, groupCells)), zeros: ptr(zeroTile)}
	most := s.panelSteps(m)
	for first := 0; first < t.tiled.steps; first += most {
		a.steps = min(most, t.tiled.steps-first)
		a.x = &t.tiled.x[first*t.tiled.parts*tileBytes/2]
		if t.tiled.sums != nil {
			a.sums, a.sumsNext = &t.tiled.sums[first*tileRows], 4*t.tiled.steps*tileRows
		}
		t.tiled.weights(s, a, m, o, n, first)(a)
		a.add = 1
	}
	for tile := range tiles {
		s.transposeArgs = transposeArgs{
			dst: &c[tile*tileRows*ldc], src: &sums[tile*groups*groupCells],
			dstRow: 4 * ldc, dstNext: 64, srcRow: 64, srcNext: tileBytes, rows: min(tileRows, t.rows-tile*tileRows), cols: n,
		}
		if sum {
			s.transposeArgs.add = 1
		}
		t.tiled.transpose(&s.transposeArgs)
	}
}

// weights sets the weights of a product, n rows of m from o on, and their columns
// from a step on, and returns the routine for them.
func (k *tileKernels) weights(s *scratch, a *tileArgs, m *kernels.Matrix, o, n, first int) func(*tileArgs) {
	unpack, parts := s.formats[m.Format].unpack, s.weightParts(m)
	switch {
	case unpack.run != nil:
		s.unpackTiles(a, m, o, n, first, k)
		if unpack.biased {
			return k.biased
		}
		return k.scaled[parts-1]
	case m.Format == kernels.BF16:
		s.naturalTiles(a, m, o, n, first)
	default:
		s.splitTiles(a, m, o, n, first, parts, k.split[parts-1])
	}
	return k.sums[parts-1]
}

// naturalTiles are weights as they are, if they are rows of whole cache lines: a tile
// whose rows cross lines takes five times as long to load. Others are copied.
func (s *scratch) naturalTiles(a *tileArgs, m *kernels.Matrix, o, n, first int) {
	stride := m.RowBytes()
	w := m.Data.Bytes()[o*stride+first*2*tileDepth:]
	if n%groupRows != 0 || stride%64 != 0 || uintptr(unsafe.Pointer(&w[0]))%64 != 0 {
		used := min(a.steps*2*tileDepth, stride-first*2*tileDepth)
		copied := a.steps*2*tileDepth + 64 // not a multiple of a page
		buf := grow(&s.tileWeights, a.groups*groupRows*copied/4)
		dst := unsafe.Slice((*byte)(unsafe.Pointer(ptr(buf))), 4*len(buf))
		for i := range n {
			row := dst[i*copied : (i+1)*copied]
			clear(row[copy(row, w[i*stride:][:used]):])
		}
		clear(dst[n*copied:])
		w, stride = dst, copied
	}
	a.w = (*uint16)(unsafe.Pointer(&w[0]))
	a.wRow, a.wTile, a.wGroup, a.wStep = stride, tileRows*stride, groupRows*stride, 2*tileDepth
}

// inTiles sets the distances of weights in tiles.
func (a *tileArgs) inTiles(parts int) {
	a.wRow, a.wTile, a.wStep = 64, tileBytes, parts*4*tileBytes
	a.wGroup = a.steps * a.wStep
}

// splitTiles are weights in parts: [group][step][part][64 rows].
func (s *scratch) splitTiles(a *tileArgs, m *kernels.Matrix, o, n, first, parts int, split func(*splitArgs)) {
	a.inTiles(parts)
	dst := words(grow(&s.tileWeights, a.groups*a.wGroup/4))
	cols := min(a.steps*tileDepth, m.Cols-first*tileDepth)
	row := grow(&s.rows, a.steps*tileDepth)[:cols]
	for i := range a.groups * groupRows {
		if i < n {
			s.widenRow(row, m, o+i, first*tileDepth)
		} else {
			clear(row)
		}
		s.splitRow(split, dst[i/groupRows*a.wGroup/2+i%groupRows*tileDepth:], row, 4*tileBytes, a.wStep)
	}
	a.w = &dst[0]
}

// unpackTiles are weights as integers, [group][step][part][64 rows], and their scales.
func (s *scratch) unpackTiles(a *tileArgs, m *kernels.Matrix, o, n, first int, k *tileKernels) {
	a.inTiles(s.formats[m.Format].unpack.parts)
	all := words(grow(&s.tileWeights, a.groups*a.wGroup/4))
	scales := a.steps * groupRows // of a group
	both := grow(&s.tileScales, 2*a.groups*scales)
	a.w, a.scale, a.bias = &all[0], &both[0], &both[a.groups*scales]
	blockSteps := max(1, m.Format.BlockCols()/tileDepth)
	for group := range a.groups {
		w := all[group*a.wGroup/2:][:a.wGroup/2]
		scale, bias := both[group*scales:][:scales], both[(a.groups+group)*scales:][:scales]
		from := o + group*groupRows
		rows := min(groupRows, o+n-from)
		if rows < groupRows {
			clear(w)
			clear(scale)
			clear(bias)
		}
		for step := 0; step < a.steps; step += blockSteps {
			src := m.Data.Bytes()[from*m.RowBytes()+(first+step)*tileDepth/m.Format.BlockCols()*m.Format.BlockBytes():]
			s.unpackArgs = unpackArgs{
				dst: &w[step*a.wStep/2], src: &src[0], stride: m.RowBytes(), rows: rows,
				scale: &scale[step*groupRows], bias: &bias[step*groupRows],
			}
			s.formats[m.Format].unpack.run(&s.unpackArgs)
		}
		if m.Format.Affine() {
			s.affineScales(scale, bias, m, from, rows, first, k)
		}
	}
}

// affineScales are those of the steps from first on of 64 rows of m, of which there are
// rows. Integers are less the middle of their range.
func (s *scratch) affineScales(scale, bias []float32, m *kernels.Matrix, from, rows, first int, k *tileKernels) {
	middle := float32(8)
	if m.Format == kernels.Affine8 {
		middle = 128
	}
	steps, inGroup, all := len(scale)/groupRows, m.Group/tileDepth, m.Cols/m.Group
	n := steps / inGroup
	stride := (n + tileRows - 1) &^ (tileRows - 1)
	buf := grow(&s.scales, 2*groupRows*stride)
	clear(buf)
	d, b := buf[:groupRows*stride], buf[groupRows*stride:]
	for r := range rows {
		d, b := d[r*stride:][:n], b[r*stride:][:n]
		s.floats(d, m.Scales, m.ScaleFormat, (from+r)*all+first/inGroup)
		s.floats(b, m.Biases, m.ScaleFormat, (from+r)*all+first/inGroup)
		for i, v := range d {
			b[i] += middle * v
		}
	}
	for i := 0; i < n; i += tileRows {
		s.transposeArgs = transposeArgs{
			dst: &scale[i*inGroup*groupRows], src: &d[i], dstRow: inGroup * 4 * groupRows, dstNext: 4 * tileRows, srcRow: 4 * stride, srcNext: tileRows * 4 * stride,
			rows: min(tileRows, n-i), cols: groupRows,
		}
		k.transpose(&s.transposeArgs)
		s.transposeArgs.dst, s.transposeArgs.src = &bias[i*inGroup*groupRows], &b[i]
		k.transpose(&s.transposeArgs)
	}
	for i := range steps {
		if of := i / inGroup * inGroup; i != of {
			copy(scale[i*groupRows:(i+1)*groupRows], scale[of*groupRows:])
			copy(bias[i*groupRows:(i+1)*groupRows], bias[of*groupRows:])
		}
	}
}
