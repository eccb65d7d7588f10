package loader

import (
	"context"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader/gguf"
	"github.com/go-openelm/go-openelm/loader/tokenizer"
	"github.com/go-openelm/go-openelm/openelm"
)

// ggufFormats are the tensor types that the operations take as they are.
var ggufFormats = map[gguf.Type]kernels.Format{
	gguf.F32: kernels.F32, gguf.F16: kernels.F16, gguf.BF16: kernels.BF16,
	gguf.Q8_0: kernels.Q8_0, gguf.Q4_0: kernels.Q4_0, gguf.Q4_1: kernels.Q4_1, gguf.Q5_0: kernels.Q5_0, gguf.Q5_1: kernels.Q5_1,
	gguf.Q2_K: kernels.Q2_K, gguf.Q3_K: kernels.Q3_K, gguf.Q4_K: kernels.Q4_K, gguf.Q5_K: kernels.Q5_K, gguf.Q6_K: kernels.Q6_K,
	gguf.IQ4_NL: kernels.IQ4_NL, gguf.IQ4_XS: kernels.IQ4_XS,
}

// ggufFiles is the container of llama.cpp.
type ggufFiles struct{}

func (ggufFiles) extension() string { return ".gguf" }

func (k ggufFiles) find(src source, names []string) (string, error) {
	files := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.EqualFold(path.Ext(name), k.extension()) })
	switch {
	case len(files) == 0:
		return "", nil
	case len(files) > 1 && !isFirstPart.MatchString(files[0]):
		return "", absent(src.String(), nil, "there are %d GGUF files; name one of them, such as %s/%s", len(files), src, files[0])
	}
	return files[0], nil
}

// isFirstPart matches the name of a GGUF file that is the first of several.
var isFirstPart = regexp.MustCompile(`-0*1-of-\d+\.gguf$`)

func (ggufFiles) has(f *file) bool {
	var magic [4]byte
	return f.readFull(magic[:], 0) == nil && string(magic[:]) == "GGUF"
}

// read reads the header of the file, which is complete in itself.
func (ggufFiles) read(_ context.Context, _ source, f *file) (_ *checkpoint, err error) {
	c := &checkpoint{configFile: f.name, files: []*file{f}, tensors: map[string]*tensor{}, names: ggml}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	header, err := gguf.Read(f, f.size)
	if err != nil {
		return nil, inFile(f.name, err)
	}
	own := &ggufTokenizer{name: f.name, gguf: header}
	c.tokenizer = own
	if n, ok, err := header.Int("split.count"); err == nil && ok && n > 1 {
		part, _, err := header.Int("split.no")
		if err != nil {
			return nil, inFile(f.name, err)
		}
		c.problem = unsupported(f.name, "split.count", "this is part %d of %d of a model; join them with \"llama-gguf-split --merge\"", part+1, n)
	}
	for _, t := range header.Tensors {
		c.tensors[t.Name] = &tensor{
			name: t.Name, file: f, kind: t.Type.String(), format: ggufFormats[t.Type],
			shape: t.Shape, off: t.Offset, size: t.Size,
		}
	}
	if c.problem != nil {
		return c, nil
	}
	r := &ggufConfig{file: f.name, gguf: header}
	c.problem = r.read(c)
	own.special = r.special
	return c, nil
}

// ggufConfig reads the metadata of architecture openelm, which llama.cpp's
// converter writes; it keeps the first error.
type ggufConfig struct {
	file string
	gguf *gguf.File
	err  error

	special ggufSpecial
}

func (r *ggufConfig) fail(err error) {
	if r.err == nil {
		r.err = inFile(r.file, err)
	}
}

func (r *ggufConfig) int(key string, value int64, limit int64) int {
	v, ok, err := r.gguf.Int(key)
	if err != nil {
		r.fail(err)
	}
	if err != nil || !ok {
		return int(value)
	}
	if v < -1 || v > limit {
		r.fail(corrupt(r.file, key, "is %d, want at most %d", v, limit))
		return int(value)
	}
	return int(v)
}

func (r *ggufConfig) float(key string, value float64) float64 {
	v, ok, err := r.gguf.Float(key)
	if err != nil {
		r.fail(err)
	}
	if err != nil || !ok {
		return value
	}
	return v
}

// perLayer reads an integer for all layers, or an array with one for each.
func (r *ggufConfig) perLayer(key string, n int) []int {
	list, ok, err := r.gguf.Ints(key)
	switch {
	case err != nil:
		r.fail(err)
	case !ok:
		r.fail(corrupt(r.file, key, "is missing"))
	case len(list) == 1:
		list = slices.Repeat(list, n)
	case len(list) != n:
		r.fail(corrupt(r.file, key, "has %d values for %d layers", len(list), n))
	}
	widths := make([]int, n)
	if r.err != nil {
		return widths
	}
	for i, v := range list {
		if v < 1 || v > maxDim {
			r.fail(corrupt(r.file, key, "has %d, want 1 to %d", v, maxDim))
			break
		}
		widths[i] = int(v)
	}
	return widths
}

