package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

// companion is a file that goes with the weights.
type companion struct {
	name string
	data []byte
}

// tokenizerFiles are those of a tokenizer, and what says how it is used.
var tokenizerFiles = []string{
	"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
}

// companions is what goes with the weights of a folder.
func (w *writer) companions() ([]companion, error) {
	config, err := w.config()
	if err != nil {
		return nil, err
	}
	list := []companion{{"config.json", config}}
	var copied []string
	if w.Beside != nil {
		copied = append(slices.Clone(tokenizerFiles), "generation_config.json")
		for _, pattern := range []string{"configuration_*.py", "modeling_*.py"} { // the model's code for transformers
			code, err := fs.Glob(w.Beside, pattern)
			if err != nil {
				return nil, err
			}
			copied = append(copied, code...)
		}
	}
	hasTokenizer := false
	for _, name := range copied {
		data, err := fs.ReadFile(w.Beside, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, companion{name, data})
		hasTokenizer = hasTokenizer || name == "tokenizer.json" || name == "tokenizer.model"
	}
	if hasTokenizer {
		return list, nil
	}
	v := w.vocabulary()
	if v == nil {
		w.Logger.Warn("the model has no tokenizer, so that the folder has none either")
		return list, nil
	}
	list = slices.DeleteFunc(list, func(c companion) bool { return c.name == "tokenizer_config.json" })
	settings := map[string]any{
		"tokenizer_class": "LlamaTokenizer", "add_bos_token": v.AddBOS, "add_eos_token": v.AddEOS,
		"legacy": true, "model_max_length": w.model.Config().MaxContext,
	}
	for name, id := range map[string]int32{"bos_token": v.BOS, "eos_token": v.EOS, "unk_token": v.UNK, "pad_token": v.PAD} {
		if id >= 0 {
			settings[name] = v.Pieces[id]
		}
	}
	text, err := json.MarshalIndent(settings, "", "  ")
	return append(list, companion{"tokenizer.model", v.Model()}, companion{"tokenizer_config.json", text}), err
}

// config is config.json: the one beside the model, if there is one that describes
// it, and what transformers and mlx-lm look for besides.
func (w *writer) config() ([]byte, error) {
	c := *w.model.Config()
	c.TiedHead = w.tiedHead()
	members := configOf(&c)
	if w.Beside != nil {
		theirs := map[string]any{}
		text, err := fs.ReadFile(w.Beside, "config.json")
		if err == nil {
			err = json.Unmarshal(text, &theirs)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("convert: config.json: %w", err)
		}
		// Apple's MLX port names a size instead of describing it.
		if _, named := theirs["model_name"]; !named {
			for _, key := range []string{"quantization", "quantization_config", "dtype"} {
				delete(theirs, key)
			}
			// The rule that the widths follow from stays as it is written there, if
			// mlx-lm and llama.cpp can read it.
			if ffn, ok := theirs["ffn_multipliers"].([]any); ok && len(ffn) == len(c.Layers) {
				for _, key := range []string{"ffn_multipliers", "ffn_dim_divisor", "qkv_multipliers", "num_gqa_groups"} {
					if _, ok := theirs[key]; ok {
						delete(members, key)
					}
				}
			}
			maps.Copy(theirs, members)
			members = theirs
		}
	}
	for _, f := range floats {
		if f.format == w.kind {
			members["torch_dtype"] = f.torch
		}
	}
	if w.Format.Kind == MLX {
		q := map[string]any{"group_size": w.Format.Group, "bits": w.Format.bits(), "mode": "affine"}
		members["quantization"], members["quantization_config"] = q, q
	}
	text, err := json.MarshalIndent(members, "", "  ")
	if err != nil {
		return nil, err
	}
	return text, checkConfig(text, &c)
}

// configOf describes a model in the terms of Apple's configuration_openelm.py, with
// the widths of every layer spelled out as mlx-lm and llama.cpp want them.
func configOf(c *openelm.Config) map[string]any {
	var heads, kv []int
	var ffn, qkv []float64
	divisor, groups := 0, c.Layers[0].QueryHeads/c.Layers[0].KVHeads
	for _, l := range c.Layers {
		heads, kv = append(heads, l.QueryHeads), append(kv, l.KVHeads)
		ffn = append(ffn, float64(l.FFNDim)/float64(c.ModelDim))
		qkv = append(qkv, float64(l.QueryHeads*c.HeadDim)/float64(c.ModelDim))
		divisor = gcd(l.FFNDim, divisor)
		if l.QueryHeads != groups*l.KVHeads {
			groups = 0 // no one number says it
		}
	}
	m := map[string]any{
		"model_type": "openelm", "architectures": []string{"OpenELMForCausalLM"},
		"vocab_size": c.VocabSize, "model_dim": c.ModelDim, "head_dim": c.HeadDim,
		"num_transformer_layers": len(c.Layers), "num_query_heads": heads, "num_kv_heads": kv,
		"ffn_multipliers": ffn, "ffn_dim_divisor": divisor, "ffn_with_glu": c.GLU,
		"normalize_qk_projections": c.QKNorm, "share_input_output_layers": c.TiedHead, "tie_word_embeddings": c.TiedHead,
		"rope_freq_constant": c.RopeBase, "max_context_length": c.MaxContext, "rms_norm_eps": c.NormEps,
		"activation_fn_name": "swish", "normalization_layer_name": "rms_norm",
		"bos_token_id": c.BOS, "eos_token_id": append([]int32{}, c.EOS...),
	}
	if groups > 0 {
		m["num_gqa_groups"], m["qkv_multipliers"] = groups, qkv
	}
	if len(c.EOS) == 1 {
		m["eos_token_id"] = c.EOS[0]
	}
	return m
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// checkConfig refuses a configuration that does not say what was meant: a few
// shapes cannot be said in a config.json.
func checkConfig(text []byte, want *openelm.Config) error {
	got, err := loader.ParseConfig(text)
	if err != nil {
		return err
	}
	if len(got.EOS)+len(want.EOS) == 0 {
		got.EOS = want.EOS // none, of either kind
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("convert: a config.json cannot describe this model (%w): it would be read as %+v", errors.ErrUnsupported, *got)
	}
	return nil
}
