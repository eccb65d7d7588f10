package pytorch

import (
	"archive/zip"
	"cmp"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
)

// DType is the element type of a tensor, spelled as PyTorch does.
type DType string

// The element types of PyTorch's typed storages.
const (
	Float64  DType = "float64"
	Float32  DType = "float32"
	Float16  DType = "float16"
	BFloat16 DType = "bfloat16"
	Int64    DType = "int64"
	Int32    DType = "int32"
	Int16    DType = "int16"
	Int8     DType = "int8"
	UInt8    DType = "uint8"
	Bool     DType = "bool"
)

// storageTypes are the classes that a pickle names for the elements of a storage.
var storageTypes = map[string]struct {
	dtype DType
	bytes int64
}{
	"DoubleStorage":   {Float64, 8},
	"FloatStorage":    {Float32, 4},
	"HalfStorage":     {Float16, 2},
	"BFloat16Storage": {BFloat16, 2},
	"LongStorage":     {Int64, 8},
	"IntStorage":      {Int32, 4},
	"ShortStorage":    {Int16, 2},
	"CharStorage":     {Int8, 1},
	"ByteStorage":     {UInt8, 1},
	"BoolStorage":     {Bool, 1},
}

// Tensor is a tensor of a file. Tensors may share their bytes, as tied weights
// do.
type Tensor struct {
	Name   string
	DType  DType
	Shape  []int // outermost first; empty for a scalar
	Offset int64 // of the first element, from the beginning of the file
	Size   int64 // bytes of all elements
	// Dense is false for a view whose rows do not follow one another, such as a
	// transposed matrix: its elements are not the Size bytes at Offset.
	Dense bool
}

// File is what a file holds: the tensors of the saved dictionary, and those of
// the dictionaries in it. Apple's training code saves weights as a plain
// dictionary, and its checkpoints as one that has them under
// "model_state_dict", beside the optimiser's state.
type File struct {
	Tensors []Tensor            // of the dictionary itself, in the order in which they were saved
	Dicts   map[string][]Tensor // of the dictionaries one level down, by their keys
}

// Limits that no checkpoint comes near.
const (
	maxEntries = 1 << 20  // of the archive
	maxPickle  = 64 << 20 // bytes of data.pkl
)

// Is reports whether a file begins as torch.save's archives do: with the local
// header of an uncompressed zip entry.
func Is(r io.ReaderAt) bool {
	var magic [4]byte
	n, _ := r.ReadAt(magic[:], 0)
	return n == len(magic) && string(magic[:]) == "PK\x03\x04"
}

