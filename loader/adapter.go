package loader

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-openelm/go-openelm/internal/strictjson"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader/pytorch"
	"github.com/go-openelm/go-openelm/openelm"
)

// OpenAdapter opens a LoRA or DoRA adapter for m, whose weights it leaves as
// they are: a directory with adapter_config.json and, as PEFT writes it,
// adapter_model.safetensors or, as mlx-lm does, adapters.safetensors; or a
// repository id with these files. The name of a file takes the tensors from that
// one. A .pt file of CoreNet that holds a model and its adapter is opened for the
// adapter; the model in it must be m's. The adapter belongs to m's backend; its
// Release must come before m's Close. Of opts, only Hub and Logger are used.
//
// An embedding or output matrix that PEFT saved beside the updates is used in
// place of the model's, unless it is the same. What the adapter asks for and this
// package does not have, down to a tensor that no matrix of the model is for, is
// an error.
func OpenAdapter(ctx context.Context, name string, m *openelm.Model, opts *Options) (*openelm.Adapter, error) {
	o := opts.withDefaults()
	l, err := locate(name, &o)
	if err != nil {
		return nil, err
	}
	f, err := readAdapter(ctx, l)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for _, w := range f.warnings {
		o.Logger.Warn(w)
	}
	return f.open(ctx, m)
}

// open makes the adapter for m and holds it to m's shapes.
func (f *adapterFile) open(ctx context.Context, m *openelm.Model) (*openelm.Adapter, error) {
	a, err := f.adapter(ctx, m)
	if err != nil {
		return nil, err
	}
	if err := a.Validate(m); err != nil {
		a.Release()
		return nil, corrupt(f.configFile, "", "%w", err)
	}
	return a, nil
}

const adapterConfigFile = "adapter_config.json"

// adapterFile is an adapter as it is stored.
type adapterFile struct {
	checkpoint                    // its tensors
	updates    map[string]*update // by the path of the matrix
	whole      map[string]*tensor // matrices that were saved as they are, by path
}

// update is the update of one matrix W: scale·B·A, and DoRA's magnitude.
type update struct {
	a, b, magnitude *tensor
	scale           float64
	manner
}

// manner is how the matrices of an update are stored.
type manner int

const (
	plain      manner = iota // A is [rank, in], B [out, rank]
	transposed               // A is [in, rank], B [rank, out]
	lookedUp                 // of a table: A is [in, rank], B [rank, rows of the table]
)

// place is what a tensor is for an update.
type place struct {
	part func(*update) **tensor
	manner
}

func partA(u *update) **tensor         { return &u.a }
func partB(u *update) **tensor         { return &u.b }
func partMagnitude(u *update) **tensor { return &u.magnitude }

// dialect is how a library stores adapters.
type dialect struct {
	file   string // with the tensors
	prefix string // of their names
	ends   map[string]place

	wholeEnds []string // of the names of matrices that are saved whole
}

