package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"strconv"

	"github.com/go-openelm/go-openelm/internal/strictjson"
)

// MaxHeader is the largest header the format allows, in bytes.
const MaxHeader = 100_000_000

// FormatError says that a file breaks the safetensors format.
type FormatError struct {
	Field  string // the tensor or key concerned; empty for the file as a whole
	Reason string
	Err    error // the cause, if there is one
}

func (e *FormatError) Error() string {
	s := "safetensors: " + e.Reason
	if e.Field != "" {
		s = fmt.Sprintf("safetensors: %q: %s", e.Field, e.Reason)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap is the cause.
func (e *FormatError) Unwrap() error { return e.Err }

// In is Field, for who handles the errors of several formats alike.
func (e *FormatError) In() string { return e.Field }

// Tensor is one entry of a header.
type Tensor struct {
	Name   string
	DType  DType
	Shape  []int // outermost first; empty for a scalar
	Offset int64 // of the first byte, from the beginning of the file
	Size   int64 // bytes
}

// Header is what a file says of its tensors.
type Header struct {
	Metadata map[string]string
	Tensors  []Tensor // in the order of their offsets
}

// ReadHeader reads and checks the header of a file of the given size. It reads
// nothing else. Of a file that breaks the format it returns a [*FormatError].
func ReadHeader(r io.ReaderAt, size int64) (*Header, error) {
	var prefix [8]byte
	if size < int64(len(prefix)) {
		return nil, &FormatError{Reason: fmt.Sprintf("file of %d bytes is shorter than the 8 bytes of the header's length", size)}
	}
	if err := readFull(r, prefix[:], 0); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(prefix[:])
	switch {
	case n > MaxHeader:
		return nil, &FormatError{Reason: fmt.Sprintf("header of %d bytes; at most %d are allowed", n, MaxHeader)}
	case n > uint64(size)-8:
		return nil, &FormatError{Reason: fmt.Sprintf("header of %d bytes in a file of %d", n, size)}
	}
	text := make([]byte, n)
	if err := readFull(r, text, 8); err != nil {
		return nil, err
	}
	return parse(text, size)
}

func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// parse reads the text of a header; size is that of the whole file.
func parse(text []byte, size int64) (*Header, error) {
	if len(text) == 0 || text[0] != '{' {
		return nil, &FormatError{Reason: "header does not begin with {"}
	}
	h := &Header{}
	data := int64(8 + len(text))
	err := strictjson.Object(text, func(key string, value json.RawMessage) error {
		if key == "__metadata__" {
			return h.parseMetadata(value)
		}
		t, err := parseTensor(key, value, data, size)
		if err == nil {
			h.Tensors = append(h.Tensors, t)
		}
		return err
	})
	if err == nil {
		err = h.checkLayout(data, size)
	}
	if err != nil {
		return nil, formatError(err, "", "header")
	}
	return h, nil
}

// formatError makes an error of reading JSON a FormatError, which it may be already.
func formatError(err error, field, reason string) error {
	if f := (*FormatError)(nil); errors.As(err, &f) {
		return err
	}
	return &FormatError{Field: field, Reason: reason, Err: err}
}

// parseMetadata reads the map of strings; Python's writer leaves it out when
// there is none, MLX's writes null.
func (h *Header) parseMetadata(value json.RawMessage) error {
	if strictjson.IsNull(value) {
		return nil
	}
	h.Metadata = map[string]string{}
	err := strictjson.Object(value, func(key string, v json.RawMessage) error {
		s, ok := strictjson.String(v)
		if !ok {
			return fmt.Errorf("value of %.100q is not a string", key)
		}
		h.Metadata[key] = s
		return nil
	})
	if err != nil {
		return &FormatError{Field: "__metadata__", Reason: "not a map of strings", Err: err}
	}
	return nil
}

func parseTensor(name string, value json.RawMessage, data, size int64) (Tensor, error) {
	fail := func(reason string, err error) (Tensor, error) {
		return Tensor{}, &FormatError{Field: name, Reason: reason, Err: err}
	}
	fields, err := strictjson.Members(value)
	if err != nil {
		return fail("description of the tensor", err)
	}
	dtype, ok := strictjson.String(fields["dtype"])
	if !ok {
		return fail("no dtype", nil)
	}
	t := Tensor{Name: name, DType: DType(dtype)}
	if t.DType.Bits() == 0 {
		return fail(fmt.Sprintf("unknown dtype %q", dtype), nil)
	}
	shape, err := integers(fields["shape"])
	if err != nil {
		return fail("shape", err)
	}
	offsets, err := integers(fields["data_offsets"])
	if err != nil {
		return fail("data_offsets", err)
	}
	if len(offsets) != 2 || offsets[0] > offsets[1] {
		return fail(fmt.Sprintf("data_offsets %d are not a begin and an end", offsets), nil)
	}
	if offsets[1] > uint64(size-data) {
		return fail(fmt.Sprintf("data_offsets %d lie outside the %d bytes of data", offsets, size-data), nil)
	}
	t.Offset, t.Size = data+int64(offsets[0]), int64(offsets[1]-offsets[0])

	want := uint64(t.DType.Bits())
	for _, n := range shape {
		hi, lo := bits.Mul64(want, n)
		if hi != 0 || n > math.MaxInt {
			return fail(fmt.Sprintf("size of shape %d overflows", shape), nil)
		}
		want = lo
		t.Shape = append(t.Shape, int(n))
	}
	if want%8 != 0 || want/8 != uint64(t.Size) {
		return fail(fmt.Sprintf("%d bytes for shape %d of %s, which takes %d bits", t.Size, shape, t.DType, want), nil)
	}
	return t, nil
}

// maxRank bounds the dimensions of a tensor, so that a long list in the file is
// no long list in memory. The format has no limit; no checkpoint comes near.
const maxRank = 32

// integers reads a list of numbers that are whole and not negative, written as
// plain digits: the format's own reader takes nothing else.
func integers(value json.RawMessage) ([]uint64, error) {
	text, isList := bytes.CutPrefix(value, []byte("["))
	if !isList {
		return nil, errors.New("not a list of numbers")
	}
	text = bytes.TrimSpace(bytes.TrimSuffix(text, []byte("]")))
	list := []uint64{}
	for more := len(text) > 0; more; {
		var number []byte
		number, text, more = bytes.Cut(text, []byte(","))
		v, err := strconv.ParseUint(string(bytes.TrimSpace(number)), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%.24q is not a whole number from 0 to 2⁶⁴−1", number)
		}
		if len(list) == maxRank {
			return nil, fmt.Errorf("more than %d numbers", maxRank)
		}
		list = append(list, v)
	}
	return list, nil
}

// checkLayout sorts the tensors and holds that they cover the data exactly:
// no overlap, no hole, nothing behind the last.
func (h *Header) checkLayout(data, size int64) error {
	slices.SortFunc(h.Tensors, func(a, b Tensor) int {
		// An empty tensor comes before the neighbour that begins where it does.
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Size, b.Size), cmp.Compare(a.Name, b.Name))
	})
	end := data
	for i := range h.Tensors {
		t := &h.Tensors[i]
		switch {
		case t.Offset < end:
			return &FormatError{Field: t.Name, Reason: fmt.Sprintf("data begins at %d, inside the tensor before it, which ends at %d", t.Offset, end)}
		case t.Offset > end:
			return &FormatError{Field: t.Name, Reason: fmt.Sprintf("data begins at %d, after a hole from %d on", t.Offset, end)}
		}
		end += t.Size
	}
	if end != size {
		return &FormatError{Reason: fmt.Sprintf("file of %d bytes, but the tensors end at %d", size, end)}
	}
	return nil
}