// ggufSpecial is the special tokens that a GGUF file names, tokenizer.None where
// there are none.
type ggufSpecial struct{ bos, eos, unk, pad int32 }

// readSpecial reads the ids of the special tokens. As in llama.cpp one that the
// vocabulary does not have counts as not given, and those that are not given
// are the ones of SentencePiece's models.
func (r *ggufConfig) readSpecial(c *checkpoint) {
	vocab := c.VocabSize
	if tokens, ok := r.gguf.Metadata["tokenizer.ggml.tokens"].([]string); ok {
		vocab = len(tokens)
	}
	id := func(name string, value int32) int32 {
		key := "tokenizer.ggml." + name + "_token_id"
		v, ok, err := r.gguf.Int(key)
		switch {
		case err != nil:
			r.fail(err)
		case ok && v >= int64(vocab):
			c.warn("%s: %s is %d, which the vocabulary of %d does not have; it is not used", r.file, key, v, vocab)
		case ok:
			return int32(max(v, int64(tokenizer.None)))
		}
		if int(value) >= vocab {
			return tokenizer.None
		}
		return value
	}
	r.special = ggufSpecial{bos: id("bos", 1), eos: id("eos", 2), unk: id("unknown", 0), pad: id("padding", tokenizer.None)}
	c.BOS = r.special.bos
	c.EOS = nil
	// The end of a turn and of a message end a text too.
	for _, end := range []int32{r.special.eos, id("eot", tokenizer.None), id("eom", tokenizer.None)} {
		if end != tokenizer.None && !slices.Contains(c.EOS, end) {
			c.EOS = append(c.EOS, end)
		}
	}
}

const arch = "openelm"

func (r *ggufConfig) read(c *checkpoint) error {
	if name, _, err := gguf.Get[string](r.gguf, "general.architecture"); err != nil {
		return inFile(r.file, err)
	} else if name != arch {
		return unsupported(r.file, "general.architecture", "%.100q; this package has %s", name, arch)
	}
	if v, ok, err := gguf.Get[string](r.gguf, arch+".rope.scaling.type"); err != nil {
		r.fail(err)
	} else if ok && v != "none" {
		r.fail(unsupported(r.file, arch+".rope.scaling.type", "%.100q; no OpenELM model has it", v))
	}
	for _, key := range []string{arch + ".rope.scaling.factor", arch + ".rope.scale_linear"} { // linear where no type is given
		if v := r.float(key, 1); v != 0 && v != 1 {
			r.fail(unsupported(r.file, key, "is %g; no OpenELM model has it", v))
		}
	}
	layers := r.int(arch+".block_count", 0, maxLayers)
	if layers < 1 {
		r.fail(corrupt(r.file, arch+".block_count", "is missing or below 1"))
		return r.err
	}
	headDim := r.int(arch+".attention.key_length", 0, maxDim)
	for _, key := range []string{".attention.value_length", ".rope.dimension_count"} {
		if n := r.int(arch+key, int64(headDim), maxDim); n != headDim {
			r.fail(unsupported(r.file, arch+key, "is %d where the key length is %d", n, headDim))
		}
	}
	c.Config = openelm.Config{
		ModelDim:   r.int(arch+".embedding_length", 0, maxDim),
		HeadDim:    headDim,
		QKNorm:     c.tensors["blk.0.attn_q_norm.weight"] != nil,
		GLU:        c.tensors["blk.0.ffn_gate.weight"] != nil,
		TiedHead:   c.tensors[ggml.head+".weight"] == nil,
		RopeBase:   r.float(arch+".rope.freq_base", 10000),
		MaxContext: r.int(arch+".context_length", 2048, 1<<31-1),
		NormEps:    float32(r.float(arch+".attention.layer_norm_rms_epsilon", 1e-6)),
	}
	if t := c.tensors[ggml.embedding+".weight"]; t != nil && len(t.shape) == 2 {
		c.VocabSize = t.shape[0]
	}
	r.readSpecial(c)
	heads := r.perLayer(arch+".attention.head_count", layers)
	kv := r.perLayer(arch+".attention.head_count_kv", layers)
	ffn := r.perLayer(arch+".feed_forward_length", layers)
	for i := range layers {
		c.Layers = append(c.Layers, openelm.LayerConfig{QueryHeads: heads[i], KVHeads: kv[i], FFNDim: ffn[i]})
	}
	if r.err != nil {
		return r.err
	}
	return c.validate()
}
