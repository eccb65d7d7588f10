package quantize

import (
	"math"

	"github.com/go-openelm/go-openelm/kernels"
)

// The K formats describe a group of columns by a small whole scale s and, but
// for Q6_K, a small whole minimum m, both in units that the block of 256 columns
// shares: w = d·s·q − dmin·m. An encoder first finds what scale and minimum suit
// each group if both could be any number, takes units from the largest of them,
// and then improves whole numbers and units in turn.

// refit is the best scale and minimum for the q that scale and minimum give.
func (g *group) refit(scale, minimum float64, signed bool) candidate {
	p := g.sum(scale, minimum)
	if signed {
		scale, minimum = fitScale(p), 0
	} else {
		scale, minimum = g.fit(p)
	}
	return candidate{scale, minimum, g.error(p, scale, minimum)}
}

// try keeps the refit of scale and minimum if it is the best so far.
func (c *candidate) try(g *group, scale, minimum float64, signed bool) {
	r := g.refit(scale, minimum, signed)
	r.settle(g, signed)
	if r.err < c.err {
		*c = r
	}
}

// settle refits c for as long as that helps.
func (c *candidate) settle(g *group, signed bool) {
	for range 3 {
		r := g.refit(c.scale, c.minimum, signed)
		if !(r.err < c.err) {
			return
		}
		*c = r
	}
}

// candidate is a scale and a minimum, with their error.
type candidate struct{ scale, minimum, err float64 }

// search finds a scale and a minimum that are any numbers. The first tries map
// the group's range onto q's, a little wider or narrower each.
func (g *group) search() candidate {
	low, high := 0.0, math.Inf(-1) // the minimum is at least 0
	for _, v := range g.x {
		low, high = min(low, v), max(high, v)
	}
	best := candidate{err: math.Inf(1)}
	best.try(g, 0, 0, false)
	if width := high - low; width > 0 {
		for step := -1.0; step <= 1.0; step += 0.125 {
			best.try(g, width/(g.high+step), -low, false)
		}
	}
	return best
}

// searchSigned is search for formats without a minimum, whose q are signed.
func (g *group) searchSigned() candidate {
	extreme := 0.0
	for _, v := range g.x {
		if math.Abs(v) > math.Abs(extreme) {
			extreme = v
		}
	}
	best := candidate{err: math.Inf(1)}
	best.try(g, 0, 0, true)
	if extreme != 0 {
		for step := -1.0; step <= 1.0; step += 0.125 {
			best.try(g, extreme/(g.low-step), 0, true)
			best.try(g, extreme/(g.high+step), 0, true)
		}
	}
	return best
}

// maxGroups is how many groups a block has at most: Q6_K's.
const maxGroups = 16

// superblock is a block of 256 columns in the making.
type superblock struct {
	groups []group
	limits
	units
	scale, minimum [maxGroups]int      // of each group, in units of d and dmin
	products       [maxGroups]products // of each group, for these
}

// limits are those of a group's whole scale, and of its minimum, 0 if there is none.
type limits struct{ low, high, top int }

// units are what whole scales and minima count.
type units struct{ d, dmin float64 }

// solve finds whole scales and minima for those of found, and their units. The
// unit that lets the largest scale just fit is not always the best: a few
// larger ones are tried.
func (b *superblock) solve(found []candidate) {
	var scale, minimum float64
	for _, c := range found {
		if math.Abs(c.scale) > math.Abs(scale) {
			scale = c.scale
		}
		minimum = max(minimum, c.minimum)
	}
	top := float64(b.high)
	if b.low < 0 { // there is one more negative scale
		top = float64(b.low)
	}
	best, bestErr := *b, math.Inf(1)
	for spare := range 4 {
		t := *b
		t.d = f16(scale / (top * (1 - float64(spare)/64)))
		if b.top > 0 {
			t.dmin = f16(minimum / (float64(b.top) * (1 - float64(spare)/64)))
		}
		for j, c := range found {
			t.scale[j] = whole(c.scale, t.d, b.low, b.high)
			t.minimum[j] = whole(c.minimum, t.dmin, 0, b.top)
		}
		if e := t.improve(); e < bestErr {
			best, bestErr = t, e
		}
	}
	*b = best
}

func f16(v float64) float64 { return float64(kernels.FromF16(kernels.ToF16(float32(v)))) }

func whole(v, unit float64, low, high int) int {
	if unit == 0 {
		return max(low, 0)
	}
	return int(min(max(math.RoundToEven(v/unit), float64(low)), float64(high)))
}

// improve changes each group's scale and minimum by one where that helps, then
// the units for the q that are so found, until nothing helps. It returns the
// error.
func (b *superblock) improve() float64 {
	err := b.measure()
	for range 4 {
		for j := range b.groups {
			b.neighbours(j)
		}
		now := b.error()
		t := *b
		t.units = b.refit()
		if t.units != b.units {
			if e := t.measure(); e < now {
				*b, now = t, e
			}
		}
		if !(now < err) {
			break
		}
		err = now
	}
	return err
}

// measure sets the products of all groups and returns the error.
func (b *superblock) measure() float64 {
	for j := range b.groups {
		b.products[j] = b.groups[j].sum(b.d*float64(b.scale[j]), b.dmin*float64(b.minimum[j]))
	}
	return b.error()
}

func (b *superblock) error() (sum float64) {
	for j := range b.groups {
		sum += b.groups[j].error(b.products[j], b.d*float64(b.scale[j]), b.dmin*float64(b.minimum[j]))
	}
	return sum
}

