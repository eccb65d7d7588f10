package cpu

import (
	"math"
	"unsafe"
)

// portableTiles is what the routines of tiles mean, with as many parts of an activation.
// Only tests run it.
func portableTiles(parts int) *tileKernels {
	return &tileKernels{
		parts:     parts,
		sums:      [3]func(*tileArgs){tileSums(1, parts), tileSums(2, parts), tileSums(3, parts)},
		scaled:    [2]func(*tileArgs){tileBlocks(1, parts, false), tileBlocks(2, parts, false)},
		biased:    tileBlocks(1, parts, true),
		sum32:     sum32,
		split:     [3]func(*splitArgs){split(1), split(2), split(3)},
		transpose: transpose,
	}
}

// tileSums multiplies weights of so many parts with activations of so many.
func tileSums(wParts, xParts int) func(*tileArgs) {
	return func(a *tileArgs) {
		a.each(func(c *float32, _, _, _, _ int, w, x unsafe.Pointer) {
			var sum float32
			for step := range a.steps {
				stepProducts(&sum, unsafe.Add(w, step*a.wStep), unsafe.Add(x, step*xParts*tileBytes), wParts, xParts)
			}
			if a.add != 0 {
				sum += *c
			}
			*c = sum
		})
	}
}

// tileBlocks multiplies weights that have a scale, or a scale and a bias, for each step.
func tileBlocks(wParts, xParts int, biased bool) func(*tileArgs) {
	return func(a *tileArgs) {
		a.each(func(c *float32, tile, group, o, r int, w, x unsafe.Pointer) {
			if a.add == 0 {
				*c = 0
			}
			for step := range a.steps {
				var product float32
				stepProducts(&product, unsafe.Add(w, step*a.wStep), unsafe.Add(x, step*xParts*tileBytes), wParts, xParts)
				i := (group*a.steps+step)*groupRows + o
				*c += *at(a.scale, i) * product
				if biased {
					*c += *at(a.bias, i) * *at(a.sums, tile*a.sumsNext/4+step*tileRows+r)
				}
			}
		})
	}
}

// each runs f for every sum: row o of a group's weights, which begins at w, and row r of
// a tile's activations, the first of which are at x.
func (a *tileArgs) each(f func(c *float32, tile, group, o, r int, w, x unsafe.Pointer)) {
	for i := range a.tiles * a.groups * groupCells {
		tile, group, o, r := i/groupCells/a.groups, i/groupCells%a.groups, i%groupCells/tileRows, i%tileRows
		w := unsafe.Add(unsafe.Pointer(a.w), group*a.wGroup+o/tileRows*a.wTile+o%tileRows*a.wRow)
		f(at(a.c, i), tile, group, o, r, w, unsafe.Add(unsafe.Pointer(a.x), tile*a.xNext+4*r))
	}
}

// stepProducts adds those of all parts, but of such as together are below the last bit of
// a float32.
func stepProducts(sum *float32, w, x unsafe.Pointer, wParts, xParts int) {
	for i := range wParts {
		for j := range min(xParts, 3-i) {
			tileProduct(sum, unsafe.Add(w, i*4*tileBytes), unsafe.Add(x, j*tileBytes))
		}
	}
}

// tileProduct adds the product of a row of one tile with a column of another, in the
// order of TDPBF16PS (Intel manual, volume 2).
func tileProduct(sum *float32, row, column unsafe.Pointer) {
	half := func(p unsafe.Pointer) float32 { return math.Float32frombits(uint32(*(*uint16)(p)) << 16) }
	var even, odd float32
	for k := 0; k < tileDepth; k += 2 {
		even += half(unsafe.Add(row, 2*k)) * half(unsafe.Add(column, 32*k))
		odd += half(unsafe.Add(row, 2*k+2)) * half(unsafe.Add(column, 32*k+2))
	}
	*sum += even + odd
}

func sum32(a *sumArgs) {
	for i := range a.steps {
		var sum float32
		for _, v := range unsafe.Slice(at(a.x, i*tileDepth), tileDepth) {
			sum += v
		}
		*at(a.dst, i*tileRows) = sum
	}
}

func split(parts int) func(*splitArgs) {
	return func(a *splitArgs) {
		for i, v := range unsafe.Slice(a.x, tileDepth*a.steps) {
			for part := range parts {
				high := math.Float32bits(v) >> 16
				*(*uint16)(unsafe.Add(unsafe.Pointer(a.dst), i/tileDepth*a.step+part*a.part+i%tileDepth*2)) = uint16(high)
				v -= math.Float32frombits(high << 16)
			}
		}
	}
}

func transpose(a *transposeArgs) {
	for c := 0; c < a.cols; c += tileRows {
		// dst may be src.
		var block [tileRows][tileRows]float32
		for i := range block {
			copy(block[i][:], unsafe.Slice(at(a.src, (c/tileRows*a.srcNext+i*a.srcRow)/4), tileRows))
		}
		for r := range a.rows {
			for i := range min(tileRows, a.cols-c) {
				dst := at(a.dst, (c/tileRows*a.dstNext+r*a.dstRow)/4+i)
				if a.add == 0 {
					*dst = 0
				}
				*dst += block[i][r]
			}
		}
	}
}
