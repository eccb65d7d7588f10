package loader

import (
	"slices"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/openelm"
)

// role is a place in a model's weights: the shape it wants, the tensors the
// checkpoint has for it, and where they go.
type role struct {
	path       string // name of the tensors, without ".weight"
	rows, cols int    // a vector has rows only

	vector *kernels.View
	matrix *kernels.Matrix
	upper  *kernels.Matrix // takes the second half of the rows, where two matrices are stored as one

	weight, scales, biases *tensor
	groupFormat            // of a quantised matrix
}

// minTensors is the least number of tensors that a layer has.
const minTensors = 6

// roles lists the places of w, whose layers it makes, and finds the tensors
// for each. It changes the configuration where that leaves something to what
// the checkpoint holds.
func (c *checkpoint) roles(w *openelm.Weights, strict bool) ([]*role, error) {
	if c.problem != nil {
		return nil, c.problem
	}
	if n := len(c.Layers); len(c.tensors) < n*minTensors {
		return nil, corrupt(c.configFile, "", "the configuration has %d layers, the checkpoint only %d tensors", n, len(c.tensors))
	}
	if c.tiedUnlessHead {
		c.TiedHead = c.tensors[c.names.head+".weight"] == nil
	}
	w.Layers = make([]openelm.LayerWeights, len(c.Layers))
	list := c.places(w)
	used := map[*tensor]bool{}
	for _, r := range list {
		if err := c.find(r); err != nil {
			return nil, err
		}
		for _, t := range r.tensors() {
			used[t] = true
		}
	}
	return list, c.checkUnused(used, strict)
}

// places is the roles of a model with this configuration.
func (c *checkpoint) places(w *openelm.Weights) []*role {
	var list []*role
	vector := func(path string, n int, v *kernels.View) {
		list = append(list, &role{path: path, rows: n, vector: v})
	}
	matrix := func(path string, rows, cols int, m *kernels.Matrix) *role {
		list = append(list, &role{path: path, rows: rows, cols: cols, matrix: m})
		return list[len(list)-1]
	}
	matrix(c.names.embedding, c.VocabSize, c.ModelDim, &w.Embedding)
	for i, lc := range c.Layers {
		l, name := &w.Layers[i], c.names.inLayer(i)
		vector(name(c.names.attnNorm), c.ModelDim, &l.AttnNorm)
		matrix(name(c.names.qkv), c.QKVDim(i), c.ModelDim, &l.QKV)
		if c.QKNorm {
			vector(name(c.names.qNorm), c.HeadDim, &l.QNorm)
			vector(name(c.names.kNorm), c.HeadDim, &l.KNorm)
		}
		matrix(name(c.names.out), c.ModelDim, lc.QueryHeads*c.HeadDim, &l.Out)
		vector(name(c.names.ffnNorm), c.ModelDim, &l.FFNNorm)
		switch {
		case c.names.gateUp != "" && c.GLU:
			matrix(name(c.names.gateUp), 2*lc.FFNDim, c.ModelDim, &l.Gate).upper = &l.Up
		case c.names.gateUp != "":
			matrix(name(c.names.gateUp), lc.FFNDim, c.ModelDim, &l.Gate)
		case c.GLU:
			matrix(name(c.names.gate), lc.FFNDim, c.ModelDim, &l.Gate)
			matrix(name(c.names.up), lc.FFNDim, c.ModelDim, &l.Up)
		default: // without a gate, the one projection is called up
			matrix(name(c.names.up), lc.FFNDim, c.ModelDim, &l.Gate)
		}
		matrix(name(c.names.down), c.ModelDim, lc.FFNDim, &l.Down)
	}
	vector(c.names.norm, c.ModelDim, &w.Norm)
	if !c.TiedHead {
		matrix(c.names.head, c.VocabSize, c.ModelDim, &w.Head)
	}
	return list
}

func (r *role) tensors() []*tensor {
	if r.scales == nil {
		return []*tensor{r.weight}
	}
	return []*tensor{r.weight, r.scales, r.biases}
}

// find looks up the tensors of a role and checks types and shapes.
func (c *checkpoint) find(r *role) error {
	var err error
	if r.weight, err = c.tensor(r.path + ".weight"); err != nil {
		return err
	}
	if r.vector != nil {
		if !r.weight.format.Float() {
			return unsupported(r.weight.file.name, r.weight.name, "a norm of type %s; this package has F32, F16 and BF16", r.weight.kind)
		}
		return c.checkShape(r.weight, r.rows)
	}
	if c.tensors[r.path+".scales"] != nil {
		return c.findAffine(r)
	}
	if r.weight.format == 0 {
		return unsupported(r.weight.file.name, r.weight.name, "a matrix of type %s; this package has %s", r.weight.kind, c.names.types)
	}
	if err := c.checkShape(r.weight, r.rows, r.cols); err != nil && !c.padded(r.weight, r.rows, r.cols) {
		return err
	}
	if block := r.weight.format.BlockCols(); r.cols%block != 0 {
		return r.weight.fail("%d columns are no whole number of %s blocks of %d", r.cols, r.weight.kind, block)
	}
	return nil
}

// findAffine is find for a matrix that MLX quantised: 32-bit words of packed
// weights, and a scale and a bias for each group of columns.
func (c *checkpoint) findAffine(r *role) error {
	if !c.quant.present {
		return corrupt(c.configFile, "quantization", "is missing, but %s has scales", r.path)
	}
	r.groupFormat = c.quant.of(r.path)
	var err error
	if r.scales, err = c.tensor(r.path + ".scales"); err != nil {
		return err
	}
	if r.biases, err = c.tensor(r.path + ".biases"); err != nil {
		return err
	}
	if r.weight.kind != "U32" {
		return unsupported(r.weight.file.name, r.weight.name, "quantised weights of type %s, want U32", r.weight.kind)
	}
	for _, t := range []*tensor{r.scales, r.biases} {
		if !t.format.Float() || t.format != r.scales.format {
			return unsupported(t.file.name, t.name, "type %s; scales and biases are both F32, F16 or BF16", t.kind)
		}
	}
	if r.cols%r.group != 0 {
		return r.weight.fail("groups of %d do not divide %d columns", r.group, r.cols)
	}
	return firstError(
		c.checkShape(r.weight, r.rows, r.cols/(32/r.bits)),
		c.checkShape(r.scales, r.rows, r.cols/r.group),
		c.checkShape(r.biases, r.rows, r.cols/r.group),
	)
}

func (c *checkpoint) tensor(name string) (*tensor, error) {
	if t := c.tensors[name]; t != nil {
		return t, nil
	}
	return nil, corrupt(c.configFile, name, "the configuration wants this tensor, the checkpoint does not have it")
}

func (c *checkpoint) checkShape(t *tensor, want ...int) error {
	got := t.shape
	if slices.Equal(got, want) {
		return nil
	}
	return t.fail("has shape %d, %s wants %d", got, c.configFile, want)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// affineFormats by the number of bits.
var affineFormats = map[int]kernels.Format{4: kernels.Affine4, 8: kernels.Affine8}
