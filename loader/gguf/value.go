package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// valueType is the type of a metadata value (gguf_metadata_value_type).
type valueType uint32

const (
	typeUint8 valueType = iota
	typeInt8
	typeUint16
	typeInt16
	typeUint32
	typeInt32
	typeFloat32
	typeBool
	typeString
	typeArray
	typeUint64
	typeInt64
	typeFloat64
)

// maxDepth bounds arrays within arrays. llama.cpp refuses all of them.
const maxDepth = 4

// value reads a value. Arrays become slices of their element's Go type; arrays
// of arrays become []any.
func (r *reader) value(t valueType, depth int) (any, error) {
	switch t {
	case typeUint8:
		return scalar(r, 1, func(b []byte) uint8 { return b[0] })
	case typeInt8:
		return scalar(r, 1, func(b []byte) int8 { return int8(b[0]) })
	case typeUint16:
		return scalar(r, 2, le.Uint16)
	case typeInt16:
		return scalar(r, 2, func(b []byte) int16 { return int16(le.Uint16(b)) })
	case typeUint32:
		return scalar(r, 4, le.Uint32)
	case typeInt32:
		return scalar(r, 4, func(b []byte) int32 { return int32(le.Uint32(b)) })
	case typeFloat32:
		return scalar(r, 4, func(b []byte) float32 { return math.Float32frombits(le.Uint32(b)) })
	case typeBool:
		return r.bool()
	case typeString:
		return r.string()
	case typeArray:
		return r.array(depth + 1)
	case typeUint64:
		return scalar(r, 8, le.Uint64)
	case typeInt64:
		return scalar(r, 8, func(b []byte) int64 { return int64(le.Uint64(b)) })
	case typeFloat64:
		return scalar(r, 8, func(b []byte) float64 { return math.Float64frombits(le.Uint64(b)) })
	}
	return nil, r.fail("unknown value type %d", uint32(t))
}

var le = binary.LittleEndian

func scalar[T any](r *reader, size int, decode func([]byte) T) (v T, err error) {
	b, err := r.bytes(size)
	if err != nil {
		return v, err
	}
	return decode(b), nil
}

func (r *reader) bool() (bool, error) {
	b, err := scalar(r, 1, func(b []byte) uint8 { return b[0] })
	if err == nil && b > 1 {
		err = r.fail("a bool of value %d", b)
	}
	return b == 1, err
}

// leastSize is the least number of bytes that a value takes.
var leastSize = map[valueType]int64{
	typeUint8: 1, typeInt8: 1, typeUint16: 2, typeInt16: 2, typeUint32: 4, typeInt32: 4, typeFloat32: 4,
	typeBool: 1, typeString: 8, typeArray: 12, typeUint64: 8, typeInt64: 8, typeFloat64: 8,
}

func (r *reader) array(depth int) (any, error) {
	if depth > maxDepth {
		return nil, r.fail("arrays within arrays, more than %d deep", maxDepth)
	}
	t, err := scalar(r, 4, le.Uint32)
	if err != nil {
		return nil, err
	}
	n, err := scalar(r, 8, le.Uint64)
	if err != nil {
		return nil, err
	}
	least, known := leastSize[valueType(t)]
	if !known {
		return nil, r.fail("unknown element type %d", t)
	}
	if n > uint64((r.size-r.pos)/least) {
		return nil, r.fail("array of %d elements, but only %d bytes are left", n, r.size-r.pos)
	}
	switch valueType(t) {
	case typeUint8:
		return list[uint8](r, t, n, depth)
	case typeInt8:
		return list[int8](r, t, n, depth)
	case typeUint16:
		return list[uint16](r, t, n, depth)
	case typeInt16:
		return list[int16](r, t, n, depth)
	case typeUint32:
		return list[uint32](r, t, n, depth)
	case typeInt32:
		return list[int32](r, t, n, depth)
	case typeFloat32:
		return list[float32](r, t, n, depth)
	case typeBool:
		return list[bool](r, t, n, depth)
	case typeString:
		return list[string](r, t, n, depth)
	case typeUint64:
		return list[uint64](r, t, n, depth)
	case typeInt64:
		return list[int64](r, t, n, depth)
	case typeFloat64:
		return list[float64](r, t, n, depth)
	default:
		return list[any](r, t, n, depth)
	}
}

// list reads n elements, which the file has been seen to have room for.
func list[T any](r *reader, t uint32, n uint64, depth int) ([]T, error) {
	values := make([]T, n)
	for i := range values {
		v, err := r.value(valueType(t), depth)
		if err != nil {
			return nil, err
		}
		values[i] = v.(T)
	}
	return values, nil
}

// Int is the value of an integer key of any width.
func (f *File) Int(key string) (value int64, ok bool, err error) {
	list, ok, err := f.Ints(key)
	if err == nil && ok && len(list) != 1 {
		return 0, false, f.wrong(key, "an integer")
	}
	if err != nil || !ok {
		return 0, false, err
	}
	return list[0], true, nil
}

// Ints is the value of a key that holds an integer or an array of them.
func (f *File) Ints(key string) (values []int64, ok bool, err error) {
	v, ok := f.Metadata[key]
	if !ok {
		return nil, false, nil
	}
	switch v := v.(type) {
	case uint8:
		values = []int64{int64(v)}
	case int8:
		values = []int64{int64(v)}
	case uint16:
		values = []int64{int64(v)}
	case int16:
		values = []int64{int64(v)}
	case uint32:
		values = []int64{int64(v)}
	case int32:
		values = []int64{int64(v)}
	case int64:
		values = []int64{v}
	case uint64:
		values = widen([]uint64{v})
	case []uint8:
		values = widen(v)
	case []int8:
		values = widen(v)
	case []uint16:
		values = widen(v)
	case []int16:
		values = widen(v)
	case []uint32:
		values = widen(v)
	case []int32:
		values = widen(v)
	case []uint64:
		values = widen(v)
	case []int64:
		values = v
	default:
		return nil, false, f.wrong(key, "integers")
	}
	return values, true, nil
}

// widen keeps integers that an int64 cannot hold recognisable: they become the
// largest one, which no field of a model comes near.
func widen[T uint8 | int8 | uint16 | int16 | uint32 | int32 | uint64](list []T) []int64 {
	wide := make([]int64, len(list))
	for i, v := range list {
		wide[i] = int64(v)
		if v > 0 && wide[i] < 0 {
			wide[i] = math.MaxInt64
		}
	}
	return wide
}

// Float is the value of a floating-point key of either width.
func (f *File) Float(key string) (value float64, ok bool, err error) {
	switch v := f.Metadata[key].(type) {
	case nil:
		return 0, false, nil
	case float32:
		return float64(v), true, nil
	case float64:
		return v, true, nil
	}
	return 0, false, f.wrong(key, "a floating-point number")
}

// Get is the value of a key, which must be of type T: string, bool or a slice,
// such as []string or []float32.
func Get[T any](f *File, key string) (value T, ok bool, err error) {
	v, ok := f.Metadata[key]
	if !ok {
		return value, false, nil
	}
	if value, ok = v.(T); !ok {
		return value, false, f.wrong(key, fmt.Sprintf("%T", value))
	}
	return value, true, nil
}

func (f *File) wrong(key, want string) error {
	return &FormatError{Field: key, Reason: fmt.Sprintf("the value is of type %T, want %s", f.Metadata[key], want)}
}
