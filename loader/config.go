package loader

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/go-openelm/go-openelm/internal/strictjson"
	"github.com/go-openelm/go-openelm/loader/tokenizer"
	"github.com/go-openelm/go-openelm/openelm"
)

// checkpointConfig is what config.json says.
type checkpointConfig struct {
	openelm.Config
	quant quantization

	// tiedUnlessHead: the head is the embedding unless the checkpoint has one
	// of its own (see tiedHead).
	tiedUnlessHead bool
}

// Limits that keep a short file from asking for long lists, and products of two
// numbers inside an int; openelm.Config has the first two as well.
const (
	maxLayers = 1 << 12
	maxDim    = 1 << 20
	maxGroups = 1 << 10
)

// presets are Apple's four sizes, which corenet's MLX port names by
// "model_name" instead of writing their configuration out.
var presets = map[string]string{
	"OpenELM-270M": `{"num_transformer_layers": 16, "model_dim": 1280, "head_dim": 64}`,
	"OpenELM-450M": `{"num_transformer_layers": 20, "model_dim": 1536, "head_dim": 64}`,
	"OpenELM-1_1B": `{"num_transformer_layers": 28, "model_dim": 2048, "head_dim": 64}`,
	"OpenELM-3B":   `{"num_transformer_layers": 36, "model_dim": 3072, "head_dim": 128}`,
}

// presetCommon is what the four have in common.
const presetCommon = `{"num_gqa_groups": 4, "normalize_qk_projections": true, "share_input_output_layers": true,
	"ffn_multipliers": [0.5, 4.0], "qkv_multipliers": [0.5, 1.0]}`

// ParseConfig reads a Hugging Face or MLX config.json of an OpenELM model, by
// the rules of Apple's configuration_openelm.py. Whether the output matrix is
// the embedding can depend on the weights: without share_input_output_layers
// and tie_word_embeddings it is taken to have weights of its own. Special tokens
// outside the vocabulary count as none.
func ParseConfig(text []byte) (*openelm.Config, error) {
	c, err := parseConfig("config.json", text)
	if err != nil {
		return nil, err
	}
	if _, err := c.validate("config.json"); err != nil {
		return nil, err
	}
	return &c.Config, nil
}

// validate checks the configuration. Special tokens that the model lacks are no
// fault, since it cannot produce them: they are taken out, with a warning.
func (c *checkpointConfig) validate(file string) (warnings []string, err error) {
	lacks := func(id int32) bool { return int(id) >= c.VocabSize }
	for _, id := range append([]int32{c.BOS}, c.EOS...) {
		if lacks(id) {
			warnings = append(warnings, fmt.Sprintf("%s: the special token %d is outside the vocabulary of %d and not used", file, id, c.VocabSize))
		}
	}
	if c.EOS = slices.DeleteFunc(c.EOS, lacks); lacks(c.BOS) {
		c.BOS = tokenizer.None
	}
	if err := c.Config.Validate(); err != nil {
		return nil, corrupt(file, "", "%w", err)
	}
	return warnings, nil
}

// parseConfig reads a config.json by the rules of Apple's
// configuration_openelm.py, with its defaults. Errors are [*FileError]; with one
// about a member comes what the others say.
func parseConfig(file string, text []byte) (*checkpointConfig, error) {
	members, err := strictjson.Members(text)
	if err != nil {
		return nil, corrupt(file, "", "%w", err)
	}
	r := &configReader{file: file, members: members}
	if name := r.text("model_name", ""); name != "" {
		preset, known := presets[name]
		if !known {
			return &checkpointConfig{}, unsupported(file, "model_name", "%.100q is not one of Apple's sizes", name)
		}
		r.fill(preset)
		r.fill(presetCommon)
	}
	c := r.config()
	c.quant = parseQuantization(r)
	return c, r.err
}

// configReader reads members of a JSON object and keeps the first error.
type configReader struct {
	file    string
	members map[string]json.RawMessage
	err     error
}

