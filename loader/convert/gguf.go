package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"strings"

	"github.com/go-openelm/go-openelm/internal/filewrite"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader/gguf"
	"github.com/go-openelm/go-openelm/loader/tokenizer"
)

// typesOfGGUF are the tensor types of the formats (ggml_type).
var typesOfGGUF = map[kernels.Format]gguf.Type{
	kernels.F32: gguf.F32, kernels.F16: gguf.F16, kernels.BF16: gguf.BF16, kernels.Q8_0: gguf.Q8_0,
	kernels.Q4_0: gguf.Q4_0, kernels.Q4_K: gguf.Q4_K, kernels.Q5_K: gguf.Q5_K, kernels.Q6_K: gguf.Q6_K,
}

func (w *writer) writeGGUF(path string) error {
	metadata, err := w.metadata(path)
	if err != nil {
		return err
	}
	if !w.tiedHead() {
		w.Logger.Warn("the model's output matrix is not its embedding; llama.cpp takes the embedding for both in files of OpenELM")
	}
	var sources []gguf.Source
	for _, t := range w.tensors(ggml) {
		f := w.formatOf(&t)
		sources = append(sources, gguf.Source{
			Name: t.name + ".weight", Type: typesOfGGUF[f], Shape: t.shape(),
			Data: func(out io.Writer) error { return w.writePlain(out, &t, f, w.Importance.of(&t)) },
		})
	}
	return filewrite.Atomic(w.ctx, path, func(out io.Writer) error { return gguf.Write(out, metadata, sources) })
}

// formatOf is how a tensor of a GGUF file is stored. The choice is that of
// llama_tensor_get_type_impl (llama.cpp's src/llama-quant.cpp, 2026): the output
// matrix gets at least Q6_K, as does, in mixed formats, what a layer's values
// and feed-forward network come through, in the first and the last eighth of
// the layers and in every third between. Vectors stay F32.
func (w *writer) formatOf(t *tensor) kernels.Format {
	f := w.Format.Matrix
	switch {
	case t.vector != nil:
		return kernels.F32
	case f.Float():
		return f
	case t.role == head, t.role == embedding && w.tiedHead():
		if f != kernels.Q8_0 {
			f = kernels.Q6_K
		}
	case w.Format.Mixed && (t.role == qkv || t.role == down) && moreBits(t.layer, len(w.model.Config().Layers)):
		f = kernels.Q6_K
	}
	// llama-quantize has Q5_0 and Q5_1 for what Q4_K and Q5_K do not divide, which
	// no model of Apple's has.
	if t.cols()%f.BlockCols() != 0 {
		f = kernels.Q8_0
	}
	if t.cols()%f.BlockCols() != 0 {
		f = kernels.F16
	}
	return f
}

// moreBits is use_more_bits of llama_tensor_get_type_impl.
func moreBits(layer, layers int) bool {
	return layer < layers/8 || layer >= 7*layers/8 || (layer-layers/8)%3 == 2
}

// metadata is what llama.cpp's converter writes (conversion/openelm.py).
func (w *writer) metadata(path string) ([]gguf.KeyValue, error) {
	c := w.model.Config()
	var heads, kv, ffn []int32
	for _, l := range c.Layers {
		heads, kv, ffn = append(heads, int32(l.QueryHeads)), append(kv, int32(l.KVHeads)), append(ffn, int32(l.FFNDim))
	}
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	var number uint32
	for _, g := range ggufTypes {
		if g.format == w.Format {
			number = g.number
		}
	}
	list := []gguf.KeyValue{
		{Key: "general.architecture", Value: "openelm"},
		{Key: "general.type", Value: "model"},
		{Key: "general.name", Value: name},
		{Key: "general.size_label", Value: sizeLabel(c.Parameters())},
		{Key: "openelm.block_count", Value: uint32(len(c.Layers))},
		{Key: "openelm.context_length", Value: uint32(c.MaxContext)},
		{Key: "openelm.embedding_length", Value: uint32(c.ModelDim)},
		{Key: "openelm.feed_forward_length", Value: ffn},
		{Key: "openelm.attention.head_count", Value: heads},
		{Key: "openelm.attention.head_count_kv", Value: kv},
		{Key: "openelm.rope.freq_base", Value: float32(c.RopeBase)},
		{Key: "openelm.attention.layer_norm_rms_epsilon", Value: c.NormEps},
		{Key: "openelm.rope.dimension_count", Value: uint32(c.HeadDim)},
		{Key: "openelm.attention.key_length", Value: uint32(c.HeadDim)},
		{Key: "openelm.attention.value_length", Value: uint32(c.HeadDim)},
		{Key: "general.quantization_version", Value: uint32(2)},
		{Key: "general.file_type", Value: number},
	}
	v := w.vocabulary()
	if v == nil {
		w.Logger.Warn("the model has no tokenizer, so that the file has none either")
		list = append(list, gguf.KeyValue{Key: "tokenizer.ggml.model", Value: "no_vocab"})
		return append(list, w.specialTokens(c.BOS, c.EOS)...), nil
	}
	return w.addTokenizer(list, v)
}

