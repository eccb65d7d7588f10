package gguf

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// File is what a GGUF file says of its contents.
type File struct {
	Version   uint32
	Metadata  map[string]any // Go values: uint8 … float64, bool, string and slices of them
	Tensors   []Tensor       // in the order of the directory
	Alignment int64          // of the data of each tensor
}

// Tensor is one entry of the directory.
type Tensor struct {
	Name   string
	Type   Type
	Shape  []int // outermost first: the reverse of the file's order
	Offset int64 // of the first byte, from the beginning of the file
	Size   int64 // bytes
}

// Limits of the format's text and of ggml.
const (
	maxKey     = 1<<16 - 1
	maxDims    = 4
	maxAlign   = 1 << 20
	defAlign   = 32
	headerSize = 24
)

// Read reads and checks the metadata and the directory of a file of the given
// size. Of a file that it cannot accept it returns a [*FormatError].
func Read(r io.ReaderAt, size int64) (*File, error) {
	d := &reader{in: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 1<<16), size: size}
	f := &File{Metadata: map[string]any{}, Alignment: defAlign}
	tensors, keys, err := d.header(f)
	if err != nil {
		return nil, err
	}
	for range keys {
		if err := d.pair(f); err != nil {
			return nil, err
		}
	}
	d.field = ""
	if err := d.alignment(f); err != nil {
		return nil, err
	}
	names := map[string]struct{}{}
	for range tensors {
		t, err := d.tensor(f)
		if err != nil {
			return nil, err
		}
		if _, twice := names[t.Name]; twice {
			return nil, d.fail("the name occurs twice")
		}
		names[t.Name] = struct{}{}
		f.Tensors = append(f.Tensors, t)
	}
	d.field = ""
	return f, d.place(f)
}

// reader reads the values of a file in sequence.
type reader struct {
	in        *bufio.Reader
	pos, size int64
	field     string // what is being read, for errors
	scratch   [8]byte
}

func (r *reader) fail(format string, args ...any) error {
	return &FormatError{Field: r.field, Offset: r.pos, Reason: fmt.Sprintf(format, args...)}
}

// bytes returns the next n bytes, at most 8, valid until the next call.
func (r *reader) bytes(n int) ([]byte, error) { return r.scratch[:n], r.fill(r.scratch[:n]) }