func (r *configReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// fill adds members that are not there yet; text is one of the presets.
func (r *configReader) fill(text string) {
	preset, err := strictjson.Members([]byte(text))
	if err != nil {
		panic(err)
	}
	for key, value := range preset {
		if _, set := r.members[key]; !set {
			r.members[key] = value
		}
	}
}

// has reports whether the key is there and not null.
func (r *configReader) has(key string) bool {
	v, ok := r.members[key]
	return ok && !strictjson.IsNull(v)
}

// read decodes a member, if it is there, into a variable of its type.
func read[T any](r *configReader, key, want string, value T) T {
	if !r.has(key) {
		return value
	}
	var v T
	if err := json.Unmarshal(r.members[key], &v); err != nil {
		r.fail(corrupt(r.file, key, "is %.60s, want %s", r.members[key], want))
		return value
	}
	return v
}

func (r *configReader) text(key, value string) string { return read(r, key, "a string", value) }
func (r *configReader) flag(key string, value bool) bool {
	return read(r, key, "true or false", value)
}

func (r *configReader) number(key string, value float64) float64 {
	return read(r, key, "a number", value)
}

// integer accepts 2048 and 2048.0, and nothing that an int32 cannot hold.
func (r *configReader) integer(key string, value int) int {
	f := r.number(key, float64(value))
	if f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
		r.fail(corrupt(r.file, key, "is %g, want an integer", f))
		return value
	}
	return int(f)
}

// numbers reads one number or a list of them.
func (r *configReader) numbers(key string) []float64 {
	raw := r.members[key]
	if !r.has(key) {
		return nil
	}
	if !strings.HasPrefix(string(raw), "[") {
		return []float64{r.number(key, 0)}
	}
	list := read[[]*float64](r, key, "a number or a list of numbers", nil)
	values := make([]float64, 0, len(list))
	for _, v := range list {
		if v == nil {
			r.fail(corrupt(r.file, key, "has a null in the list"))
			return nil
		}
		values = append(values, *v)
	}
	return values
}

// integers is numbers whose values must be whole.
func (r *configReader) integers(key string) []int {
	var list []int
	for _, f := range r.numbers(key) {
		if f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
			r.fail(corrupt(r.file, key, "has %g, want integers", f))
			return nil
		}
		list = append(list, int(f))
	}
	return list
}

// tokens is integers that are token ids.
func (r *configReader) tokens(key string) []int32 {
	var list []int32
	for _, id := range r.integers(key) {
		list = append(list, int32(id))
	}
	return list
}

// only refuses a value that the model code cannot honour.
func (r *configReader) only(key string, allowed ...string) {
	if v := r.text(key, allowed[0]); !slices.Contains(allowed, v) {
		r.fail(unsupported(r.file, key, "%.100q; this package has %s", v, strings.Join(allowed, ", ")))
	}
}

// config reads everything but the quantisation. The defaults are those of
// OpenELMConfig.__init__.
func (r *configReader) config() *checkpointConfig {
	r.only("model_type", "openelm")
	r.only("activation_fn_name", "swish", "silu")
	r.only("normalization_layer_name", "rms_norm")
	for _, key := range []string{"rope_scaling", "attention_bias"} {
		if v := string(r.members[key]); r.has(key) && v != "false" {
			r.fail(unsupported(r.file, key, "is %.60s; no OpenELM model has it", v))
		}
	}
	c := &checkpointConfig{Config: openelm.Config{
		VocabSize:  r.integer("vocab_size", 32000),
		ModelDim:   r.integer("model_dim", 2048),
		HeadDim:    r.integer("head_dim", 128),
		QKNorm:     r.flag("normalize_qk_projections", false),
		GLU:        r.flag("ffn_with_glu", true),
		RopeBase:   r.number("rope_freq_constant", 10000),
		MaxContext: r.integer("max_context_length", 2048),
		NormEps:    float32(r.number("rms_norm_eps", 1e-6)),
		BOS:        int32(r.integer("bos_token_id", 1)),
		EOS:        []int32{2},
	}}
	if r.has("eos_token_id") {
		c.EOS = r.tokens("eos_token_id")
	}
	c.TiedHead, c.tiedUnlessHead = r.tiedHead()
	if n := r.integer("num_transformer_layers", 12); n < 1 || n > maxLayers {
		r.fail(corrupt(r.file, "num_transformer_layers", "is %d, want 1 to %d", n, maxLayers))
	} else if r.err == nil {
		c.Layers = r.layers(n, c.ModelDim, c.HeadDim)
	}
	return c
}

// tiedHead: share_input_output_layers makes the head the embedding. Without
// it, transformers still ties an lm_head to the embedding unless
// tie_word_embeddings is false, and then saves no lm_head: what the checkpoint
// holds decides.
func (r *configReader) tiedHead() (tied, unlessHead bool) {
	tie := r.flag("tie_word_embeddings", true)
	if r.flag("share_input_output_layers", false) {
		return true, false
	}
	return false, tie
}

