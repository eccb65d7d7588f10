package quantize

// group is the columns that share a scale, a whole number of four, and the sums
// over them that do not depend on q.
type group struct {
	x, w, wx          []float64 // the weights, their importances, and the products of both
	low, high         float64   // the least and the greatest q
	sumW, sumX, sumXX float64   // Σ w, Σ w·x, Σ w·x²
}

// products are the sums that do: Σ w·q, Σ w·q², Σ w·x·q.
type products struct{ q, qq, xq float64 }

// prepare sets wx and the sums. Each product is rounded on its own; see the
// package comment.
func (g *group) prepare() {
	for i, x := range g.x {
		g.wx[i] = float64(g.w[i] * x)
		g.sumW += g.w[i]
		g.sumX += g.wx[i]
		g.sumXX += float64(g.wx[i] * x)
	}
}

// fit is the scale and the minimum (not negative) with the least error.
func (g *group) fit(p products) (scale, minimum float64) {
	det := float64(g.sumW*p.qq) - float64(p.q*p.q)
	if det > 0 {
		scale = (float64(g.sumW*p.xq) - float64(p.q*g.sumX)) / det
		minimum = (float64(p.q*p.xq) - float64(p.qq*g.sumX)) / det
	}
	if !(minimum > 0) {
		return fitScale(p), 0
	}
	return scale, minimum
}

// fitScale is the best scale without a minimum.
func fitScale(p products) float64 {
	if p.qq > 0 {
		return p.xq / p.qq
	}
	return 0
}

// error is Σ w·(x − scale·q + minimum)².
func (g *group) error(p products, scale, minimum float64) float64 {
	return g.sumXX + float64(scale*scale*p.qq) + float64(minimum*minimum*g.sumW) +
		2*(float64(minimum*g.sumX)-float64(scale*p.xq)-float64(scale*minimum*p.q))
}

// anchor is where float64 numbers are 1 apart: added and taken away again, it
// leaves a whole number, halves to even.
const anchor = 1<<52 + 1<<51

// quantum is x above the minimum, in units of 1/inverse.
func (g *group) quantum(x, inverse, minimum float64) float64 {
	q := float64((x+minimum)*inverse) + anchor - anchor
	if q < g.low { // min and max also look for NaN, which takes twice as long
		return g.low
	}
	if q > g.high {
		return g.high
	}
	return q
}

// reciprocal is 1/scale, and 0, which makes all q the same, for no scale.
func reciprocal(scale float64) float64 {
	if scale == 0 {
		return 0
	}
	return 1 / scale
}

// sum takes every weight with the q that scale and minimum give it. This is where
// an encoder spends its time.
func (g *group) sum(scale, minimum float64) products { return g.add(reciprocal(scale), minimum) }

// addPortable is sum in Go. Every fourth column is added to the same number, as
// vector instructions do it.
func (g *group) addPortable(inverse, minimum float64) products {
	var q, qq, xq [4]float64
	for i := 0; i < len(g.x); i += 4 {
		x, w, wx := (*[4]float64)(g.x[i:]), (*[4]float64)(g.w[i:]), (*[4]float64)(g.wx[i:])
		for lane := range 4 {
			v := g.quantum(x[lane], inverse, minimum)
			wq := float64(w[lane] * v)
			q[lane] += wq
			qq[lane] += float64(wq * v)
			xq[lane] += float64(wx[lane] * v)
		}
	}
	total := func(lanes *[4]float64) float64 { return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]) }
	return products{total(&q), total(&qq), total(&xq)}
}
