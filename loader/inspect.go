package loader

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/go-openelm/go-openelm/openelm"
)

// Info is what the headers of a checkpoint say.
type Info struct {
	Config  openelm.Config // with the widths of every layer
	Kind    string         // "Hugging Face", "CoreNet" or "GGUF", by the names of the tensors
	Files   []FileInfo
	Tensors []TensorInfo // by file and offset
	Formats []FormatInfo // the matrices, largest share first

	Tokenizer string // "GGUF", "tokenizer.json", "tokenizer.model" or "" if there is none

	// WeightBytes is the memory that the weights occupy, mapped files and copies
	// together; CopiedBytes is the part that is copied, because it is not aligned
	// in its file. CacheBytes is what the KV cache takes for each token of a session.
	WeightBytes, CopiedBytes, CacheBytes int64

	// Warnings is what is odd but harmless.
	Warnings []string

	// Problem is the error with which Open would refuse the checkpoint, nil if it
	// would not. What depends on the model is then left out: the formats, the
	// memory, and which tensors are used.
	Problem error
}

// FileInfo is a file with weights.
type FileInfo struct {
	Name string
	Size int64
}

// TensorInfo is a tensor of a checkpoint.
type TensorInfo struct {
	Name   string
	File   string
	Type   string // as the file spells it
	Shape  []int  // outermost first
	Offset int64  // of the first byte in the file
	Size   int64  // bytes
	Copied bool   // when the model is opened; otherwise it is used where it is
	Unused bool
}

// FormatInfo is what the matrices of one format add up to.
type FormatInfo struct {
	Format     string // such as "BF16" or "Affine4, groups of 64"
	Matrices   int
	Parameters int64
	Bytes      int64 // with scales and biases
}

// Inspect reads the headers of a checkpoint, which name means as it does for
// [Open], and checks them as [Open] does. What can be read is described even if
// this package cannot run it. It reads no weights, but downloads a repository
// that is not in the hub's cache.
func Inspect(ctx context.Context, name string, opts *Options) (*Info, error) {
	o := opts.withDefaults()
	l, err := locate(name, &o)
	if err != nil {
		return nil, err
	}
	return l.inspect(ctx, &o)
}

// InspectFS is [Inspect] for a checkpoint directory of a file system, as
// [OpenFS] takes it.
func InspectFS(ctx context.Context, fsys fs.FS) (*Info, error) {
	return location{src: fsSource{fsys}}.inspect(ctx, &Options{})
}

func (l location) inspect(ctx context.Context, o *Options) (*Info, error) {
	c, err := l.read(ctx, true)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var w openelm.Weights
	roles, err := c.roles(&w, o.Strict)
	c.problem = err
	info := &Info{Config: c.Config, Kind: c.names.kind, Warnings: c.warnings, Problem: c.problem}
	for _, f := range c.files {
		info.Files = append(info.Files, FileInfo{f.name, f.size})
	}
	if c.problem != nil {
		roles = nil
	} else {
		info.CacheBytes = c.CacheBytes()
	}
	info.addTensors(c, roles)
	if info.Tokenizer, err = c.tokenizer.kind(ctx); err != nil {
		return nil, err
	}
	return info, nil
}

// addTensors lists the tensors and adds up their sizes.
func (i *Info) addTensors(c *checkpoint, roles []*role) {
	formats := map[string]*FormatInfo{}
	used := map[*tensor]*role{}
	for _, r := range roles {
		for _, t := range r.tensors() {
			used[t] = r
		}
		if r.vector != nil { // widened to float32
			i.WeightBytes += int64(4 * r.rows)
			i.CopiedBytes += int64(4 * r.rows)
			continue
		}
		name := r.formatName()
		f := formats[name]
		if f == nil {
			f = &FormatInfo{Format: name}
			formats[name] = f
		}
		f.Matrices++
		f.Parameters += int64(r.rows) * int64(r.cols)
		for _, t := range r.tensors() {
			f.Bytes += t.size
			i.WeightBytes += t.size
			if !t.aligned() {
				i.CopiedBytes += t.size
			}
		}
	}
	for _, f := range formats {
		i.Formats = append(i.Formats, *f)
	}
	slices.SortFunc(i.Formats, func(a, b FormatInfo) int {
		return cmp.Or(cmp.Compare(b.Parameters, a.Parameters), cmp.Compare(a.Format, b.Format))
	})
	for _, t := range slices.SortedFunc(maps.Values(c.tensors), byPlace) {
		r := used[t]
		i.Tensors = append(i.Tensors, TensorInfo{
			Name: t.name, File: t.file.name, Type: t.kind, Shape: t.shape, Offset: t.off, Size: t.size,
			Copied: r != nil && (r.vector != nil || !t.aligned()), Unused: r == nil && c.problem == nil,
		})
	}
}

func byPlace(a, b *tensor) int {
	return cmp.Or(cmp.Compare(a.file.name, b.file.name), cmp.Compare(a.off, b.off), cmp.Compare(a.name, b.name))
}

// formatName describes how the role's matrix is stored.
func (r *role) formatName() string {
	if r.scales == nil {
		return r.weight.kind
	}
	return fmt.Sprintf("%s, groups of %d with %s scales", affineFormats[r.bits], r.group, r.scales.kind)
}