// Read reads and checks the directory of a file of the given size. Of a file
// that it cannot accept it returns a [*FormatError].
func Read(r io.ReaderAt, size int64) (*File, error) {
	a, err := openArchive(r, size)
	if err != nil {
		return nil, err
	}
	text, err := a.pickle()
	if err != nil {
		return nil, err
	}
	root, err := unpickle(text)
	if err != nil {
		return nil, err
	}
	top, ok := root.(*dict)
	if !ok {
		return nil, unsupported("", "holds %s, not a dictionary of tensors", kind(root))
	}
	f := &File{Dicts: map[string][]Tensor{}}
	if f.Tensors, err = a.tensors(top); err != nil {
		return nil, err
	}
	for key, value := range top.all() {
		if d, ok := value.(*dict); ok {
			if f.Dicts[key], err = a.tensors(d); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

// archive is the zip around the pickle.
type archive struct {
	prefix  string // of all entries: the name under which the file was saved
	entries map[string]*entry
}

type entry struct {
	*zip.File
	offset int64 // of the data; its length is UncompressedSize64
}

func openArchive(r io.ReaderAt, size int64) (*archive, error) {
	z, err := zip.NewReader(r, size)
	if errors.Is(err, zip.ErrInsecurePath) {
		err = nil // nothing is written anywhere
	}
	if err != nil {
		if legacy(r) {
			return nil, unsupported("", "was written by a PyTorch before 1.6; load it there and save it again")
		}
		return nil, &FormatError{Reason: "no archive that torch.save wrote", Err: err}
	}
	if len(z.File) > maxEntries {
		return nil, corrupt("", "%d entries, at most %d are read", len(z.File), maxEntries)
	}
	a := &archive{entries: make(map[string]*entry, len(z.File))}
	order := make([]*entry, 0, len(z.File))
	for _, f := range z.File {
		if _, file, _ := strings.Cut(f.Name, "/"); file == "constants.pkl" {
			return nil, unsupported(f.Name, "is a TorchScript program; save its state_dict instead")
		}
	}
	for _, f := range z.File {
		if _, twice := a.entries[f.Name]; twice {
			return nil, corrupt(f.Name, "the entry occurs twice")
		}
		if f.Method != zip.Store || f.CompressedSize64 != f.UncompressedSize64 || f.Flags&1 != 0 {
			return nil, unsupported(f.Name, "is compressed or encrypted; torch.save stores its entries as they are")
		}
		off, err := f.DataOffset()
		if err != nil {
			return nil, &FormatError{Field: f.Name, Reason: "no local header", Err: err}
		}
		if off < 0 || off > size || f.UncompressedSize64 > uint64(size-off) {
			return nil, corrupt(f.Name, "%d bytes at %d in a file of %d", f.UncompressedSize64, off, size)
		}
		e := &entry{f, off}
		a.entries[f.Name], order = e, append(order, e)
	}
	slices.SortFunc(order, func(x, y *entry) int { return cmp.Compare(x.offset, y.offset) })
	for i := 1; i < len(order); i++ {
		if before := order[i-1]; before.offset+int64(before.UncompressedSize64) > order[i].offset {
			return nil, corrupt(order[i].Name, "overlaps %q", before.Name)
		}
	}
	return a, nil
}

// legacy reports whether a file begins with the pickle of the magic number
// that PyTorch wrote before it had archives: PROTO 2, LONG1 of ten bytes.
func legacy(r io.ReaderAt) bool {
	var b [4]byte
	n, _ := r.ReadAt(b[:], 0)
	return n == len(b) && string(b[:]) == "\x80\x02\x8a\x0a"
}

// pickle reads the archive's one pickle, and finds the prefix.
func (a *archive) pickle() ([]byte, error) {
	var found *entry
	for name, e := range a.entries {
		dir, file, _ := strings.Cut(name, "/")
		if file != "data.pkl" {
			continue
		}
		if found != nil {
			return nil, corrupt(name, "a second data.pkl")
		}
		found, a.prefix = e, dir+"/"
	}
	if found == nil {
		return nil, unsupported("", "an archive without data.pkl: torch.save did not write it")
	}
	if order, ok := a.entries[a.prefix+"byteorder"]; ok {
		if text, err := order.read(16); err != nil || string(text) != "little" {
			return nil, unsupported(order.Name, "numbers are %.16q-endian, want little", text)
		}
	}
	return found.read(maxPickle)
}

// read returns the contents, whose checksum it checks.
func (e *entry) read(limit uint64) ([]byte, error) {
	if e.UncompressedSize64 > limit {
		return nil, unsupported(e.Name, "%d bytes, at most %d are read", e.UncompressedSize64, limit)
	}
	in, err := e.Open()
	if err != nil {
		return nil, &FormatError{Field: e.Name, Reason: "cannot be read", Err: err}
	}
	defer in.Close()
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, &FormatError{Field: e.Name, Reason: "cannot be read", Err: err}
	}
	return text, nil
}

// tensors are those among the values of d, placed in the file.
func (a *archive) tensors(d *dict) ([]Tensor, error) {
	var list []Tensor
	for name, value := range d.all() {
		v, ok := value.(*view)
		if !ok {
			continue
		}
		t, err := a.place(name, v)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

// place finds the bytes of a view of a storage.
func (a *archive) place(name string, v *view) (Tensor, error) {
	s := storageTypes[v.storage.class]
	e := a.entries[a.prefix+"data/"+v.storage.key]
	if e == nil {
		return Tensor{}, corrupt(name, "the archive has no storage %.40q", v.storage.key)
	}
	if have := int64(e.UncompressedSize64); have/s.bytes != v.storage.elements || have%s.bytes != 0 {
		return Tensor{}, corrupt(name, "storage %s has %d bytes, want %d elements of %s", v.storage.key, have, v.storage.elements, s.dtype)
	}
	outside := func() (Tensor, error) {
		return Tensor{}, corrupt(name, "shape %d with strides %d from element %d on does not lie in a storage of %d", v.shape, v.stride, v.offset, v.storage.elements)
	}
	t := Tensor{Name: name, DType: s.dtype, Dense: true, Shape: make([]int, len(v.shape))}
	if slices.Contains(v.shape, 0) {
		t.Offset = e.offset
	} else if v.offset < 0 || v.offset >= v.storage.elements {
		return outside()
	}
	count, last := int64(1), v.offset // of the elements seen so far: how many, and the furthest
	for i := len(v.shape) - 1; i >= 0; i-- {
		n, stride := v.shape[i], v.stride[i]
		if n < 0 || stride < 0 || n > math.MaxInt || n > 0 && count > math.MaxInt64/8/n {
			return outside()
		}
		t.Shape[i] = int(n)
		if n > 1 && t.Offset == 0 {
			if stride > (v.storage.elements-1-last)/(n-1) {
				return outside()
			}
			last += stride * (n - 1)
			t.Dense = t.Dense && stride == count
		}
		count *= n
	}
	if count > 0 {
		t.Offset = e.offset + v.offset*s.bytes
	}
	t.Size = count * s.bytes
	return t, nil
}