// layers derives the widths of every layer. The published rule interpolates a
// pair of multipliers over the layers, rounded to two decimals, and rounds each
// width to a multiple of a divisor. Lists of heads, which the published rule
// writes beside it and mlx-lm and llama.cpp go by, come first.
func (r *configReader) layers(n, modelDim, headDim int) []openelm.LayerConfig {
	groups := r.perLayer("num_gqa_groups", n, 1)
	qkv := r.multipliers("qkv_multipliers", n, 1)
	ffn := r.multipliers("ffn_multipliers", n, 4)
	divisor := r.integer("ffn_dim_divisor", 256)
	if modelDim < 1 || modelDim > maxDim || headDim < 1 || headDim > maxDim || divisor < 1 || divisor > maxDim {
		r.fail(corrupt(r.file, "", "model_dim %d, head_dim %d and ffn_dim_divisor %d must be 1 to %d", modelDim, headDim, divisor, maxDim))
	}
	if slices.Min(groups) < 1 || slices.Max(groups) > maxGroups {
		r.fail(corrupt(r.file, "num_gqa_groups", "is %d, want 1 to %d", groups[:min(n, 8)], maxGroups))
	}
	if r.err != nil {
		return nil
	}
	layers := make([]openelm.LayerConfig, n)
	for i := range layers {
		heads := makeDivisible(float64(modelDim)*qkv[i], headDim*groups[i]) / headDim
		layers[i] = openelm.LayerConfig{
			QueryHeads: heads,
			KVHeads:    heads / groups[i],
			FFNDim:     makeDivisible(float64(modelDim)*ffn[i], divisor),
		}
	}
	// One number of query heads is what the rule starts from, not its result.
	if q := r.integers("num_query_heads"); len(q) == 1 && n > 1 && r.has("qkv_multipliers") {
		delete(r.members, "num_query_heads")
	}
	if r.has("num_query_heads") {
		for i, q := range r.perLayer("num_query_heads", n, 0) {
			layers[i].QueryHeads, layers[i].KVHeads = q, q/groups[i]
		}
	}
	if r.has("num_kv_heads") {
		for i, kv := range r.perLayer("num_kv_heads", n, 0) {
			layers[i].KVHeads = kv
		}
	}
	if r.err != nil {
		return nil
	}
	return layers
}

// perLayer reads an integer for all layers or a list with one for each.
func (r *configReader) perLayer(key string, n, value int) []int {
	list := r.integers(key)
	if !r.has(key) {
		list = []int{value}
	}
	if len(list) == 1 {
		list = slices.Repeat(list, n)
	}
	if len(list) != n {
		r.fail(corrupt(r.file, key, "has %d values for %d layers", len(list), n))
		return slices.Repeat([]int{value}, n)
	}
	return list
}

// multipliers reads a number for all layers, a range from the first layer to
// the last, or a list with one for each.
func (r *configReader) multipliers(key string, n int, value float64) []float64 {
	list := r.numbers(key)
	if !r.has(key) {
		list = []float64{value}
	}
	if len(list) == 2 {
		list = interpolate(list[0], list[1], n)
	}
	if len(list) == 1 {
		list = slices.Repeat(list, n)
	}
	if len(list) != n {
		r.fail(corrupt(r.file, key, "has %d values for %d layers", len(list), n))
		return slices.Repeat([]float64{value}, n)
	}
	for _, m := range list {
		if !(m > 0) || m > 1<<16 {
			r.fail(corrupt(r.file, key, "has the multiplier %g", m))
		}
	}
	return list
}

// interpolate is numpy's linspace(first, last, n), rounded to two decimals,
// halves to even.
func interpolate(first, last float64, n int) []float64 {
	list := make([]float64, n)
	step := (last - first) / float64(max(n-1, 1))
	for i := range list {
		list[i] = first + float64(i)*step
	}
	if n > 1 {
		list[n-1] = last
	}
	for i, v := range list {
		list[i] = math.RoundToEven(v*100) / 100
	}
	return list
}

// makeDivisible rounds v to the nearest multiple of divisor, but not to zero,
// and up instead where that would lose more than a tenth of v (make_divisible
// of configuration_openelm.py).
func makeDivisible(v float64, divisor int) int {
	n := max(divisor, int(v+float64(divisor)/2)/divisor*divisor)
	if float64(n) < 0.9*v {
		n += divisor
	}
	return n
}
