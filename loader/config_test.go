package loader_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

// TestAppleConfigs holds the four sizes to their published parameter counts
// (testdata/configs/README.md), from the full configuration, from the ranges
// alone, and by corenet's name.
func TestAppleConfigs(t *testing.T) {
	for name, parameters := range map[string]int64{
		"270M": 271_527_168, "450M": 457_179_136, "1_1B": 1_079_891_456, "3B": 3_036_647_424,
	} {
		text, err := os.ReadFile(filepath.Join("..", "testdata", "configs", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		full, err := loader.ParseConfig(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := full.Parameters(); got != parameters {
			t.Errorf("%s: %d parameters, want %d", name, got, parameters)
		}
		var members map[string]any
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatal(err)
		}
		delete(members, "num_query_heads")
		delete(members, "num_kv_heads")
		members["ffn_multipliers"] = []float64{0.5, 4}
		ranges := parse(t, members)
		if !reflect.DeepEqual(ranges, full) {
			t.Errorf("%s: from the ranges %+v, want %+v", name, ranges, full)
		}
		short := parse(t, map[string]any{"model_name": "OpenELM-" + name, "vocab_size": 32000, "max_context_length": 2048})
		if !reflect.DeepEqual(short, full) {
			t.Errorf("%s: by name %+v, want %+v", name, short, full)
		}
	}
}

func parse(t *testing.T, members map[string]any) *openelm.Config {
	t.Helper()
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	c, err := loader.ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestWidths goes through the ways to give the widths of layers. The expected
// numbers were made with the published configuration_openelm.py's rule in
// Python (linspace, round to two decimals, make_divisible).
func TestWidths(t *testing.T) {
	layers := func(c *openelm.Config) string {
		var b strings.Builder
		for _, l := range c.Layers {
			fmt.Fprintf(&b, "%d/%d/%d ", l.QueryHeads, l.KVHeads, l.FFNDim)
		}
		return strings.TrimSpace(b.String())
	}
	for _, c := range []struct{ config, want string }{
		// one number for all layers
		{`"qkv_multipliers": 1.0, "ffn_multipliers": 4.0`, "4/4/256 4/4/256 4/4/256"},
		{`"qkv_multipliers": 0.5, "ffn_multipliers": 1, "num_gqa_groups": 2`, "2/1/64 2/1/64 2/1/64"},
		// the default: multipliers 1 and 4, one group
		{``, "4/4/256 4/4/256 4/4/256"},
		// ranges
		{`"qkv_multipliers": [0.5, 1.0], "ffn_multipliers": [0.5, 4.0], "num_gqa_groups": 2`, "2/1/32 4/2/144 4/2/256"},
		{`"qkv_multipliers": [1.0, 0.25], "ffn_multipliers": [4, 0.1]`, "4/4/256 3/3/128 1/1/16"},
		// one for each layer
		{`"ffn_multipliers": [1, 2, 0.01]`, "4/4/64 4/4/128 4/4/16"},
		{`"qkv_multipliers": [0.25, 0.5, 1]`, "1/1/256 2/2/256 4/4/256"},
		// heads spelled out come first
		{`"num_query_heads": [2, 4, 6], "num_kv_heads": [1, 2, 3]`, "2/1/256 4/2/256 6/3/256"},
		{`"num_query_heads": [2, 4, 6], "num_gqa_groups": 2`, "2/1/256 4/2/256 6/3/256"},
		{`"num_query_heads": 8, "num_kv_heads": 2`, "8/2/256 8/2/256 8/2/256"},
		{`"num_gqa_groups": [1, 2, 4], "num_query_heads": [4, 4, 4]`, "4/4/256 4/2/256 4/1/256"},
		// one number of heads is where the published rule starts, not its result
		{`"num_query_heads": 4, "qkv_multipliers": 0.5`, "2/2/256 2/2/256 2/2/256"},
		// rounding down by more than a tenth goes up instead: 1.34·64 = 85.76
		{`"ffn_multipliers": 1.34, "ffn_dim_divisor": 64`, "4/4/128 4/4/128 4/4/128"},
		{`"ffn_multipliers": 1.1, "ffn_dim_divisor": 64`, "4/4/64 4/4/64 4/4/64"},
	} {
		text := `{"model_dim": 64, "head_dim": 16, "num_transformer_layers": 3, "ffn_dim_divisor": 16`
		if strings.Contains(c.config, "ffn_dim_divisor") {
			text = `{"model_dim": 64, "head_dim": 16, "num_transformer_layers": 3`
		}
		if c.config != "" {
			text += ", " + c.config
		}
		got, err := loader.ParseConfig([]byte(text + "}"))
		if err != nil {
			t.Errorf("%s: %v", c.config, err)
		} else if layers(got) != c.want {
			t.Errorf("%s: %s, want %s", c.config, layers(got), c.want)
		}
	}
}

func TestConfigFields(t *testing.T) {
	c, err := loader.ParseConfig([]byte(`{"vocab_size": 100, "model_dim": 64.0, "head_dim": 16, "num_transformer_layers": 1,
		"normalize_qk_projections": true, "ffn_with_glu": false, "share_input_output_layers": true,
		"rope_freq_constant": 500000.5, "max_context_length": 77, "rms_norm_eps": 1e-5, "bos_token_id": 5,
		"eos_token_id": [7, 9], "num_gqa_groups": null, "rope_scaling": null, "note": {"of": "no interest"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &openelm.Config{
		VocabSize: 100, ModelDim: 64, HeadDim: 16, QKNorm: true, TiedHead: true, RopeBase: 500000.5, MaxContext: 77,
		NormEps: 1e-5, BOS: 5, EOS: []int32{7, 9}, Layers: []openelm.LayerConfig{{QueryHeads: 4, KVHeads: 4, FFNDim: 256}},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
	for text, tied := range map[string]bool{
		`"share_input_output_layers": true`: true, `"share_input_output_layers": true, "tie_word_embeddings": false`: true,
		`"share_input_output_layers": false`: false, `"tie_word_embeddings": false`: false, `"tie_word_embeddings": true`: false,
	} {
		c, err := loader.ParseConfig([]byte("{" + text + "}"))
		if err != nil || c.TiedHead != tied {
			t.Errorf("%s: tied %t, error %v", text, c.TiedHead, err)
		}
	}
}

// badConfigs are members that are refused, with the field that the error names
// and a part of what it says.
var badConfigs = []struct {
	text, field string
	kind        error
	reason      string
}{
	{``, "", loader.ErrCorrupt, "malformed JSON"},
	{`[]`, "", loader.ErrCorrupt, "not an object"},
	{`{"vocab_size": 1, "vocab_size": 2}`, "", loader.ErrCorrupt, "occurs twice"},
	{`{"model_type": "llama"}`, "model_type", loader.ErrUnsupported, "openelm"},
	{`{"activation_fn_name": "gelu"}`, "activation_fn_name", loader.ErrUnsupported, "swish"},
	{`{"activation_fn_name": 3}`, "activation_fn_name", loader.ErrCorrupt, "want a string"},
	{`{"normalization_layer_name": "layer_norm"}`, "normalization_layer_name", loader.ErrUnsupported, "rms_norm"},
	{`{"rope_scaling": {"type": "linear"}}`, "rope_scaling", loader.ErrUnsupported, "linear"},
	{`{"model_name": "OpenELM-7B"}`, "model_name", loader.ErrUnsupported, "OpenELM-7B"},
	{`{"vocab_size": "many"}`, "vocab_size", loader.ErrCorrupt, "want a number"},
	{`{"vocab_size": 0}`, "", loader.ErrCorrupt, "vocabulary size"},
	{`{"vocab_size": 1e9}`, "", loader.ErrCorrupt, "vocabulary size"},
	{`{"vocab_size": 1e300}`, "vocab_size", loader.ErrCorrupt, "want an integer"},
	{`{"vocab_size": 1.5}`, "vocab_size", loader.ErrCorrupt, "want an integer"},
	{`{"eos_token_id": [1, "2"]}`, "eos_token_id", loader.ErrCorrupt, "list of numbers"},
	{`{"eos_token_id": [1, null]}`, "eos_token_id", loader.ErrCorrupt, "null"},
	{`{"bos_token_id": -7}`, "", loader.ErrCorrupt, "outside the vocabulary"},
	{`{"model_dim": -64}`, "", loader.ErrCorrupt, "model_dim"},
	{`{"model_dim": 1e8}`, "", loader.ErrCorrupt, "model_dim"},
	{`{"head_dim": 0}`, "", loader.ErrCorrupt, "head_dim"},
	{`{"head_dim": 15}`, "", loader.ErrCorrupt, "odd"},
	{`{"ffn_dim_divisor": 0}`, "", loader.ErrCorrupt, "ffn_dim_divisor"},
	{`{"num_transformer_layers": 0}`, "num_transformer_layers", loader.ErrCorrupt, "want 1 to"},
	{`{"num_transformer_layers": -1}`, "num_transformer_layers", loader.ErrCorrupt, "want 1 to"},
	{`{"num_transformer_layers": 1000000000}`, "num_transformer_layers", loader.ErrCorrupt, "want 1 to"},
	{`{"num_gqa_groups": 0}`, "num_gqa_groups", loader.ErrCorrupt, "want 1 to"},
	{`{"num_gqa_groups": 2000000000}`, "num_gqa_groups", loader.ErrCorrupt, "want 1 to"},
	{`{"num_gqa_groups": []}`, "num_gqa_groups", loader.ErrCorrupt, "0 values for 12 layers"},
	{`{"num_query_heads": [1, 2]}`, "num_query_heads", loader.ErrCorrupt, "2 values for 12 layers"},
	{`{"num_query_heads": {"a": 1}}`, "num_query_heads", loader.ErrCorrupt, "want a number"},
	{`{"num_query_heads": [[1]]}`, "num_query_heads", loader.ErrCorrupt, "list of numbers"},
	{`{"num_transformer_layers": 1, "num_query_heads": [0]}`, "", loader.ErrCorrupt, "query heads"},
	{`{"num_transformer_layers": 1, "num_query_heads": [3], "num_kv_heads": [2]}`, "", loader.ErrCorrupt, "do not divide"},
	{`{"num_transformer_layers": 1, "num_query_heads": [2], "num_kv_heads": [0]}`, "", loader.ErrCorrupt, "key-value heads"},
	{`{"qkv_multipliers": [1, 2, 3]}`, "qkv_multipliers", loader.ErrCorrupt, "3 values for 12 layers"},
	{`{"ffn_multipliers": "4"}`, "ffn_multipliers", loader.ErrCorrupt, "want a number"},
	{`{"ffn_multipliers": -4}`, "ffn_multipliers", loader.ErrCorrupt, "multiplier -4"},
	{`{"ffn_multipliers": [0, 4]}`, "ffn_multipliers", loader.ErrCorrupt, "multiplier 0"},
	{`{"ffn_multipliers": 1e99}`, "ffn_multipliers", loader.ErrCorrupt, "multiplier 1e+99"},
	{`{"rope_freq_constant": 0}`, "", loader.ErrCorrupt, "RoPE base"},
	{`{"rope_freq_constant": 1e999}`, "rope_freq_constant", loader.ErrCorrupt, "want a number"},
	{`{"rms_norm_eps": -1}`, "", loader.ErrCorrupt, "epsilon"},
	{`{"max_context_length": 0}`, "", loader.ErrCorrupt, "context length"},
	{`{"ffn_with_glu": "yes"}`, "ffn_with_glu", loader.ErrCorrupt, "true or false"},
	{`{"quantization": 4}`, "quantization", loader.ErrCorrupt, "not an object"},
	{`{"quantization": {"bits": 3}}`, "quantization", loader.ErrUnsupported, "3 bits"},
	{`{"quantization": {"bits": 4, "group_size": 16}}`, "quantization", loader.ErrUnsupported, "groups of 16"},
	{`{"quantization": {"bits": 4, "group_size": 32, "mode": "mxfp4"}}`, "quantization", loader.ErrUnsupported, "mxfp4"},
	{`{"quantization": {"bits": 4, "lm_head": {"bits": 6}}}`, "quantization.lm_head", loader.ErrUnsupported, "6 bits"},
	{`{"quantization_config": {"quant_method": "gptq", "bits": 4}}`, "quantization_config", loader.ErrUnsupported, "gptq"},
}

func TestBadConfigs(t *testing.T) {
	for _, c := range badConfigs {
		_, err := loader.ParseConfig([]byte(c.text))
		checkFileError(t, c.text, err, c.kind, c.field, c.reason)
	}
}

// checkFileError holds err to be a FileError of this kind, about this field.
func checkFileError(t *testing.T, what string, err error, kind error, field, reason string) {
	t.Helper()
	var f *loader.FileError
	if !errors.As(err, &f) || !errors.Is(err, kind) || f.Field != field || f.File == "" || !strings.Contains(err.Error(), reason) {
		t.Errorf("%.80s: error %v, want %v about %q with %q", what, err, kind, field, reason)
	}
}

// TestConfigAllocations: a short file asks for no more than some lists of the
// largest number of layers.
func TestConfigAllocations(t *testing.T) {
	for _, text := range []string{
		`{"num_transformer_layers": 4096}`,
		`{"num_transformer_layers": 2147483647}`,
		`{"num_transformer_layers": 4096, "ffn_multipliers": [` + strings.Repeat("1,", 1<<19) + `1]}`,
		`{"quantization": {` + strings.Repeat(`"x":{},`, 1<<17) + `"y":{}}}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := loader.ParseConfig([]byte(text))
		runtime.ReadMemStats(&after)
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(1<<20+50*len(text)); got > limit {
			t.Errorf("%.60s: %d bytes allocated for %d (error %v)", text, got, len(text), err)
		}
	}
}

// FuzzParseConfig: whatever is accepted is a configuration that a model can have.
func FuzzParseConfig(f *testing.F) {
	for _, c := range badConfigs {
		f.Add([]byte(c.text))
	}
	configs, err := filepath.Glob(filepath.Join("..", "testdata", "*", "*", "config.json"))
	if err != nil || len(configs) == 0 {
		f.Fatal("no configurations: ", err)
	}
	for _, name := range configs {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := loader.ParseConfig(text)
		if err != nil {
			var bad *loader.FileError
			if !errors.As(err, &bad) || bad.Kind == nil {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		if err := c.Validate(); err != nil || c.Parameters() < 1 {
			t.Fatalf("accepted %+v: %v", c, err)
		}
	})
}
