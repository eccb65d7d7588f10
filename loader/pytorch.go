package loader

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader/pytorch"
	"github.com/go-openelm/go-openelm/openelm"
)

// torchFormats are the element types of PyTorch that weights can have.
var torchFormats = map[pytorch.DType]kernels.Format{
	pytorch.Float32: kernels.F32, pytorch.Float16: kernels.F16, pytorch.BFloat16: kernels.BF16,
}

// addPyTorch adds the tensors of a file that torch.save wrote: of a dictionary
// of weights, or of the one in a training checkpoint. Those of a LoRA or DoRA
// adapter that was trained on the model are set apart.
func (c *checkpoint) addPyTorch(f *file) error {
	p, err := pytorch.Read(f, f.size)
	if err != nil {
		return inFile(f.name, err)
	}
	list, state := p.Tensors, p.Dicts["model_state_dict"]
	if len(list) == 0 && len(state) > 0 {
		list = state
		if len(p.Dicts["ema_state_dict"]) > 0 {
			c.warn("%s: of a training checkpoint, the weights themselves are used, not their moving averages", f.name)
		}
	}
	for _, t := range list {
		added := &tensor{
			name: t.Name, file: f, kind: string(t.DType), format: torchFormats[t.DType],
			shape: t.Shape, off: t.Offset, size: t.Size,
		}
		if !t.Dense {
			added.kind, added.format = added.kind+", not row by row", 0
		}
		if strings.Contains(t.Name, ".lora_") {
			c.lora = append(c.lora, added)
			continue
		}
		name := strings.Replace(t.Name, ".base_layer.", ".", 1) // of a matrix with an adapter
		if other := c.tensors[name]; other != nil {
			return added.fail("is there a second time, as %s", other.name)
		}
		c.tensors[name] = added
	}
	return nil
}

// torchFiles is the container of torch.save.
type torchFiles struct{}

func (torchFiles) extension() string { return ".pt" }

func (torchFiles) find(_ source, names []string) (string, error) {
	if i := slices.IndexFunc(names, isPyTorch); i >= 0 {
		return names[i], nil
	}
	return "", nil
}

// isPyTorch matches the names of files with all of a model's weights.
func isPyTorch(name string) bool { return path.Ext(name) == ".pt" || name == "pytorch_model.bin" }

func (torchFiles) has(f *file) bool { return pytorch.Is(f) && path.Ext(f.name) != ".npz" } // NumPy's are zip archives, too

