package checkpoint

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-openelm/go-openelm/internal/filewrite"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader/safetensors"
)

// configJSON is the configuration, with the width of every layer spelled out.
func (s *Spec) configJSON() ([]byte, error) {
	c := &s.Config
	var heads, kv []int
	var ffn []float64
	divisor := 0
	for _, l := range c.Layers {
		heads, kv = append(heads, l.QueryHeads), append(kv, l.KVHeads)
		ffn = append(ffn, float64(l.FFNDim)/float64(c.ModelDim))
		divisor = gcd(l.FFNDim, divisor)
	}
	m := map[string]any{
		"model_type": "openelm", "architectures": []string{"OpenELMForCausalLM"},
		"vocab_size": c.VocabSize, "model_dim": c.ModelDim, "head_dim": c.HeadDim,
		"num_transformer_layers": len(c.Layers), "num_query_heads": heads, "num_kv_heads": kv,
		"ffn_multipliers": ffn, "ffn_dim_divisor": divisor, "ffn_with_glu": c.GLU,
		"normalize_qk_projections": c.QKNorm, "share_input_output_layers": c.TiedHead, "tie_word_embeddings": c.TiedHead,
		"rope_freq_constant": c.RopeBase, "max_context_length": c.MaxContext, "rms_norm_eps": c.NormEps,
		"activation_fn_name": "swish", "normalization_layer_name": "rms_norm",
		"bos_token_id": c.BOS, "eos_token_id": c.EOS,
	}
	if s.Format.Affine() {
		m["quantization"] = map[string]any{"bits": s.bits(), "group_size": s.Group, "mode": "affine"}
	}
	return json.MarshalIndent(m, "", "  ")
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func (s *Spec) bits() int {
	if s.Format == kernels.Affine8 {
		return 8
	}
	return 4
}

var dtypes = map[kernels.Format]safetensors.DType{
	kernels.F32: safetensors.F32, kernels.F16: safetensors.F16, kernels.BF16: safetensors.BF16,
}

// writeShards writes the tensors, in order, to s.Shards files of about the same
// size, and an index if that is more than one.
func (s *Spec) writeShards(ctx context.Context, dir string) error {
	if !s.Format.Float() && !s.Format.Affine() {
		return fmt.Errorf("checkpoint: safetensors files have no format %s", s.Format)
	}
	list := s.tensors(false)
	total := 0
	for _, t := range list {
		total += t.rows * t.cols
	}
	shards := make([][]safetensors.Source, s.Shards)
	done := 0
	for _, t := range list {
		i := done * s.Shards / total
		shards[i] = append(shards[i], s.sources(&t)...)
		done += t.rows * t.cols
	}
	files := map[string]string{}
	for i, sources := range shards {
		name := "model.safetensors"
		if s.Shards > 1 {
			name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, s.Shards)
		}
		for _, src := range sources {
			files[src.Name] = name
		}
		err := filewrite.Atomic(ctx, filepath.Join(dir, name), func(w io.Writer) error {
			return safetensors.Write(w, map[string]string{"format": "pt"}, sources)
		})
		if err != nil {
			return err
		}
	}
	if s.Shards == 1 {
		return nil
	}
	index, err := json.MarshalIndent(map[string]any{"metadata": map[string]any{}, "weight_map": files}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), index, 0o666)
}

// sources is the tensors that t is stored as.
func (s *Spec) sources(t *tensor) []safetensors.Source {
	if s.Format.Affine() && !t.vector() {
		return s.affineSources(t)
	}
	format, shape := s.Format, []int{t.rows, t.cols}
	if t.vector() {
		format, shape = s.normFormat(), shape[:1]
	}
	return []safetensors.Source{{
		Name: t.hf, DType: dtypes[format], Shape: shape,
		Data: func(w io.Writer) error { return s.write(w, t, format) },
	}}
}

// affineSources quantises t once, when its weights are written, and keeps the
// scales and biases for the two tensors behind.
func (s *Spec) affineSources(t *tensor) []safetensors.Source {
	bits, groups := s.bits(), t.cols/s.Group
	scaleBytes := groups * s.ScaleFormat.BlockBytes()
	var scales, biases []byte
	path := strings.TrimSuffix(t.hf, ".weight")
	weights := func(w io.Writer) error {
		// Each row is made as its packed weights, then its scales and biases; the
		// splitter takes them apart again.
		qBytes := RowBytes(s.Format, t.cols)
		split := &splitter{w: w, sizes: [3]int{qBytes, scaleBytes, scaleBytes}}
		err := s.stream(t).write(split, t.first, t.rows, t.cols, qBytes+2*scaleBytes, func(dst []byte, row []float32) {
			EncodeAffine(dst[:qBytes], dst[qBytes:qBytes+scaleBytes], dst[qBytes+scaleBytes:], row, bits, s.Group, s.ScaleFormat)
		})
		scales, biases = split.kept[0], split.kept[1]
		return err
	}
	return []safetensors.Source{
		{Name: t.hf, DType: safetensors.U32, Shape: []int{t.rows, t.cols * bits / 32}, Data: weights},
		{Name: path + ".scales", DType: dtypes[s.ScaleFormat], Shape: []int{t.rows, groups}, Data: func(w io.Writer) error {
			_, err := w.Write(scales)
			scales = nil
			return err
		}},
		{Name: path + ".biases", DType: dtypes[s.ScaleFormat], Shape: []int{t.rows, groups}, Data: func(w io.Writer) error {
			_, err := w.Write(biases)
			biases = nil
			return err
		}},
	}
}

// splitter takes whole records of three parts, passes the first of each on and
// keeps the others.
type splitter struct {
	w     io.Writer
	sizes [3]int
	kept  [2][]byte
}

func (s *splitter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if _, err := s.w.Write(p[:s.sizes[0]]); err != nil {
			return 0, err
		}
		p = p[s.sizes[0]:]
		for i := range s.kept {
			s.kept[i] = append(s.kept[i], p[:s.sizes[i+1]]...)
			p = p[s.sizes[i+1]:]
		}
	}
	return n, nil
}
