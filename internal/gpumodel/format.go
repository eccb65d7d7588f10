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
	Q4_1
	Q5_0
	Q5_1
	Q2_K
	Q3_K
	Q4_K
	Q5_K
	IQ4_NL
	IQ4_XS
	Affine8 // MLX, groups of 64
	Affine4
)

// kernel is ggml's matrix-vector kernel of a format, and for MLX's formats, of which only the speed is used, the one most
// like it.
type kernel struct {
	outs, simdgroups int // of a threadgroup; ggml-metal-impl.h and ggml-metal-device.cpp, d99724f2

	// What the simulator counts of it: instructions as clang optimises them (difference of rows of 6,144 and of 2,048
	// weights, so without what a row costs once), and bytes of loads that do not wait for one another.
	countedSlots, countedInFlight float64

	slots    float64 // effective issue slots a weight, fitted: the unit of the model
	inFlight float64 // bytes of a lane that the model assumes
}

// like4 is a kernel that no parameter was fitted to: an instruction counts for as much as in that of Q4_0.
func like4(outs, simdgroups int, counted, inFlight float64) kernel {
	k := kernel4
	return kernel{outs, simdgroups, counted, inFlight, k.slots / k.countedSlots * counted, k.inFlight / k.countedInFlight * inFlight}
}

var (
	kernel16 = kernel{2, 4, 2.438, 128, Slots16, 64}
	kernel8  = kernel{2, 4, 7.000, 52, Slots8, 64}
	kernel4  = kernel{8, 2, 7.406, 104, Slots4, 36}
)

var formats = [...]struct {
	name   string
	bytes  float64 // a weight
	kernel kernel
}{
	F32:     {"F32", 4, kernel{2, 4, 2.438, 192, Slots16, 96}},
	F16:     {"F16", 2, kernel16},
	BF16:    {"bf16", 2, kernel16},
	Q8_0:    {"Q8_0", 34. / 32, kernel8},
	Q6_K:    {"Q6_K", 210. / 256, kernel{4, 2, 17.000, 47.4, 1.2 * Slots4, 36}}, // fitted, in figures of Q4_0 files
	Q4_0:    {"Q4_0", 18. / 32, kernel4},
	Q4_1:    {"Q4_1", 20. / 32, like4(8, 2, 7.516, 112)},
	Q5_0:    {"Q5_0", 22. / 32, like4(8, 2, 17.469, 120)},
	Q5_1:    {"Q5_1", 24. / 32, like4(8, 2, 17.578, 128)},
	Q2_K:    {"Q2_K", 84. / 256, like4(8, 2, 12.172, 87)},
	Q3_K:    {"Q3_K", 110. / 256, like4(4, 2, 13.594, 92.4)},
	Q4_K:    {"Q4_K", 144. / 256, like4(4, 2, 10.906, 186.7)},
	Q5_K:    {"Q5_K", 176. / 256, like4(2, 2, 16.844, 258)},
	IQ4_NL:  {"IQ4_NL", 18. / 32, like4(4, 2, 8.156, 51.1)},
	IQ4_XS:  {"IQ4_XS", 136. / 256, like4(4, 2, 10.094, 49.3)},
	Affine8: {"8-bit g64", 8.5 / 8, kernel8},
	Affine4: {"4-bit g64", 4.5 / 8, kernel4},
}

func (f Format) String() string { return formats[f].name }

// BytesPerWeight includes scales.
func (f Format) BytesPerWeight() float64 { return formats[f].bytes }

// SlotsPerWeight is the effective number of issue slots in ggml's kernel of the format, and for MLX's taken to be the same.
func (f Format) SlotsPerWeight() float64 { return formats[f].kernel.slots }

// Float reports F32, F16 and BF16.
func (f Format) Float() bool { return f <= BF16 }

// CountedSlots is what the simulator counts of ggml's kernel of the format, a weight, without what a row costs once.
func (f Format) CountedSlots() float64 { return formats[f].kernel.countedSlots }
