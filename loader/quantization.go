package loader

import (
	"strings"

	"github.com/go-openelm/go-openelm/internal/strictjson"
)

// quantization is how MLX quantised a checkpoint's matrices.
type quantization struct {
	present   bool
	all       groupFormat
	overrides map[string]groupFormat // by the tensor's path, without ".weight"
}

// groupFormat is a kind of MLX quantisation.
type groupFormat struct{ bits, group int }

// of is the kind of the matrix with this path.
func (q *quantization) of(path string) groupFormat {
	if g, ok := q.overrides[path]; ok {
		return g
	}
	return q.all
}

// parseQuantization reads "quantization", which MLX writes; mlx-lm repeats it
// as "quantization_config", where other tools write kinds of their own.
func parseQuantization(r *configReader) quantization {
	key := "quantization"
	if !r.has(key) {
		key = "quantization_config"
	}
	if !r.has(key) {
		return quantization{}
	}
	members, err := strictjson.Members(r.members[key])
	if err != nil {
		r.fail(corrupt(r.file, key, "%w", err))
		return quantization{}
	}
	q := &configReader{file: r.file, members: members}
	if q.has("quant_method") {
		r.fail(unsupported(r.file, key, "quant_method %.60s; this package has MLX's affine quantisation and GGUF", members["quant_method"]))
	}
	result := quantization{present: true, all: q.groupFormat(key), overrides: map[string]groupFormat{}}
	for path, value := range members {
		if !strings.HasPrefix(string(value), "{") {
			continue // false: the matrix is not quantised, and then has no scales
		}
		override, err := strictjson.Members(value)
		if err != nil {
			q.fail(corrupt(r.file, path, "%w", err))
			continue
		}
		o := &configReader{file: r.file, members: override}
		result.overrides[path] = o.groupFormat(key + "." + path)
		if o.err != nil {
			q.fail(o.err)
		}
	}
	if q.err != nil {
		r.fail(q.err)
	}
	return result
}

// groupFormat reads bits, group_size and mode. MLX's defaults are 4 and 64.
func (r *configReader) groupFormat(key string) groupFormat {
	if mode := r.text("mode", "affine"); mode != "affine" {
		r.fail(unsupported(r.file, key, "mode %.60q; this package has affine", mode))
	}
	g := groupFormat{bits: r.integer("bits", 4), group: r.integer("group_size", 64)}
	if g.bits != 4 && g.bits != 8 {
		r.fail(unsupported(r.file, key, "%d bits; this package has 4 and 8", g.bits))
	}
	if g.group != 32 && g.group != 64 && g.group != 128 {
		r.fail(unsupported(r.file, key, "groups of %d; this package has 32, 64 and 128", g.group))
	}
	return g
}