// neighbours tries a group's scale and minimum one up and one down.
func (b *superblock) neighbours(j int) {
	g, s, m := &b.groups[j], b.scale[j], b.minimum[j]
	best := g.error(b.products[j], b.d*float64(s), b.dmin*float64(m))
	try := func(s, m int) {
		if s < b.low || s > b.high || m < 0 || m > b.top {
			return
		}
		scale, minimum := b.d*float64(s), b.dmin*float64(m)
		p := g.sum(scale, minimum)
		if e := g.error(p, scale, minimum); e < best {
			best, b.scale[j], b.minimum[j], b.products[j] = e, s, m, p
		}
	}
	try(s-1, m)
	try(s+1, m)
	s = b.scale[j]
	try(s, m-1)
	try(s, m+1)
}

// refit is the units with the least error for the q, scales and minima as they
// are: x ≈ d·(s·q) − dmin·m.
func (b *superblock) refit() units {
	var aa, am, mm, ax, mx float64
	for j := range b.groups {
		g, p, s, m := &b.groups[j], &b.products[j], float64(b.scale[j]), float64(b.minimum[j])
		aa += float64(s * s * p.qq)
		am += float64(s * m * p.q)
		mm += float64(m * m * g.sumW)
		ax += float64(s * p.xq)
		mx += float64(m * g.sumX)
	}
	var d, dmin float64
	det := float64(aa*mm) - float64(am*am)
	switch {
	case det > 1e-9*aa*mm && mm > 0:
		d = (float64(ax*mm) - float64(am*mx)) / det
		dmin = (float64(am*ax) - float64(aa*mx)) / det
	case aa > 0:
		d = ax / aa
	}
	if b.top > 0 && dmin < 0 {
		return b.units
	}
	return units{f16(d), f16(dmin)}
}

// encodeMinima does what Q4_K and Q5_K share and returns all q.
func encodeMinima(x, w []float32, top float64) (*superblock, []uint8) {
	b := newSuperblock(x, w, 32, 0, top)
	b.limits = limits{0, 63, 63}
	var found [maxGroups]candidate
	for j := range b.groups {
		found[j] = b.groups[j].search()
		found[j].scale = max(found[j].scale, 0)
	}
	b.solve(found[:len(b.groups)])
	return b, b.quanta()
}

// newSuperblock cuts a block into groups of size columns.
func newSuperblock(x, w []float32, size int, low, high float64) *superblock {
	n := len(x)
	values := make([]float64, 3*n)
	for i, v := range x {
		values[i], values[n+i] = float64(v), 1
		if w != nil {
			values[n+i] = float64(w[i])
		}
	}
	b := &superblock{groups: make([]group, n/size)}
	for j := range b.groups {
		at := func(first int) []float64 { return values[first+j*size:][:size] }
		b.groups[j] = group{x: at(0), w: at(n), wx: at(2 * n), low: low, high: high}
		b.groups[j].prepare()
	}
	return b
}

// quanta are the q of all columns, counted from the least.
func (b *superblock) quanta() []uint8 {
	all := make([]uint8, 0, 256)
	for j := range b.groups {
		g := &b.groups[j]
		inverse, minimum := reciprocal(b.d*float64(b.scale[j])), b.dmin*float64(b.minimum[j])
		for _, x := range g.x {
			all = append(all, uint8(g.quantum(x, inverse, minimum)-g.low))
		}
	}
	return all
}

// packScales writes what Q4_K and Q5_K begin with: d, dmin, and eight 6-bit
// scales and minima in twelve bytes; see kernels.ReadRow.
func (b *superblock) packScales(dst []byte) {
	kernels.PutFloat(dst, float32(b.d), kernels.F16)
	kernels.PutFloat(dst[2:], float32(b.dmin), kernels.F16)
	packed := dst[4:16]
	clear(packed)
	for j := range b.groups {
		s, m := uint8(b.scale[j]), uint8(b.minimum[j])
		if j < 4 {
			packed[j] |= s
			packed[j+4] |= m
		} else {
			packed[j+4] |= s&15 | m<<4
			packed[j-4] |= s >> 4 << 6
			packed[j] |= m >> 4 << 6
		}
	}
}

func encodeQ4_K(dst []byte, x, w []float32) {
	b, q := encodeMinima(x, w, 15)
	b.packScales(dst)
	packNibbles(dst[16:], q)
}

func encodeQ5_K(dst []byte, x, w []float32) {
	b, q := encodeMinima(x, w, 31)
	b.packScales(dst)
	upper := dst[16:48]
	clear(upper)
	for c, v := range q {
		upper[c%32] |= v >> 4 << (c / 32)
		q[c] = v & 15
	}
	packNibbles(dst[48:], q)
}

// packNibbles stores groups of 32 in pairs, the even one in the low nibbles.
func packNibbles(dst, q []uint8) {
	for i := range dst {
		c := i/32*64 + i%32
		dst[i] = q[c] | q[c+32]<<4
	}
}

func encodeQ6_K(dst []byte, x, w []float32) {
	b := newSuperblock(x, w, 16, -32, 31)
	b.limits = limits{-128, 127, 0}
	var found [maxGroups]candidate
	for j := range b.groups {
		found[j] = b.groups[j].searchSigned()
	}
	b.solve(found[:])
	low, high, scales := dst[:128], dst[128:192], dst[192:208]
	clear(dst)
	for j, s := range b.scale {
		scales[j] = uint8(int8(s))
	}
	kernels.PutFloat(dst[208:], float32(b.d), kernels.F16)
	for c, q := range b.quanta() {
		half, run, i := c/128, c%128/32, c%32
		low[64*half+32*(run%2)+i] |= q & 15 << (4 * (run / 2))
		high[32*half+i] |= q >> 4 << (2 * run)
	}
}
