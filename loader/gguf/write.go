package gguf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"reflect"
	"slices"

	"github.com/go-openelm/go-openelm/internal/filewrite"
)

// KeyValue is a metadata pair to be written. Value is of one of the types that
// [Read] returns, arrays of arrays excepted.
type KeyValue struct {
	Key   string
	Value any
}

// Source is a tensor to be written.
type Source struct {
	Name  string
	Type  Type
	Shape []int // outermost first; rows are whole blocks of the type

	// Data writes the elements, exactly as many bytes as type and shape say.
	Data func(w io.Writer) error
}

func (s *Source) size() (int64, error) {
	info, known := types[s.Type]
	n := int64(1)
	for _, d := range s.Shape {
		n *= int64(d)
	}
	if !known || len(s.Shape) == 0 || len(s.Shape) > maxDims || s.Shape[len(s.Shape)-1]%info.cols != 0 {
		return 0, &FormatError{Field: s.Name, Reason: fmt.Sprintf("no tensor of %s can have shape %d", s.Type, s.Shape)}
	}
	return n / int64(info.cols) * int64(info.bytes), nil
}

// Write writes a file of version 3 with the default alignment.
func Write(w io.Writer, metadata []KeyValue, tensors []Source) error {
	var h bytes.Buffer
	put(&h, []byte("GGUF"), uint32(3), uint64(len(tensors)), uint64(len(metadata)))
	for _, kv := range metadata {
		putString(&h, kv.Key)
		if err := putValue(&h, kv.Value); err != nil {
			return &FormatError{Field: kv.Key, Reason: "cannot be written", Err: err}
		}
	}
	offset := int64(0)
	for i := range tensors {
		t := &tensors[i]
		size, err := t.size()
		if err != nil {
			return err
		}
		putString(&h, t.Name)
		put(&h, uint32(len(t.Shape)))
		for _, d := range slices.Backward(t.Shape) {
			put(&h, uint64(d))
		}
		put(&h, uint32(t.Type), uint64(offset))
		offset += pad(size) + size
	}
	h.Write(make([]byte, pad(int64(h.Len()))))
	if _, err := w.Write(h.Bytes()); err != nil {
		return err
	}
	for i := range tensors {
		t := &tensors[i]
		size, err := t.size()
		if err != nil {
			return err
		}
		if err := filewrite.Exactly(w, size, t.Data); err != nil {
			return fmt.Errorf("gguf: tensor %q: %w", t.Name, err)
		}
		if _, err := w.Write(make([]byte, pad(size))); err != nil {
			return err
		}
	}
	return nil
}

// pad is the number of bytes from n to the next multiple of the alignment.
func pad(n int64) int64 { return -n & (defAlign - 1) }

// put appends values of fixed size, little-endian.
func put(h *bytes.Buffer, values ...any) {
	for _, v := range values {
		// A buffer takes every write, and all callers pass types of fixed size.
		_ = binary.Write(h, le, v)
	}
}

func putString(h *bytes.Buffer, s string) { put(h, uint64(len(s)), []byte(s)) }

func putValue(h *bytes.Buffer, v any) error {
	switch v := v.(type) {
	case string:
		put(h, uint32(typeString))
		putString(h, v)
	case []string:
		put(h, uint32(typeArray), uint32(typeString), uint64(len(v)))
		for _, s := range v {
			putString(h, s)
		}
	default:
		t := reflect.TypeOf(v)
		if scalar, ok := fixedSize[t]; ok {
			put(h, uint32(scalar), v)
			return nil
		}
		if t != nil && t.Kind() == reflect.Slice {
			if element, ok := fixedSize[t.Elem()]; ok {
				put(h, uint32(typeArray), uint32(element), uint64(reflect.ValueOf(v).Len()), v)
				return nil
			}
		}
		return fmt.Errorf("values of type %T: %w", v, ErrUnsupported)
	}
	return nil
}

var fixedSize = map[reflect.Type]valueType{
	reflect.TypeFor[uint8](): typeUint8, reflect.TypeFor[int8](): typeInt8,
	reflect.TypeFor[uint16](): typeUint16, reflect.TypeFor[int16](): typeInt16,
	reflect.TypeFor[uint32](): typeUint32, reflect.TypeFor[int32](): typeInt32,
	reflect.TypeFor[uint64](): typeUint64, reflect.TypeFor[int64](): typeInt64,
	reflect.TypeFor[float32](): typeFloat32, reflect.TypeFor[float64](): typeFloat64,
	reflect.TypeFor[bool](): typeBool,
}