func (r *reader) fill(b []byte) error {
	if int64(len(b)) > r.size-r.pos {
		return r.fail("the file ends here, in the middle of the header")
	}
	n, err := io.ReadFull(r.in, b)
	r.pos += int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (r *reader) string() (string, error) {
	n, err := scalar(r, 8, le.Uint64)
	if err != nil {
		return "", err
	}
	if n > uint64(r.size-r.pos) {
		return "", r.fail("string of %d bytes, but only %d are left", n, r.size-r.pos)
	}
	b := make([]byte, n)
	err = r.fill(b)
	return string(b), err
}

// name is a string that serves as a key.
func (r *reader) name() (string, error) {
	start := r.pos
	s, err := r.string()
	if err != nil {
		return "", err
	}
	if s == "" || len(s) > maxKey || !utf8.ValidString(s) {
		return "", &FormatError{Offset: start, Reason: fmt.Sprintf("a name of %d bytes that is not 1 to %d bytes of UTF-8", len(s), maxKey)}
	}
	return s, nil
}

func (r *reader) header(f *File) (tensors, keys uint64, err error) {
	if r.size < headerSize {
		return 0, 0, r.fail("file of %d bytes; the header alone has %d", r.size, headerSize)
	}
	var b [headerSize]byte
	if err := r.fill(b[:]); err != nil {
		return 0, 0, err
	}
	if string(b[:4]) != "GGUF" {
		return 0, 0, &FormatError{Reason: fmt.Sprintf("begins with %q, not with GGUF", b[:4])}
	}
	f.Version = le.Uint32(b[4:])
	switch {
	case f.Version&0xffff == 0 && f.Version != 0:
		return 0, 0, &FormatError{Offset: 4, Reason: "big-endian file", Err: ErrUnsupported}
	case f.Version != 2 && f.Version != 3:
		return 0, 0, &FormatError{Offset: 4, Reason: fmt.Sprintf("version %d, this package reads 2 and 3", f.Version), Err: ErrUnsupported}
	}
	return le.Uint64(b[8:]), le.Uint64(b[16:]), nil
}

// pair reads a key and its value.
func (r *reader) pair(f *File) error {
	r.field = ""
	key, err := r.name()
	if err != nil {
		return err
	}
	r.field = key
	if _, twice := f.Metadata[key]; twice {
		return r.fail("the key occurs twice")
	}
	t, err := scalar(r, 4, le.Uint32)
	if err != nil {
		return err
	}
	f.Metadata[key], err = r.value(valueType(t), 0)
	return err
}

func (r *reader) alignment(f *File) error {
	const key = "general.alignment"
	n, ok, err := f.Int(key)
	if err != nil || !ok {
		return err
	}
	if n < 8 || n > maxAlign || bits.OnesCount64(uint64(n)) != 1 {
		return &FormatError{Field: key, Reason: fmt.Sprintf("alignment of %d, want a power of two from 8 to %d", n, maxAlign)}
	}
	f.Alignment = n
	return nil
}

// tensor reads an entry of the directory; its Offset is still relative to the
// beginning of the data.
func (r *reader) tensor(f *File) (t Tensor, err error) {
	r.field = ""
	if t.Name, err = r.name(); err != nil {
		return t, err
	}
	r.field = t.Name
	dims, err := scalar(r, 4, le.Uint32)
	if err != nil {
		return t, err
	}
	if dims > maxDims {
		return t, r.fail("%d dimensions, at most %d are allowed", dims, maxDims)
	}
	elements := uint64(1)
	for range dims {
		n, err := scalar(r, 8, le.Uint64)
		if err != nil {
			return t, err
		}
		hi, lo := bits.Mul64(elements, n)
		if hi != 0 || lo > math.MaxInt64/8 || n > math.MaxInt {
			return t, r.fail("the number of elements overflows")
		}
		elements = lo
		t.Shape = append(t.Shape, int(n))
	}
	slices.Reverse(t.Shape)
	kind, err := scalar(r, 4, le.Uint32)
	if err != nil {
		return t, err
	}
	t.Type = Type(kind)
	info, known := types[t.Type]
	if !known {
		return t, &FormatError{Field: t.Name, Offset: r.pos, Reason: "unknown tensor " + t.Type.String(), Err: ErrUnsupported}
	}
	cols := uint64(1)
	if dims > 0 {
		cols = uint64(t.Shape[dims-1])
	}
	if cols%uint64(info.cols) != 0 {
		return t, r.fail("rows of %d elements are no whole number of %s blocks of %d", cols, info.name, info.cols)
	}
	hi, size := bits.Mul64(elements/uint64(info.cols), uint64(info.bytes))
	if hi != 0 || size > math.MaxInt64 {
		return t, r.fail("the size overflows")
	}
	offset, err := scalar(r, 8, le.Uint64)
	if err != nil {
		return t, err
	}
	if offset%uint64(f.Alignment) != 0 {
		return t, r.fail("offset %d is not a multiple of the alignment %d", offset, f.Alignment)
	}
	if offset > uint64(r.size) || size > uint64(r.size)-offset {
		return t, r.fail("%d bytes at offset %d lie outside the file", size, offset)
	}
	t.Offset, t.Size = int64(offset), int64(size)
	return t, nil
}

// place turns offsets into positions in the file, behind the directory, and
// refuses tensors that overlap.
func (r *reader) place(f *File) error {
	data := (r.pos + f.Alignment - 1) / f.Alignment * f.Alignment
	order := make([]*Tensor, len(f.Tensors))
	for i := range f.Tensors {
		order[i] = &f.Tensors[i]
		order[i].Offset += data
	}
	slices.SortFunc(order, func(a, b *Tensor) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Size, b.Size))
	})
	end := data
	for _, t := range order {
		if t.Offset < end {
			return &FormatError{Field: t.Name, Offset: t.Offset, Reason: fmt.Sprintf("the data overlaps that of another tensor, which ends at byte %d", end)}
		}
		end = t.Offset + t.Size
		if end > r.size {
			return &FormatError{Field: t.Name, Offset: t.Offset, Reason: fmt.Sprintf("the data ends at byte %d of a file of %d", end, r.size)}
		}
	}
	return nil
}
