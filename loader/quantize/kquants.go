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

// sums are those that the best scale and minimum of given q follow from.
type sums struct{ w, q, qq, x, xq, xx float64 }

// add takes one weight: its importance, value and q. Each product is rounded on
// its own; see the package comment.
func (s *sums) add(w, x, q float64) {
	wq, wx := float64(w*q), float64(w*x)
	s.w += w
	s.q += wq
	s.qq += float64(wq * q)
	s.x += wx
	s.xq += float64(wx * q)
	s.xx += float64(wx * x)
}

// fit is the scale and the minimum (not negative) with the least error.
func (s *sums) fit() (scale, minimum float64) {
	det := float64(s.w*s.qq) - float64(s.q*s.q)
	if det > 0 {
		scale = (float64(s.w*s.xq) - float64(s.q*s.x)) / det
		minimum = (float64(s.q*s.xq) - float64(s.qq*s.x)) / det
	}
	if !(minimum > 0) {
		minimum = 0
		if scale = 0; s.qq > 0 {
			scale = s.xq / s.qq
		}
	}
	return scale, minimum
}

// error is Σ w·(x − scale·q + minimum)².
func (s *sums) error(scale, minimum float64) float64 {
	return s.xx + float64(scale*scale*s.qq) + float64(minimum*minimum*s.w) +
		2*(float64(minimum*s.x)-float64(scale*s.xq)-float64(scale*minimum*s.q))
}

// group is the columns that share a scale.
type group struct {
	x, w []float32 // w is nil if all columns count the same
	low  float64   // the least q …
	high float64   // … and the greatest
}

func (g *group) weight(i int) float64 {
	if g.w == nil {
		return 1
	}
	return float64(g.w[i])
}

// q is x_i in units of scale, above the minimum.
func (g *group) q(i int, inverse, minimum float64) float64 {
	q := math.RoundToEven(float64((float64(g.x[i]) + minimum) * inverse))
	if q < g.low { // min and max also look for NaN, which takes twice as long
		return g.low
	}
	if q > g.high {
		return g.high
	}
	return q
}

// sum takes every weight with the q that scale and minimum give it.
func (g *group) sum(scale, minimum float64) (s sums) {
	inverse := 0.0
	if scale != 0 {
		inverse = 1 / scale
	}
	for i, x := range g.x {
		s.add(g.weight(i), float64(x), g.q(i, inverse, minimum))
	}
	return s
}