// readAdapter reads the configuration and the header of an adapter.
func readAdapter(ctx context.Context, l location) (_ *adapterFile, err error) {
	if l.file != "" {
		f, err := l.src.open(ctx, l.file)
		if err == nil && pytorch.Is(f) {
			return readCoreNetAdapter(f)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			return nil, err
		}
	}
	path, text, err := readText(ctx, l.src, adapterConfigFile)
	if err != nil {
		return nil, err
	}
	c, err := parseAdapterConfig(path, text)
	if err != nil {
		return nil, err
	}
	d := c.dialect()
	if l.file != "" && l.file != adapterConfigFile {
		d.file = l.file
	}
	f := &adapterFile{updates: map[string]*update{}, whole: map[string]*tensor{}}
	f.configFile, f.tensors = path, map[string]*tensor{}
	for _, w := range c.warnings {
		f.warn("%s: %s", path, w)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if err := f.addSafetensors(ctx, l.src, d.file); err != nil {
		if names, listErr := l.src.list(ctx); errors.Is(err, ErrNotFound) && listErr == nil {
			return nil, absent(l.src.String()+"/"+d.file, names, "it has the adapter's matrices")
		}
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(f.tensors)) {
		if err := f.assign(f.tensors[name], d); err != nil {
			return nil, err
		}
	}
	for path, u := range f.updates {
		if err := f.complete(path, u, c); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// assign puts a tensor into the update that it is a part of.
func (f *adapterFile) assign(t *tensor, d dialect) error {
	path, ok := strings.CutPrefix(t.name, d.prefix)
	for end, place := range d.ends {
		if base, found := strings.CutSuffix(path, end); ok && found {
			if !t.format.Float() {
				return unsupported(t.file.name, t.name, "type %s; this package has F32, F16 and BF16", t.kind)
			}
			if f.updates[base] == nil {
				f.updates[base] = &update{}
			}
			p := place.part(f.updates[base])
			f.updates[base].manner = max(f.updates[base].manner, place.manner) // a magnitude's is plain
			if *p != nil {
				return t.fail("is there a second time, as %s", (*p).name)
			}
			*p = t
			return nil
		}
	}
	for _, end := range d.wholeEnds {
		base, found := strings.CutSuffix(path, end)
		if !ok || !found || base != huggingFace.embedding && base != huggingFace.head {
			continue
		}
		if !t.format.Float() {
			return unsupported(t.file.name, t.name, "type %s; this package has F32, F16 and BF16", t.kind)
		}
		if other := f.whole[base]; other != nil {
			return t.fail("is there a second time, as %s", other.name)
		}
		f.whole[base] = t
		return nil
	}
	return unsupported(t.file.name, t.name, "no part of a LoRA or DoRA update of a matrix")
}

// complete checks an update against the configuration and sets its scale.
func (f *adapterFile) complete(path string, u *update, c *adapterConfig) error {
	file := f.files[0].name
	switch {
	case u.a == nil || u.b == nil:
		return corrupt(file, path, "only one of the matrices A and B is there")
	case c.dora && u.magnitude == nil && u.manner != lookedUp:
		return corrupt(file, path, "no magnitude, but %s says DoRA", f.configFile)
	case !c.dora && u.magnitude != nil:
		return corrupt(file, path, "a magnitude, but %s does not say DoRA", f.configFile)
	case u.magnitude != nil && u.manner == lookedUp:
		return unsupported(file, path, "DoRA of an embedding")
	}
	for _, t := range []*tensor{u.a, u.b} {
		if len(t.shape) != 2 {
			return t.fail("has shape %d, want a matrix", t.shape)
		}
	}
	rank := u.a.shape[0]
	if u.manner != plain {
		rank = u.a.shape[1]
	}
	want, scale := c.rankAndScale(path)
	if rank != want {
		return u.a.fail("has rank %d, %s wants %d", rank, f.configFile, want)
	}
	u.scale = scale
	return nil
}

// target is the matrix, or the two that are stored as one, which an update is
// for, and where its parts go.
type target struct {
	matrices []*kernels.Matrix
	places   []**kernels.LowRank
}

// targets lists what an adapter of m can update, by path.
func targets(m *openelm.Model, a *openelm.Adapter) map[string]target {
	c, w := m.Config(), m.Weights()
	a.Layers = make([]openelm.LayerAdapter, len(w.Layers))
	all := map[string]target{}
	for t := range w.Tensors(c) {
		if place := a.Update(&t); place != nil {
			path := huggingFace.path(&t, c.GLU)
			all[path] = target{append(all[path].matrices, t.Matrix), append(all[path].places, place)}
		}
	}
	return all
}

// adapter brings the updates into the backend's memory.
func (f *adapterFile) adapter(ctx context.Context, m *openelm.Model) (_ *openelm.Adapter, err error) {
	a := &openelm.Adapter{}
	all := targets(m, a)
	size := 0
	other, err := f.wholeMatrices(ctx, m)
	if err != nil {
		return nil, err
	}
	for _, t := range other {
		size += alignUp(int(t.size), copyAlign)
	}
	for path, u := range f.updates {
		t, known := all[path]
		if !known || (u.manner == lookedUp) != (path == huggingFace.embedding) {
			return nil, unsupported(f.files[0].name, path, "the model has no matrix of this name that an adapter can change")
		}
		if err := f.checkUpdate(u, t); err != nil {
			return nil, err
		}
		size += u.bytes()
	}
	if len(f.updates)+len(f.whole) == 0 {
		return nil, corrupt(f.files[0].name, "", "no tensors")
	}
	buf, err := m.Backend().NewBuffer(max(size, copyAlign)) // all that was saved may be the same
	if err != nil {
		return nil, fmt.Errorf("loader: buffer of %d bytes: %w", size, err)
	}
	defer func() {
		if err != nil {
			buf.Release()
		}
	}()
	a.Release = buf.Release
	rest := kernels.Whole(buf)
	for _, path := range slices.Sorted(maps.Keys(other)) {
		w, n, err := f.loadWhole(other[path], rest)
		if err != nil {
			return nil, err
		}
		rest = rest.Slice(n, rest.Len-n)
		if path == huggingFace.embedding {
			a.Table = w
		}
		if path == huggingFace.head || m.Config().TiedHead {
			a.Output = w
		}
		if t, updated := all[path]; updated {
			t.matrices[0] = w
		}
	}
	for _, path := range slices.Sorted(maps.Keys(f.updates)) {
		u := f.updates[path]
		if err := f.load(ctx, u, all[path], rest.Slice(0, u.bytes())); err != nil {
			return nil, err
		}
		rest = rest.Slice(u.bytes(), rest.Len-u.bytes())
	}
	return a, nil
}

// wholeMatrices is those of the matrices saved whole that differ from the model's.
func (f *adapterFile) wholeMatrices(ctx context.Context, m *openelm.Model) (map[string]*tensor, error) {
	other := map[string]*tensor{}
	for path, t := range f.whole {
		w := &m.Weights().Embedding
		if path == huggingFace.head {
			w = &m.Weights().Head
		}
		if err := f.checkShape(t, w.Rows, w.Cols); err != nil {
			return nil, err
		}
		same, err := t.equals(ctx, w)
		if err != nil {
			return nil, err
		}
		switch {
		case same:
		case path == huggingFace.head && m.Config().TiedHead:
			return nil, unsupported(t.file.name, t.name, "the model's output matrix is its embedding, and this is another")
		default:
			other[path] = t
		}
	}
	return other, nil
}

// equals reports whether the tensor has the values of w.
func (t *tensor) equals(ctx context.Context, w *kernels.Matrix) (bool, error) {
	size := w.Cols * t.format.BlockBytes()
	stored, mine, theirs := make([]byte, size), make([]float32, w.Cols), make([]float32, w.Cols)
	for r := range w.Rows {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if err := t.file.readFull(stored, t.off+int64(r*size)); err != nil {
			return false, inFile(t.file.name, err)
		}
		kernels.Widen(mine, stored, t.format)
		w.ReadRow(theirs, r)
		if !slices.Equal(mine, theirs) {
			return false, nil
		}
	}
	return true, nil
}

// loadWhole reads a matrix, as it is stored, to the beginning of v and says how
// many bytes of v it takes.
func (f *adapterFile) loadWhole(t *tensor, v kernels.View) (*kernels.Matrix, int, error) {
	data := v.Slice(0, int(t.size))
	if err := t.file.readFull(data.Bytes(), t.off); err != nil {
		return nil, 0, inFile(t.file.name, err)
	}
	return &kernels.Matrix{Rows: t.shape[0], Cols: t.shape[1], Format: t.format, Data: data}, alignUp(int(t.size), copyAlign), nil
}

// bytes is the size of an update in memory, in float32.
func (u *update) bytes() int {
	n := 0
	for _, t := range u.parts() {
		n += alignUp(4*t.elements(), copyAlign)
	}
	return n
}

func (u *update) parts() []*tensor {
	parts := []*tensor{u.a, u.b}
	if u.magnitude != nil {
		parts = append(parts, u.magnitude)
	}
	return parts
}

func (t *tensor) elements() int {
	n := 1
	for _, d := range t.shape {
		n *= d
	}
	return n
}

func (f *adapterFile) checkUpdate(u *update, t target) error {
	rows, cols := 0, t.matrices[0].Cols
	for _, w := range t.matrices {
		rows += w.Rows
	}
	rank := u.a.shape[0]
	wantA, wantB := []int{rank, cols}, []int{rows, rank}
	if u.manner != plain {
		rank = u.a.shape[1]
		wantA, wantB = []int{cols, rank}, []int{rank, rows}
		if rows == llamaVocab && slices.Equal(u.b.shape, []int{rank, paddedVocab}) {
			wantB = u.b.shape // CoreNet's rounding
		}
	}
	errs := []error{f.checkShape(u.a, wantA...), f.checkShape(u.b, wantB...)}
	if u.magnitude != nil {
		errs = append(errs, f.checkShape(u.magnitude, rows))
	}
	return firstError(errs...)
}

// load reads an update into v and puts a LowRank into each of its places.
func (f *adapterFile) load(ctx context.Context, u *update, t target, v kernels.View) error {
	views := make([]kernels.View, 0, 3)
	for _, p := range u.parts() {
		n := 4 * p.elements()
		if err := p.read(v.Slice(0, n).Floats(), u.manner != plain); err != nil {
			return err
		}
		views = append(views, v.Slice(0, n))
		v = v.Slice(alignUp(n, copyAlign), v.Len-alignUp(n, copyAlign))
	}
	b := views[1].Floats()
	for i := range b {
		b[i] = float32(u.scale * float64(b[i]))
	}
	rank := views[0].Len / 4 / t.matrices[0].Cols
	a := kernels.Matrix{Rows: rank, Cols: t.matrices[0].Cols, Format: kernels.F32, Data: views[0]}
	first := 0
	for i, w := range t.matrices {
		r := &kernels.LowRank{A: a, B: kernels.Matrix{
			Rows: w.Rows, Cols: rank, Format: kernels.F32, Data: views[1].Slice(4*rank*first, 4*rank*w.Rows),
		}}
		if u.magnitude != nil {
			r.RowScale = views[2].Slice(4*first, 4*w.Rows)
			if err := rowScale(ctx, w, r); ctx.Err() != nil {
				return ctx.Err()
			} else if err != nil {
				return u.magnitude.fail("%w", err)
			}
		}
		*t.places[i] = r
		first += w.Rows
	}
	return nil
}

// read widens the tensor to float32; a matrix is transposed if wanted.
func (t *tensor) read(dst []float32, transpose bool) error {
	stored := make([]byte, t.size)
	if err := t.file.readFull(stored, t.off); err != nil {
		return inFile(t.file.name, err)
	}
	if !transpose || len(t.shape) != 2 {
		kernels.Widen(dst, stored, t.format)
		return nil
	}
	rows, cols := t.shape[0], t.shape[1]
	row, size := make([]float32, cols), cols*t.format.BlockBytes()
	for r := range rows {
		kernels.Widen(row, stored[r*size:], t.format)
		for c, x := range row {
			dst[c*rows+r] = x
		}
	}
	return nil
}

var errNoDialect = errors.New("neither PEFT's nor mlx-lm's: it has no peft_type and no fine_tune_type")

// parseAdapterConfig reads adapter_config.json of either dialect.
func parseAdapterConfig(file string, text []byte) (*adapterConfig, error) {
	members, err := strictjson.Members(text)
	if err != nil {
		return nil, corrupt(file, "", "%w", err)
	}
	r := &configReader{file: file, members: members}
	c := &adapterConfig{}
	switch {
	case r.has("peft_type"):
		r.peft(c)
	case r.has("fine_tune_type") || r.has("lora_parameters"):
		r.mlxLoRA(c)
	default:
		return nil, unsupported(file, "", "%w", errNoDialect)
	}
	if r.err != nil {
		return nil, r.err
	}
	return c, nil
}
