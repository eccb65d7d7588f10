package quantize

import (
	"errors"
	"fmt"
	"math"

	"github.com/go-openelm/go-openelm/kernels"
)

// ErrUnsupported is wrapped by errors about formats that this package does not
// write. It is an [errors.ErrUnsupported].
var ErrUnsupported = fmt.Errorf("quantize: %w", errors.ErrUnsupported)

// encoders store one block of a format. w are the weights of the squared errors
// of x, or nil.
var encoders = map[kernels.Format]func(dst []byte, x, w []float32){
	kernels.Q8_0: encodeQ8_0, kernels.Q4_0: encodeQ4_0,
	kernels.Q4_K: encodeQ4_K, kernels.Q5_K: encodeQ5_K, kernels.Q6_K: encodeQ6_K,
}

// Supports reports whether [Row] writes f.
func Supports(f kernels.Format) bool { return f.Float() || encoders[f] != nil }

// Row stores x in dst in format f. x is a whole number of f's blocks, and dst has
// their size. importance, if not nil, has an entry, at least 0, for each of x;
// only the K formats use it.
//
// A weight that is not finite, or too large for f, is an error that names its
// column: it would spoil its whole block.
func Row(dst []byte, x []float32, f kernels.Format, importance []float32) error {
	if !Supports(f) {
		return fmt.Errorf("%w: format %v", ErrUnsupported, f)
	}
	cols, size := f.BlockCols(), f.BlockBytes()
	if len(x)%cols != 0 || len(dst) != len(x)/cols*size || importance != nil && len(importance) != len(x) {
		return fmt.Errorf("quantize: %d weights with %d importances into %d bytes of %v", len(x), len(importance), len(dst), f)
	}
	if err := check(x, f); err != nil {
		return err
	}
	if f.Float() {
		for i, v := range x {
			kernels.PutFloat(dst[i*size:], v, f)
		}
		return nil
	}
	encode := encoders[f]
	for b := 0; b*cols < len(x); b++ {
		var w []float32
		if importance != nil {
			w = importance[b*cols : (b+1)*cols]
		}
		encode(dst[b*size:(b+1)*size], x[b*cols:(b+1)*cols], w)
	}
	return nil
}

// largest is the greatest absolute value a weight may have in each format: what
// a float holds, and for the others what an f16 scale allows.
func largest(f kernels.Format) float32 {
	switch f {
	case kernels.F32, kernels.BF16:
		return math.MaxFloat32
	case kernels.Q8_0:
		return 65504 * 127
	default:
		return 65504
	}
}

func check(x []float32, f kernels.Format) error {
	limit := largest(f)
	for i, v := range x {
		if !(v >= -limit && v <= limit) {
			return fmt.Errorf("quantize: column %d: a weight of %g does not fit into %v", i, v, f)
		}
	}
	return nil
}

// Affine stores x as MLX's affine mode does: q has bits bits for each weight,
// packed into little-endian words; scales and biases have one value of format
// kind for each group columns; w = scale·q + bias. group divides the number of
// weights; bits is 4 or 8.
func Affine(q, scales, biases []byte, x []float32, bits, group int, kind kernels.Format) error {
	if bits != 4 && bits != 8 || group < 1 || len(x)%group != 0 || group*bits%8 != 0 || !kind.Float() {
		return fmt.Errorf("%w: groups of %d of %d weights, %d bits, scales %v", ErrUnsupported, group, len(x), bits, kind)
	}
	size := kind.BlockBytes()
	if n := len(x) / group * size; len(q) != len(x)*bits/8 || len(scales) != n || len(biases) != n {
		return fmt.Errorf("quantize: %d weights into %d bytes, %d of scales and %d of biases", len(x), len(q), len(scales), len(biases))
	}
	if err := check(x, kind); err != nil {
		return err
	}
	top := float32(int(1)<<bits - 1)
	clear(q)
	for g := 0; g*group < len(x); g++ {
		values := x[g*group : (g+1)*group]
		scale, bias := affineScale(values, top)
		kernels.PutFloat(scales[g*size:], scale, kind)
		kernels.PutFloat(biases[g*size:], bias, kind)
		for i, v := range values {
			c := g*group + i
			n := math.RoundToEven(float64((v - bias) / scale))
			q[c*bits/8] |= uint8(min(max(n, 0), float64(top))) << (c * bits % 8)
		}
	}
	return nil
}

// affineScale is the scale and the bias of a group: zero is kept exact by
// making the end that is further from it a whole number of scales
// (mlx.core.quantize).
func affineScale(x []float32, top float32) (scale, bias float32) {
	const least = 1e-7
	low, high := x[0], x[0]
	for _, v := range x {
		low, high = min(low, v), max(high, v)
	}
	scale, edge := max((high-low)/top, least), high
	if abs(low) > abs(high) {
		edge = low
	} else {
		scale = -scale
	}
	if n := float32(math.RoundToEven(float64(edge / scale))); n != 0 {
		return edge / n, edge
	}
	return scale, 0
}

func abs(v float32) float32 { return float32(math.Abs(float64(v))) }

// encodeQ8_0: the largest weight becomes ±127; halves are rounded away from zero.
func encodeQ8_0(dst []byte, x, _ []float32) {
	var top float32
	for _, v := range x {
		top = max(top, abs(v))
	}
	d := top / 127
	kernels.PutFloat(dst, d, kernels.F16)
	inverse := float32(0)
	if d != 0 {
		inverse = 1 / d
	}
	for i, v := range x {
		dst[2+i] = uint8(int8(math.Round(float64(v * inverse))))
	}
}

// encodeQ4_0: the weight furthest from zero, the first of several, becomes −8.
func encodeQ4_0(dst []byte, x, _ []float32) {
	extreme := x[0]
	for _, v := range x {
		if abs(v) > abs(extreme) {
			extreme = v
		}
	}
	d := extreme / -8
	kernels.PutFloat(dst, d, kernels.F16)
	inverse := float32(0)
	if d != 0 {
		inverse = 1 / d
	}
	q := func(v float32) uint8 {
		return uint8(min(float32(v*inverse)+8.5, 15))
	}
	for i := range 16 {
		dst[2+i] = q(x[i]) | q(x[i+16])<<4
	}
}