// refit is the best scale and minimum for the q that scale and minimum give.
func (g *group) refit(scale, minimum float64, signed bool) candidate {
	s := g.sum(scale, minimum)
	if signed {
		if minimum = 0; s.qq > 0 {
			scale = s.xq / s.qq
		}
	} else {
		scale, minimum = s.fit()
	}
	return candidate{scale, minimum, s.error(scale, minimum)}
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
		low, high = min(low, float64(v)), max(high, float64(v))
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
		if math.Abs(float64(v)) > math.Abs(extreme) {
			extreme = float64(v)
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

// superblock is a block of 256 columns in the making.
type superblock struct {
	groups          []group
	scale, minimum  []int // of each group, in units of d and dmin
	d, dmin         float64
	low, high, most int // limits of scale; of minimum, 0 if there are none
}

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
		t.scale, t.minimum = make([]int, len(found)), make([]int, len(found))
		t.d = f16(scale / (top * (1 - float64(spare)/64)))
		if b.most > 0 {
			t.dmin = f16(minimum / (float64(b.most) * (1 - float64(spare)/64)))
		}
		for j, c := range found {
			t.scale[j] = whole(c.scale, t.d, b.low, b.high)
			t.minimum[j] = whole(c.minimum, t.dmin, 0, b.most)
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
	err := math.Inf(1)
	for range 4 {
		now := 0.0
		for j := range b.groups {
			now += b.neighbours(j)
		}
		d, dmin := b.refit()
		units := *b
		units.d, units.dmin = f16(d), f16(dmin)
		if e := units.error(); e < now {
			*b, now = units, e
		}
		if !(now < err) {
			break
		}
		err = now
	}
	return err
}

func (b *superblock) error() (sum float64) {
	for j := range b.groups {
		sum += b.groupError(j, b.scale[j], b.minimum[j])
	}
	return sum
}

func (b *superblock) groupError(j, s, m int) float64 {
	scale, minimum := b.d*float64(s), b.dmin*float64(m)
	sums := b.groups[j].sum(scale, minimum)
	return sums.error(scale, minimum)
}

// neighbours tries a group's scale and minimum one up and one down.
func (b *superblock) neighbours(j int) (best float64) {
	s, m := b.scale[j], b.minimum[j]
	best = b.groupError(j, s, m)
	try := func(s, m int) {
		if s < b.low || s > b.high || m < 0 || m > b.most {
			return
		}
		if e := b.groupError(j, s, m); e < best {
			best, b.scale[j], b.minimum[j] = e, s, m
		}
	}
	try(s-1, m)
	try(s+1, m)
	s = b.scale[j]
	try(s, m-1)
	try(s, m+1)
	return best
}

// refit is the units with the least error for the q, scales and minima as they
// are: x ≈ d·(s·q) − dmin·m.
func (b *superblock) refit() (d, dmin float64) {
	var aa, am, mm, ax, mx float64
	for j := range b.groups {
		s, m := float64(b.scale[j]), float64(b.minimum[j])
		t := b.groups[j].sum(b.d*s, b.dmin*m)
		aa += float64(s * s * t.qq)
		am += float64(s * m * t.q)
		mm += float64(m * m * t.w)
		ax += float64(s * t.xq)
		mx += float64(m * t.x)
	}
	det := float64(aa*mm) - float64(am*am)
	switch {
	case det > 1e-9*aa*mm && mm > 0:
		d = (float64(ax*mm) - float64(am*mx)) / det
		dmin = (float64(am*ax) - float64(aa*mx)) / det
	case aa > 0:
		d = ax / aa
	}
	if b.most > 0 && dmin < 0 {
		return b.d, b.dmin
	}
	return d, dmin
}

// encodeMinima does what Q4_K and Q5_K share and returns all q.
func encodeMinima(x, w []float32, top float64) (*superblock, []uint8) {
	b := newSuperblock(x, w, 32, 0, top)
	b.low, b.high, b.most = 0, 63, 63
	found := make([]candidate, len(b.groups))
	for j := range b.groups {
		found[j] = b.groups[j].search()
		found[j].scale = max(found[j].scale, 0)
	}
	b.solve(found)
	return b, b.quanta()
}

func newSuperblock(x, w []float32, size int, low, high float64) *superblock {
	n := len(x) / size
	b := &superblock{groups: make([]group, n), scale: make([]int, n), minimum: make([]int, n)}
	for j := range b.groups {
		b.groups[j] = group{x: x[j*size : (j+1)*size], low: low, high: high}
		if w != nil {
			b.groups[j].w = w[j*size : (j+1)*size]
		}
	}
	return b
}

// quanta are the q of all columns, counted from the least.
func (b *superblock) quanta() []uint8 {
	var all []uint8
	for j := range b.groups {
		g := &b.groups[j]
		scale, inverse := b.d*float64(b.scale[j]), 0.0
		if scale != 0 {
			inverse = 1 / scale
		}
		for i := range g.x {
			all = append(all, uint8(g.q(i, inverse, b.dmin*float64(b.minimum[j]))-g.low))
		}
	}
	return all
}

// packScales writes what Q4_K and Q5_K begin with: d, dmin, and eight 6-bit
// scales and minima in twelve bytes; see kernels.ReadRow.
func (b *superblock) packScales(dst []byte) {
	putFloat(dst, float32(b.d), kernels.F16)
	putFloat(dst[2:], float32(b.dmin), kernels.F16)
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
	b.low, b.high = -128, 127
	found := make([]candidate, len(b.groups))
	for j := range b.groups {
		found[j] = b.groups[j].searchSigned()
	}
	b.solve(found)
	low, high, scales := dst[:128], dst[128:192], dst[192:208]
	clear(dst)
	for j, s := range b.scale {
		scales[j] = uint8(int8(s))
	}
	putFloat(dst[208:], float32(b.d), kernels.F16)
	for c, q := range b.quanta() {
		half, run, i := c/128, c%128/32, c%32
		low[64*half+32*(run%2)+i] |= q & 15 << (4 * (run / 2))
		high[32*half+i] |= q >> 4 << (2 * run)
	}
}
