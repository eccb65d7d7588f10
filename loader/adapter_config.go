package loader

import (
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"strings"

	"github.com/go-openelm/go-openelm/internal/strictjson"
)

// adapterConfig is what an adapter_config.json says, in either dialect.
type adapterConfig struct {
	mlx, dora bool

	rank  int
	scale float64 // MLX: as it is

	// PEFT: alpha/rank, or alpha/√rank for rsLoRA; rank and alpha may differ for
	// the matrices whose paths match a pattern.
	alpha  float64
	rsLoRA bool
	ranks  []patternValue
	alphas []patternValue

	warnings []string // what has no effect, as for the library that wrote it
}

type patternValue struct {
	pattern *regexp.Regexp
	value   float64
}

// maxRank is far above any use: a rank beyond the model's width is no low rank.
const maxRank = maxDim

// peft reads the fields of PEFT's LoraConfig. Those that change what the
// adapter computes and are not supported are errors; those about training only
// (dropout, target modules, initialisation at random) are not looked at.
func (r *configReader) peft(c *adapterConfig) {
	if t := r.text("peft_type", ""); t != "LORA" {
		r.fail(unsupported(r.file, "peft_type", "%.60q; this package has LORA", t))
	}
	for _, key := range []string{
		"modules_to_save", "layer_replication", "lora_bias", "trainable_token_indices",
		"alora_invocation_tokens", "use_qalora", "megatron_config", "target_parameters",
	} {
		if r.has(key) && !empty(r.members[key]) {
			r.fail(unsupported(r.file, key, "is %.60s", r.members[key]))
		}
	}
	switch b := r.text("bias", "none"); b {
	case "none":
	case "all", "lora_only":
		c.warnings = append(c.warnings, "bias has no effect: OpenELM's matrices have no biases")
	default:
		r.fail(corrupt(r.file, "bias", "is %.60q, want none, all or lora_only", b))
	}
	if r.flag("fan_in_fan_out", false) {
		c.warnings = append(c.warnings, "fan_in_fan_out has no effect: PEFT sets it to false for OpenELM's matrices")
	}
	r.initialisation()
	c.dora = r.flag("use_dora", false)
	c.rsLoRA = r.flag("use_rslora", false)
	c.rank = r.integer("r", 8)
	c.alpha = r.number("lora_alpha", 8)
	c.ranks = r.patterns("rank_pattern")
	for _, p := range c.ranks {
		if p.value != math.Trunc(p.value) || p.value < 1 || p.value > maxRank {
			r.fail(corrupt(r.file, "rank_pattern", "has the rank %g, want 1 to %d", p.value, maxRank))
		}
	}
	c.alphas = r.patterns("alpha_pattern")
	if c.rank < 1 || c.rank > maxRank {
		r.fail(corrupt(r.file, "r", "is %d, want 1 to %d", c.rank, maxRank))
	}
}

// initialisation refuses the methods that also change the base weights, which
// an adapter alone then does not fit.
func (r *configReader) initialisation() {
	const key = "init_lora_weights"
	if !r.has(key) || r.members[key][0] != '"' {
		return
	}
	method := r.text(key, "")
	for _, changes := range []string{"pissa", "olora", "loftq", "corda", "lora_ga"} {
		if strings.HasPrefix(method, changes) {
			r.fail(unsupported(r.file, key, "%.60q changes the base weights; convert the adapter with PEFT's path_initial_model_for_weight_conversion", method))
		}
	}
}

// empty reports whether a JSON value says "nothing": false, or without members.
func empty(value json.RawMessage) bool {
	switch strings.Join(strings.Fields(string(value)), "") {
	case "false", "[]", "{}", `""`:
		return true
	}
	return false
}

// patterns reads a map from patterns of paths to numbers, in order: PEFT takes
// the first that matches (get_pattern_key).
func (r *configReader) patterns(key string) []patternValue {
	if !r.has(key) {
		return nil
	}
	var list []patternValue
	err := strictjson.Object(r.members[key], func(text string, value json.RawMessage) error {
		var v float64
		if err := json.Unmarshal(value, &v); err != nil {
			return corrupt(r.file, key, "value of %.100q is not a number", text)
		}
		pattern, err := regexp.Compile(`^(?:.*\.)?(?:` + text + `)$`)
		if err != nil {
			return unsupported(r.file, key, "%w", err)
		}
		list = append(list, patternValue{pattern, v})
		return nil
	})
	switch {
	case errors.Is(err, strictjson.ErrSyntax):
		r.fail(corrupt(r.file, key, "%w", err))
	case err != nil:
		r.fail(err)
	}
	return list
}

// mlxLoRA reads what mlx-lm's trainer saves.
func (r *configReader) mlxLoRA(c *adapterConfig) {
	c.mlx = true
	kind := "lora"
	if r.flag("use_dora", false) { // mlx-lm 0.14 to 0.18, which had no fine_tune_type
		kind = "dora"
	}
	switch t := r.text("fine_tune_type", kind); t {
	case "lora":
	case "dora":
		c.dora = true
	default:
		r.fail(unsupported(r.file, "fine_tune_type", "%.60q; this package has lora and dora", t))
	}
	members, err := strictjson.Members(r.members["lora_parameters"])
	if err != nil {
		r.fail(corrupt(r.file, "lora_parameters", "%w", err))
		return
	}
	p := &configReader{file: r.file, members: members}
	for _, key := range []string{"rank", "scale"} {
		if !p.has(key) {
			r.fail(corrupt(r.file, "lora_parameters."+key, "is missing"))
		}
	}
	c.rank, c.scale = p.integer("rank", 1), p.number("scale", 1)
	if c.rank < 1 || c.rank > maxRank {
		p.fail(corrupt(r.file, "lora_parameters.rank", "is %d, want 1 to %d", c.rank, maxRank))
	}
	if p.err != nil {
		r.fail(p.err)
	}
}

// rankAndScale is what holds for the matrix with this path.
func (c *adapterConfig) rankAndScale(path string) (rank int, scale float64) {
	if c.mlx {
		return c.rank, c.scale
	}
	r := match(c.ranks, path, float64(c.rank))
	alpha := match(c.alphas, path, c.alpha)
	if c.rsLoRA {
		return int(r), alpha / math.Sqrt(r)
	}
	return int(r), alpha / r
}

func match(list []patternValue, path string, value float64) float64 {
	for _, p := range list {
		if p.pattern.MatchString(path) {
			return p.value
		}
	}
	return value
}

// dialect is how the tensors of the adapter are called.
func (c *adapterConfig) dialect() dialect {
	if c.mlx {
		return dialect{file: "adapters.safetensors", ends: map[string]place{
			".lora_a": {partA, transposed}, ".lora_b": {partB, transposed}, ".m": {partMagnitude, plain},
		}}
	}
	return dialect{file: "adapter_model.safetensors", prefix: "base_model.model.", ends: map[string]place{
		".lora_A.weight": {partA, plain}, ".lora_B.weight": {partB, plain},
		".lora_magnitude_vector": {partMagnitude, plain}, ".lora_magnitude_vector.weight": {partMagnitude, plain},
		".lora_embedding_A": {partB, lookedUp}, ".lora_embedding_B": {partA, lookedUp}, // see coreNetDialect
	}, wholeEnds: []string{".weight", ".base_layer.weight"}}
}
