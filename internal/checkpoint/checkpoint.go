package checkpoint

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/go-openelm/go-openelm/internal/filewrite"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader/gguf"
	"github.com/go-openelm/go-openelm/openelm"
)

// Spec says which checkpoint to make.
type Spec struct {
	Config openelm.Config
	Format kernels.Format // of the matrices
	Seed   uint64

	// Affine formats only: the columns that share a scale, 64 if zero, and the
	// format of the scales, F16 if zero.
	Group       int
	ScaleFormat kernels.Format

	// Safetensors only: the number of files, one if zero.
	Shards int

	// GGUF only: metadata besides the model's configuration, such as a tokenizer.
	Metadata []gguf.KeyValue
}

// tensor is one tensor to be made. Names differ between the kinds of files.
type tensor struct {
	hf, gguf   string // names; gguf is empty for what GGUF has in two tensors
	rows, cols int    // one column: a vector
	first      int    // row of hf's tensor that this one begins at
	mean, std  float64
}

func (t *tensor) vector() bool { return t.cols == 1 }

// stream is named after the Hugging Face tensor, so that a model is the same in
// every kind of file.
func (s *Spec) stream(t *tensor) stream { return newStream(s.Seed, t.hf, t.mean, t.std) }

// normFormat is the format of vectors in safetensors files.
func (s *Spec) normFormat() kernels.Format {
	if s.Format.Affine() {
		return s.ScaleFormat
	}
	return s.Format
}

func (s Spec) withDefaults() (Spec, error) {
	if s.Group == 0 {
		s.Group = 64
	}
	if s.ScaleFormat == 0 {
		s.ScaleFormat = kernels.F16
	}
	s.Shards = max(s.Shards, 1)
	if !s.Format.Valid() {
		return s, fmt.Errorf("checkpoint: no format %s", s.Format)
	}
	if err := s.Config.Validate(); err != nil {
		return s, err
	}
	unit := s.Format.BlockCols()
	if s.Format.Affine() {
		unit = s.Group
	}
	for _, t := range s.tensors(false) {
		if !t.vector() && t.cols%unit != 0 {
			return s, fmt.Errorf("checkpoint: %s: %d columns are no whole number of %d", t.hf, t.cols, unit)
		}
	}
	return s, nil
}

// tensors lists the model's tensors; split has gate and up apart. The standard
// deviations are those of corenet's reset_parameters (general_gpt.py).
func (s *Spec) tensors(split bool) []tensor {
	c := &s.Config
	d := c.ModelDim
	linear := 1 / math.Sqrt(float64(d))
	residual := linear / math.Sqrt(2*float64(len(c.Layers)))
	w := openelm.Weights{Layers: make([]openelm.LayerWeights, len(c.Layers))}
	var list []tensor
	for t := range w.Tensors(c) {
		name := names[t.Role]
		x := tensor{hf: name.hf, gguf: name.gguf, rows: t.Rows, cols: t.Cols, std: linear}
		if t.Layer >= 0 {
			x.hf = fmt.Sprintf("transformer.layers.%d.%s", t.Layer, x.hf)
			x.gguf = fmt.Sprintf("blk.%d.%s", t.Layer, x.gguf)
		}
		x.hf, x.gguf = x.hf+".weight", x.gguf+".weight"
		switch {
		case t.Vector != nil:
			x.mean, x.std = 1, 0.1
		case t.Role == openelm.RoleOut, t.Role == openelm.RoleDown:
			x.std = residual
		case t.Role == openelm.RoleGate && !c.GLU:
			x.gguf = fmt.Sprintf("blk.%d.ffn_up.weight", t.Layer) // the one projection is called up
		case t.Role == openelm.RoleUp && split:
			x.first = t.Rows // of proj_1, whose first half is the gate
		case t.Role == openelm.RoleUp:
			gate := &list[len(list)-1]
			gate.rows, gate.gguf = 2*t.Rows, ""
			continue
		}
		list = append(list, x)
	}
	return list
}

