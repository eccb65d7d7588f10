package loader

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/go-openelm/go-openelm/internal/filewrite"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader/safetensors"
	"github.com/go-openelm/go-openelm/openelm"
)

// The metadata of a session's file. Its tensors are "tokens", I32 [tokens];
// "logits", F32 [vocab], if the last token is evaluated; and for each layer i
// "layers.i.keys" and "layers.i.values", [kv_heads, evaluated, head_dim].
const (
	sessionKind      = "kind"
	sessionModel     = "model"
	sessionAdapter   = "adapter"
	sessionBackend   = "backend"
	sessionEvaluated = "evaluated"
	sessionExact     = "exact"

	sessionKindValue = "go-openelm session 1"
)

var cacheDTypes = map[kernels.Format]safetensors.DType{kernels.F32: safetensors.F32, kernels.F16: safetensors.F16}

// SaveSession writes a session to a safetensors file that only its owner may
// read, which takes the place of path when it is complete; nothing is left when
// ctx ends before. The session is busy meanwhile.
func SaveSession(ctx context.Context, path string, s *openelm.Session) error {
	c := s.Model().Config()
	return s.Snapshot(func(x *openelm.Snapshot) error {
		tensors := []safetensors.Source{{Name: "tokens", DType: safetensors.I32, Shape: []int{len(x.Tokens)}, Data: func(w io.Writer) error {
			return binary.Write(w, binary.LittleEndian, x.Tokens)
		}}}
		if x.Logits != nil {
			tensors = append(tensors, safetensors.Source{Name: "logits", DType: safetensors.F32, Shape: []int{len(x.Logits)}, Data: func(w io.Writer) error {
				return binary.Write(w, binary.LittleEndian, x.Logits)
			}})
		}
		for i, l := range x.Layers {
			for j, heads := range [][][]byte{l.Keys, l.Values} {
				tensors = append(tensors, safetensors.Source{
					Name: layerTensor(i, j), DType: cacheDTypes[x.Format], Shape: []int{len(heads), x.Evaluated, c.HeadDim},
					Data: func(w io.Writer) error {
						for _, h := range heads {
							if _, err := w.Write(h); err != nil {
								return err
							}
						}
						return nil
					},
				})
			}
		}
		metadata := map[string]string{
			sessionKind: sessionKindValue, sessionModel: x.Model, sessionAdapter: x.Adapter, sessionBackend: x.Backend,
			sessionEvaluated: strconv.Itoa(x.Evaluated), sessionExact: strconv.Itoa(x.Exact),
		}
		return filewrite.Private(ctx, path, func(w io.Writer) error { return safetensors.Write(w, metadata, tensors) })
	})
}

// layerTensor is the name of layer i's keys (0) or values (1).
func layerTensor(i, which int) string {
	return fmt.Sprintf("layers.%d.%s", i, [...]string{"keys", "values"}[which])
}

