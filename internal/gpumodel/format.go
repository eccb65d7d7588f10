package gpumodel

// Format is how weights are stored.
type Format int

// Formats of the published figures, and of the models compared.
const (
	F32 Format = iota
	F16
	BF16
	Q8_0
	Q6_K // of the last matrix in llama.cpp's Q4_0 files
	Q4_0
	Q4_K
	Affine8 // MLX, groups of 64
	Affine4
)

// formats: bytes a weight, and issue slots a weight in the kernels that the model is fitted to.
var formats = [...]struct {
	name         string
	bytes, slots float64
}{
	F32:     {"F32", 4, Slots16},
	F16:     {"F16", 2, Slots16},
	BF16:    {"bf16", 2, Slots16},
	Q8_0:    {"Q8_0", 34. / 32, Slots8},
	Q6_K:    {"Q6_K", 210. / 256, 1.2 * Slots4},
	Q4_0:    {"Q4_0", 18. / 32, Slots4},
	Q4_K:    {"Q4_K", 144. / 256, Slots4},
	Affine8: {"8-bit g64", 8.5 / 8, Slots8},
	Affine4: {"4-bit g64", 4.5 / 8, Slots4},
}

func (f Format) String() string { return formats[f].name }

// BytesPerWeight includes scales.
func (f Format) BytesPerWeight() float64 { return formats[f].bytes }

// SlotsPerWeight is the effective number of issue slots in ggml's kernel of the format, and for MLX's taken to be the same.
func (f Format) SlotsPerWeight() float64 { return formats[f].slots }

// Bits4 reports formats that are unpacked with masks and shifts.
func (f Format) Bits4() bool { return f == Q4_0 || f == Q4_K || f == Q6_K || f == Affine4 }