// names are the tensors' in files, in a layer's without its prefix.
var names = map[openelm.Role]struct{ hf, gguf string }{
	openelm.RoleEmbedding: {"transformer.token_embeddings", "token_embd"},
	openelm.RoleAttnNorm:  {"attn_norm", "attn_norm"},
	openelm.RoleQKV:       {"attn.qkv_proj", "attn_qkv"},
	openelm.RoleQNorm:     {"attn.q_norm", "attn_q_norm"},
	openelm.RoleKNorm:     {"attn.k_norm", "attn_k_norm"},
	openelm.RoleOut:       {"attn.out_proj", "attn_output"},
	openelm.RoleFFNNorm:   {"ffn_norm", "ffn_norm"},
	openelm.RoleGate:      {"ffn.proj_1", "ffn_gate"},
	openelm.RoleUp:        {"ffn.proj_1", "ffn_up"},
	openelm.RoleDown:      {"ffn.proj_2", "ffn_down"},
	openelm.RoleNorm:      {"transformer.norm", "output_norm"},
	openelm.RoleHead:      {"lm_head", "output"},
}

// write writes t's values in format f.
func (s *Spec) write(w io.Writer, t *tensor, f kernels.Format) error {
	st := s.stream(t)
	return st.write(w, t.first, t.rows, t.cols, RowBytes(f, t.cols), func(dst []byte, row []float32) { Encode(dst, row, f) })
}

// WriteDir makes a directory with config.json and safetensors files, as
// transformers writes them or, for the affine formats, mlx-lm. When ctx ends
// before, it leaves no weights.
func WriteDir(ctx context.Context, dir string, spec Spec) error {
	s, err := spec.withDefaults()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	config, err := s.configJSON()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o666); err != nil {
		return err
	}
	return s.writeShards(ctx, dir)
}

// WriteGGUF makes a GGUF file, or none when ctx ends before.
func WriteGGUF(ctx context.Context, path string, spec Spec) error {
	s, err := spec.withDefaults()
	if err != nil {
		return err
	}
	types := map[kernels.Format]gguf.Type{
		kernels.F32: gguf.F32, kernels.F16: gguf.F16, kernels.BF16: gguf.BF16,
		kernels.Q8_0: gguf.Q8_0, kernels.Q4_0: gguf.Q4_0, kernels.Q4_1: gguf.Q4_1, kernels.Q5_0: gguf.Q5_0, kernels.Q5_1: gguf.Q5_1,
		kernels.Q2_K: gguf.Q2_K, kernels.Q3_K: gguf.Q3_K, kernels.Q4_K: gguf.Q4_K, kernels.Q5_K: gguf.Q5_K, kernels.Q6_K: gguf.Q6_K,
		kernels.IQ4_NL: gguf.IQ4_NL, kernels.IQ4_XS: gguf.IQ4_XS,
	}
	kind, ok := types[s.Format]
	if !ok {
		return fmt.Errorf("checkpoint: GGUF has no format %s", s.Format)
	}
	var sources []gguf.Source
	for _, t := range s.tensors(true) {
		src := gguf.Source{Name: t.gguf, Type: kind, Shape: []int{t.rows, t.cols}}
		format := s.Format
		if t.vector() {
			src.Type, src.Shape, format = gguf.F32, src.Shape[:1], kernels.F32
		}
		src.Data = func(w io.Writer) error { return s.write(w, &t, format) }
		sources = append(sources, src)
	}
	return filewrite.Atomic(ctx, path, func(w io.Writer) error {
		return gguf.Write(w, append(s.ggufMetadata(), s.Metadata...), sources)
	})
}

// ggufMetadata is the configuration as llama.cpp's converter writes it.
func (s *Spec) ggufMetadata() []gguf.KeyValue {
	c := &s.Config
	var heads, kv, ffn []int32
	for _, l := range c.Layers {
		heads, kv, ffn = append(heads, int32(l.QueryHeads)), append(kv, int32(l.KVHeads)), append(ffn, int32(l.FFNDim))
	}
	list := []gguf.KeyValue{
		{Key: "general.architecture", Value: "openelm"},
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
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(max(c.BOS, 0))},
	}
	if len(c.EOS) > 0 {
		list = append(list, gguf.KeyValue{Key: "tokenizer.ggml.eos_token_id", Value: uint32(c.EOS[0])})
	}
	return list
}
