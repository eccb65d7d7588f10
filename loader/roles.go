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
	for t := range w.Tensors(&c.Config) {
		path := c.names.path(&t, c.GLU)
		if n := len(list); n > 0 && list[n-1].path == path { // the second of two that are stored as one
			list[n-1].rows += t.Rows
			list[n-1].upper = t.Matrix
			continue
		}
		list = append(list, &role{path: path, rows: t.Rows, cols: t.Cols, vector: t.Vector, matrix: t.Matrix})
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