// OpenSession reads a session of m that SaveSession wrote. Options that are not
// set are the file's, but for the adapter, which must be the one it was saved
// with. The error is a [*FileError]: of kind ErrCorrupt for a damaged file; for
// one of another model, adapter or cache format it wraps [openelm.ErrSnapshot].
func OpenSession(path string, m *openelm.Model, o *openelm.SessionOptions) (*openelm.Session, error) {
	r, x, err := readSession(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	r.headDim = m.Config().HeadDim
	s, err := m.Restore(x, o, r.layers)
	if err != nil {
		return nil, inFile(path, err)
	}
	return s, nil
}

// InspectSession reads what a session's file holds, but for keys and values: Layers
// is nil. Errors are those of [OpenSession] about a file that is damaged.
func InspectSession(path string) (*openelm.Snapshot, error) {
	r, x, err := readSession(path)
	if err != nil {
		return nil, err
	}
	return x, r.Close()
}

// readSession opens a session's file and reads everything but keys and values.
func readSession(path string) (*sessionReader, *openelm.Snapshot, error) {
	f, err := openPath(path)
	if err != nil {
		return nil, nil, err
	}
	header, err := safetensors.ReadHeader(f, f.size)
	if err != nil {
		f.Close()
		return nil, nil, inFile(path, err)
	}
	r := &sessionReader{file: f, header: header}
	x, err := r.snapshot()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return r, x, nil
}

// sessionReader reads the tensors of a session's file.
type sessionReader struct {
	*file
	header    *safetensors.Header
	headDim   int
	evaluated int
	dtype     safetensors.DType // of keys and values
}

// snapshot reads everything but keys and values.
func (r *sessionReader) snapshot() (*openelm.Snapshot, error) {
	meta := r.header.Metadata
	if kind := meta[sessionKind]; kind != sessionKindValue {
		return nil, unsupported(r.name, sessionKind, "%.100q is not %q", kind, sessionKindValue)
	}
	x := &openelm.Snapshot{Model: meta[sessionModel], Adapter: meta[sessionAdapter], Backend: meta[sessionBackend]}
	for field, n := range map[string]*int{sessionEvaluated: &x.Evaluated, sessionExact: &x.Exact} {
		var err error
		if *n, err = strconv.Atoi(meta[field]); err != nil || *n < 0 {
			return nil, corrupt(r.name, field, "%.100q is no number of tokens", meta[field])
		}
	}
	r.evaluated = x.Evaluated
	first, err := r.find(layerTensor(0, 0))
	if err != nil {
		return nil, err
	}
	r.dtype = first.DType
	for format, dtype := range cacheDTypes {
		if dtype == r.dtype {
			x.Format = format
		}
	}
	if x.Format == 0 {
		return nil, unsupported(r.name, first.Name, "keys in %s", r.dtype)
	}
	tokens, err := r.find("tokens")
	if err != nil {
		return nil, err
	}
	if tokens.DType != safetensors.I32 || len(tokens.Shape) != 1 {
		return nil, corrupt(r.name, tokens.Name, "%s of shape %d, want a list of I32", tokens.DType, tokens.Shape)
	}
	if x.Tokens, err = readNumbers[int32](r.file, tokens); err != nil {
		return nil, err
	}
	logits, err := r.find("logits")
	if errors.Is(err, errNoTensor) {
		return x, nil
	}
	if err != nil {
		return nil, err
	}
	if logits.DType != safetensors.F32 || len(logits.Shape) != 1 {
		return nil, corrupt(r.name, logits.Name, "%s of shape %d, want a list of F32", logits.DType, logits.Shape)
	}
	x.Logits, err = readNumbers[float32](r.file, logits)
	return x, err
}

var errNoTensor = errors.New("no such tensor")

func (r *sessionReader) find(name string) (safetensors.Tensor, error) {
	i := slices.IndexFunc(r.header.Tensors, func(t safetensors.Tensor) bool { return t.Name == name })
	if i < 0 {
		return safetensors.Tensor{}, &FileError{File: r.name, Field: name, Kind: ErrCorrupt, Err: errNoTensor}
	}
	return r.header.Tensors[i], nil
}

// readNumbers reads a tensor, whose size is that of a part of the file.
func readNumbers[T int32 | float32](f *file, t safetensors.Tensor) ([]T, error) {
	data := make([]byte, t.Size)
	if err := f.readFull(data, t.Offset); err != nil {
		return nil, inFile(f.name, err)
	}
	list := make([]T, len(data)/4)
	_, err := binary.Decode(data, binary.LittleEndian, list)
	return list, err
}

// layers reads keys and values to where they belong.
func (r *sessionReader) layers(layers []openelm.SnapshotLayer) error {
	for i, l := range layers {
		for j, heads := range [][][]byte{l.Keys, l.Values} {
			t, err := r.find(layerTensor(i, j))
			if err != nil {
				return err
			}
			if want := []int{len(heads), r.evaluated, r.headDim}; t.DType != r.dtype || !slices.Equal(t.Shape, want) {
				return corrupt(r.name, t.Name, "%s of shape %d, want %s of %d", t.DType, t.Shape, r.dtype, want)
			}
			off := t.Offset
			for _, h := range heads {
				if err := r.readFull(h, off); err != nil {
					return inFile(r.name, err)
				}
				off += int64(len(h))
			}
		}
	}
	return nil
}
