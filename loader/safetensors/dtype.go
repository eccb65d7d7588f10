package safetensors

// DType is the element type of a tensor, spelled as in the file.
type DType string

// The element types of the format. The names are those of the safetensors
// crate's Dtype.
const (
	Bool DType = "BOOL"
	U8   DType = "U8"
	I8   DType = "I8"
	U16  DType = "U16"
	I16  DType = "I16"
	F16  DType = "F16"
	BF16 DType = "BF16"
	U32  DType = "U32"
	I32  DType = "I32"
	F32  DType = "F32"
	U64  DType = "U64"
	I64  DType = "I64"
	F64  DType = "F64"
)

var elementBits = map[DType]int{
	"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
	Bool: 8, U8: 8, I8: 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
	U16: 16, I16: 16, F16: 16, BF16: 16,
	U32: 32, I32: 32, F32: 32,
	U64: 64, I64: 64, F64: 64, "C64": 64,
}

// Bits is the size of one element in bits, 0 for a type the format does not have.
func (d DType) Bits() int { return elementBits[d] }