// sizeLabel is the number of parameters as llama.cpp's converter spells it: at
// least two digits.
func sizeLabel(n int64) string {
	v, unit := float64(n)/1e3, "K"
	for _, u := range []string{"M", "B", "T"} {
		if v < 1000 {
			break
		}
		v, unit = v/1000, u
	}
	if math.Round(v) < 10 {
		return fmt.Sprintf("%.1f%s", v, unit)
	}
	return fmt.Sprintf("%.0f%s", v, unit)
}

// vocabulary is the model's tokenizer as slices, nil if it has none that can
// become slices.
func (w *writer) vocabulary() *tokenizer.Vocabulary {
	t, ok := w.model.Tokenizer().(interface {
		Vocabulary() tokenizer.Vocabulary
	})
	if !ok {
		return nil
	}
	v := t.Vocabulary()
	return &v
}

// addTokenizer adds the vocabulary. Rows of the embedding that no token has get
// names, as llama.cpp wants one for each.
func (w *writer) addTokenizer(list []gguf.KeyValue, v *tokenizer.Vocabulary) ([]gguf.KeyValue, error) {
	c := w.model.Config()
	pieces, scores := v.Pieces, v.Scores
	types := make([]int32, len(v.Types), max(len(v.Types), c.VocabSize))
	for i, t := range v.Types {
		types[i] = int32(t)
	}
	if len(pieces) > c.VocabSize { // tokens that the model does not know
		pieces, scores, types = pieces[:c.VocabSize], scores[:c.VocabSize], types[:c.VocabSize]
	}
	for i := len(pieces); i < c.VocabSize; i++ {
		pieces, scores, types = append(pieces, fmt.Sprintf("[PAD%d]", i)), append(scores, -10000), append(types, int32(tokenizer.Unused))
	}
	list = append(list, []gguf.KeyValue{
		{Key: "tokenizer.ggml.model", Value: "llama"},
		{Key: "tokenizer.ggml.pre", Value: "default"},
		{Key: "tokenizer.ggml.tokens", Value: pieces},
		{Key: "tokenizer.ggml.scores", Value: scores},
		{Key: "tokenizer.ggml.token_type", Value: types},
	}...)
	ids := w.specialTokens(c.BOS, c.EOS)
	for _, id := range []struct {
		name string
		id   int32
	}{{"unknown", v.UNK}, {"padding", v.PAD}} {
		if id.id != tokenizer.None && int(id.id) < c.VocabSize {
			ids = append(ids, gguf.KeyValue{Key: "tokenizer.ggml." + id.name + "_token_id", Value: uint32(id.id)})
		}
	}
	list = append(list, ids...)
	list = append(list, gguf.KeyValue{Key: "tokenizer.ggml.add_bos_token", Value: v.AddBOS}, gguf.KeyValue{Key: "tokenizer.ggml.add_eos_token", Value: v.AddEOS})
	if !v.AddDummyPrefix {
		list = append(list, gguf.KeyValue{Key: "tokenizer.ggml.add_space_prefix", Value: false})
	}
	template, err := w.chatTemplate()
	if template != "" {
		list = append(list, gguf.KeyValue{Key: "tokenizer.chat_template", Value: template})
	}
	return list, err
}

// specialTokens are the ids of those that begin and end a text: a second one that
// ends it is that of a turn.
func (w *writer) specialTokens(bos int32, eos []int32) (list []gguf.KeyValue) {
	add := func(name string, id int32) {
		list = append(list, gguf.KeyValue{Key: "tokenizer.ggml." + name + "_token_id", Value: uint32(id)})
	}
	if bos != tokenizer.None {
		add("bos", bos)
	}
	for i, id := range eos {
		switch i {
		case 0, 1, 2:
			add([]string{"eos", "eot", "eom"}[i], id)
		default:
			w.Logger.Warn("GGUF has no place for a fourth token that ends a text", "token", id)
		}
	}
	return list
}

// chatTemplate is the one in the tokenizer's configuration, or beside it.
func (w *writer) chatTemplate() (string, error) {
	if w.Beside == nil {
		return "", nil
	}
	text, err := fs.ReadFile(w.Beside, "chat_template.jinja")
	if err == nil {
		return string(text), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	text, err = fs.ReadFile(w.Beside, "tokenizer_config.json")
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var config struct {
		Template any `json:"chat_template"` // a string, or a list of several
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return "", fmt.Errorf("convert: tokenizer_config.json: %w", err)
	}
	s, _ := config.Template.(string)
	return s, nil
}
