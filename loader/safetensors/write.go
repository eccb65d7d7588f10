package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/bits"

	"github.com/go-openelm/go-openelm/internal/filewrite"
)

// Source is a tensor to be written.
type Source struct {
	Name  string
	DType DType
	Shape []int // outermost first

	// Data writes the elements, little-endian and row-major: exactly as many
	// bytes as type and shape say.
	Data func(w io.Writer) error
}

// size is the number of bytes of the elements.
func (s *Source) size() (int64, error) {
	n := uint64(s.DType.Bits())
	for _, d := range s.Shape {
		hi, lo := bits.Mul64(n, uint64(d))
		if d < 0 || hi != 0 {
			return 0, &FormatError{Field: s.Name, Reason: fmt.Sprintf("size of shape %d overflows", s.Shape)}
		}
		n = lo
	}
	if s.DType.Bits() == 0 || n%8 != 0 || n/8 > math.MaxInt64 {
		return 0, &FormatError{Field: s.Name, Reason: fmt.Sprintf("no size of dtype %q and shape %d", s.DType, s.Shape)}
	}
	return int64(n / 8), nil
}

// Write writes a file: metadata, which may be nil, and the tensors in the given
// order. The data begins at a multiple of 8 bytes; it is up to the order that
// each tensor is aligned to the size of its elements.
func Write(w io.Writer, metadata map[string]string, tensors []Source) error {
	var header bytes.Buffer
	header.WriteString("{")
	sep := ""
	member := func(name string, value any) error {
		key, err := json.Marshal(name)
		if err != nil {
			return err
		}
		text, err := json.Marshal(value)
		header.WriteString(sep)
		header.Write(key)
		header.WriteString(":")
		header.Write(text)
		sep = ","
		return err
	}
	if metadata != nil {
		if err := member("__metadata__", metadata); err != nil {
			return err
		}
	}
	end := int64(0)
	for i := range tensors {
		t := &tensors[i]
		size, err := t.size()
		if err != nil {
			return err
		}
		if size > math.MaxInt64-end {
			return &FormatError{Field: t.Name, Reason: "the file's size overflows"}
		}
		entry := struct {
			DType       DType    `json:"dtype"`
			Shape       []int    `json:"shape"`
			DataOffsets [2]int64 `json:"data_offsets"`
		}{t.DType, append([]int{}, t.Shape...), [2]int64{end, end + size}}
		if err := member(t.Name, entry); err != nil {
			return err
		}
		end += size
	}
	header.WriteString("}")
	for header.Len()%8 != 0 {
		header.WriteByte(' ')
	}
	var prefix [8]byte
	binary.LittleEndian.PutUint64(prefix[:], uint64(header.Len()))
	if _, err := w.Write(prefix[:]); err != nil {
		return err
	}
	if _, err := w.Write(header.Bytes()); err != nil {
		return err
	}
	for i := range tensors {
		t := &tensors[i]
		size, err := t.size()
		if err != nil {
			return err
		}
		if err := filewrite.Exactly(w, size, t.Data); err != nil {
			return fmt.Errorf("safetensors: tensor %q: %w", t.Name, err)
		}
	}
	return nil
}
