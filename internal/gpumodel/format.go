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

// kernel is what is known of the kernel that reads a format in the published figures: ggml's, and for MLX's formats, of
// which only the speed is used, the one most like it.
type kernel struct {
	slots    float64 // effective issue slots a weight, fitted
	inFlight float64 // bytes of a lane that the model assumes
	// What the simulator counts of ggml's (d99724f2; difference of rows of 6,144 and of 2,048 weights): instructions as
	// clang optimises them. The fit's numbers over these turn counts of other kernels into the model's unit.
	countedSlots, countedInFlight float64
}

var (
	kernel16 = kernel{Slots16, 64, 2.44, 128}
	kernel8  = kernel{Slots8, 64, 7.00, 52}
	kernel4  = kernel{Slots4, 36, 7.41, 104}
	kernel6  = kernel{1.2 * Slots4, 36, 1.2 * 7.41, 104} // not counted: as that of 4 bits
)

var formats = [...]struct {
	name   string
	bytes  float64 // a weight
	kernel kernel
}{
	F32:     {"F32", 4, kernel16},
	F16:     {"F16", 2, kernel16},
	BF16:    {"bf16", 2, kernel16},
	Q8_0:    {"Q8_0", 34. / 32, kernel8},
	Q6_K:    {"Q6_K", 210. / 256, kernel6},
	Q4_0:    {"Q4_0", 18. / 32, kernel4},
	Q4_K:    {"Q4_K", 144. / 256, kernel4},
	Affine8: {"8-bit g64", 8.5 / 8, kernel8},
	Affine4: {"4-bit g64", 4.5 / 8, kernel4},
}

func (f Format) String() string { return formats[f].name }

// BytesPerWeight includes scales.
func (f Format) BytesPerWeight() float64 { return formats[f].bytes }

// SlotsPerWeight is the effective number of issue slots in ggml's kernel of the format, and for MLX's taken to be the same.
func (f Format) SlotsPerWeight() float64 { return formats[f].kernel.slots }

// Bits4 reports formats that are unpacked with masks and shifts.
func (f Format) Bits4() bool { return f == Q4_0 || f == Q4_K || f == Q6_K || f == Affine4 }
