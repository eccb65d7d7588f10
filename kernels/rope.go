package kernels

import "math"

// RopeTable fills dst, [positions, head_dim] float32, with the angles that
// Attention.Rope holds for positions from first on: for pair i of head_dim/2,
// angle = position · base^(−2i/head_dim) (Su et al. 2021, eq. 15). The angle is
// taken in float64 and its cosine and sine are rounded once.
func RopeTable(dst []float32, headDim, first int, base float64) {
	half := headDim / 2
	freq := make([]float64, half)
	for i := range freq {
		freq[i] = math.Pow(base, -2*float64(i)/float64(headDim))
	}
	for p := 0; (p+1)*headDim <= len(dst); p++ {
		row := dst[p*headDim:]
		for i, f := range freq {
			sin, cos := math.Sincos(float64(first+p) * f)
			row[i], row[half+i] = float32(cos), float32(sin)
		}
	}
}