// read reads the directory of the file. What its model looks like is said by the
// config.json beside it or, since CoreNet writes none, by the shapes of its
// tensors.
func (torchFiles) read(ctx context.Context, src source, f *file) (_ *checkpoint, err error) {
	c, err := readConfig(ctx, src)
	inferred := errors.Is(err, ErrNotFound)
	if inferred {
		c, err = &checkpoint{configFile: f.name, tokenizer: besideWeights{src}, tensors: map[string]*tensor{}}, nil
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	c.files = append(c.files, f)
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if err := c.addPyTorch(f); err != nil {
		return nil, err
	}
	c.recogniseNames()
	if inferred {
		c.Config, err = c.infer()
		if err := c.keep(err); err != nil {
			return nil, err
		}
		if c.problem == nil {
			c.problem = c.validate()
		}
	}
	c.dropPadding()
	return c, nil
}

// infer is the configuration that the shapes of a CoreNet model's tensors tell.
// What they do not tell is the same in all of Apple's models (corenet's
// GeneralGPTConfig): the RoPE base, the epsilon, the context length, and the
// special tokens of Llama's vocabulary.
func (c *checkpoint) infer() (openelm.Config, error) {
	r := shapeReader{c: c}
	vocab, dim := r.matrix(c.names.embedding)
	config := openelm.Config{
		VocabSize: vocab, ModelDim: dim, QKNorm: true,
		TiedHead: c.tensors[c.names.head+".weight"] == nil,
		RopeBase: 10000, MaxContext: 2048, NormEps: 1e-6, BOS: 1, EOS: []int32{2},
	}
	for i := 0; r.err == nil && i < maxLayers; i++ {
		name := c.names.inLayer(i)
		if c.tensors[name(c.names.qkv)+".weight"] == nil {
			break
		}
		headDim := r.vector(name(c.names.qNorm)) // all of Apple's models have it
		heads, _ := r.matrix(name(c.names.qkv))
		_, attention := r.matrix(name(c.names.out))
		both, _ := r.matrix(name(c.names.gateUp))
		_, ffn := r.matrix(name(c.names.down))
		if r.err != nil {
			break
		}
		glu := both == 2*ffn
		if i == 0 {
			config.HeadDim, config.GLU = headDim, glu
		}
		l := openelm.LayerConfig{QueryHeads: attention / headDim, KVHeads: (heads - attention) / (2 * headDim), FFNDim: ffn}
		if headDim != config.HeadDim || glu != config.GLU || attention%headDim != 0 || heads != (l.QueryHeads+2*l.KVHeads)*headDim {
			return config, corrupt(c.configFile, name(c.names.qkv), "%d query, key and value dimensions, %d of attention, head_dim %d do not fit together", heads, attention, headDim)
		}
		config.Layers = append(config.Layers, l)
	}
	if r.err == nil && len(config.Layers) == 0 {
		r.err = corrupt(c.configFile, c.names.inLayer(0)(c.names.qkv)+".weight", "there is no such tensor: no OpenELM model")
	}
	return config, r.err
}

// shapeReader reads shapes of tensors and keeps the first error.
type shapeReader struct {
	c   *checkpoint
	err error
}

func (r *shapeReader) shape(path string, rank int) []int {
	if r.err == nil {
		if t := r.c.tensors[path+".weight"]; t == nil {
			r.err = corrupt(r.c.configFile, path+".weight", "there is no such tensor; without it, what the model looks like must be said by a config.json beside the file")
		} else if len(t.shape) != rank || slices.Min(t.shape) < 1 {
			r.err = t.fail("has shape %d, want %d dimensions", t.shape, rank)
		} else {
			return t.shape
		}
	}
	return make([]int, rank)
}

func (r *shapeReader) vector(path string) int { return r.shape(path, 1)[0] }

func (r *shapeReader) matrix(path string) (rows, cols int) {
	s := r.shape(path, 2)
	return s[0], s[1]
}

// CoreNet trains with Llama's vocabulary and a padding token, and rounds the
// number of rows up ("_anchor_vocab_size" in its configurations). No text has
// the tokens above llamaVocab, and none must be generated.
const (
	llamaVocab  = 32000
	paddedVocab = 32128
)

// dropPadding leaves the rows out that only CoreNet's rounding added.
func (c *checkpoint) dropPadding() {
	if c.VocabSize == paddedVocab && c.names.kind == coreNet.kind {
		c.VocabSize = llamaVocab
	}
}

// padded reports whether a matrix of the vocabulary has the rows that
// dropPadding left out, and otherwise the wanted shape.
func (c *checkpoint) padded(t *tensor, rows, cols int) bool {
	return rows == llamaVocab && c.names.kind == coreNet.kind && slices.Equal(t.shape, []int{paddedVocab, cols})
}

// CoreNet's adapters have the rank and the scale of its configurations
// (projects/openelm/peft_configs); the files do not say them.
const coreNetRank, coreNetAlpha = 32, 32

var coreNetDialect = dialect{ends: map[string]place{
	".lora_A.lora.weight": {partA, plain}, ".lora_B.lora.weight": {partB, plain},
	".lora_magnitude_vector.lora": {partMagnitude, plain},
	// An update of a token's row is its column of their A, through their B: as
	// an update of the table, their A is its B, and both are transposed.
	".lora_embedding_A.lora": {partB, lookedUp}, ".lora_embedding_B.lora": {partA, lookedUp},
}}

// coreNetAdapter is the adapter that was trained on a model and saved with it,
// nil if there is none. Its files are c's.
func (c *checkpoint) coreNetAdapter() (*adapterFile, error) {
	if len(c.lora) == 0 {
		return nil, nil
	}
	f := &adapterFile{updates: map[string]*update{}, whole: map[string]*tensor{}}
	f.configFile, f.files = c.files[0].name, c.files
	for _, t := range c.lora {
		if err := f.assign(t, coreNetDialect); err != nil {
			return nil, err
		}
	}
	updates := map[string]*update{}
	for path, u := range f.updates {
		config := &adapterConfig{rank: coreNetRank, alpha: coreNetAlpha, dora: u.magnitude != nil}
		if err := f.complete(path, u, config); err != nil {
			return nil, err
		}
		updates[huggingFacePath(path)] = u
	}
	f.updates = updates
	return f, nil
}

// huggingFacePath is what transformers calls the matrix that CoreNet has under
// path.
func huggingFacePath(path string) string {
	switch {
	case path == coreNet.head:
		return huggingFace.head
	case strings.HasPrefix(path, "transformer."), path == huggingFace.head:
		return path
	default:
		return "transformer." + path
	}
}

// readCoreNetAdapter reads a file of a model that was trained with an adapter
// for the sake of the adapter. The weights in the file are taken to be those
// of the model that the adapter is opened for.
func readCoreNetAdapter(f *file) (*adapterFile, error) {
	c := &checkpoint{configFile: f.name, files: []*file{f}, tensors: map[string]*tensor{}}
	err := c.addPyTorch(f)
	if err == nil && len(c.lora) == 0 {
		err = corrupt(f.name, "", "holds no LoRA or DoRA adapter; its tensors are %s …", strings.Join(slices.Sorted(maps.Keys(c.tensors))[:min(3, len(c.tensors))], ", "))
	}
	var a *adapterFile
	if err == nil {
		a, err = c.coreNetAdapter()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return a, nil
}

// ownAdapter makes the adapter that a model was saved with the one its sessions
// use, unless another is named.
func (c *checkpoint) ownAdapter(ctx context.Context, m *openelm.Model, o *Options) (*openelm.Adapter, error) {
	if o.Adapter != "" {
		if len(c.lora) > 0 {
			o.Logger.Info("the adapter that the model was saved with is not used", "file", c.files[0].name, "adapter", o.Adapter)
		}
		return OpenAdapter(ctx, o.Adapter, m, o)
	}
	f, err := c.coreNetAdapter()
	if f == nil || err != nil {
		return nil, err
	}
	return f.open(ctx, m)
}
