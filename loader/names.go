package loader

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/go-openelm/go-openelm/openelm"
)

// naming is how a kind of checkpoint calls the tensors, without the ending
// ".weight" (".scales", ".biases" of quantised ones).
type naming struct {
	kind                  string // whose names these are
	types                 string // that this package reads in such files
	embedding, norm, head string

	layer string // format of a layer's prefix
	attnNorm, qkv, qNorm, kNorm, out,
	ffnNorm, down string

	// Checkpoints have the gate and the up projection either in one matrix,
	// gate first, or in two.
	gateUp   string
	gate, up string
}

const floatTypes = "F32, F16 and BF16, and MLX's 4 and 8 bits"

// huggingFace is what transformers and mlx-lm write.
var huggingFace = naming{
	kind: "Hugging Face", types: floatTypes,
	embedding: "transformer.token_embeddings", norm: "transformer.norm", head: "lm_head",
	layer:    "transformer.layers.%d.",
	attnNorm: "attn_norm", qkv: "attn.qkv_proj", qNorm: "attn.q_norm", kNorm: "attn.k_norm", out: "attn.out_proj",
	ffnNorm: "ffn_norm", gateUp: "ffn.proj_1", down: "ffn.proj_2",
}

// coreNet is what Apple's corenet and its MLX port write.
var coreNet = naming{
	kind: "CoreNet", types: floatTypes,
	embedding: "token_embeddings", norm: "norm", head: "classifier",
	layer:    "layers.%d.",
	attnNorm: "attn_norm", qkv: "attn.qkv_proj", qNorm: "attn.q_norm", kNorm: "attn.k_norm", out: "attn.out_proj",
	ffnNorm: "ffn_norm", gateUp: "ffn.proj_1", down: "ffn.proj_2",
}

// ggml is what llama.cpp's converter writes.
var ggml = naming{
	kind: "GGUF", types: "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K to Q6_K, IQ4_NL and IQ4_XS",
	embedding: "token_embd", norm: "output_norm", head: "output",
	layer:    "blk.%d.",
	attnNorm: "attn_norm", qkv: "attn_qkv", qNorm: "attn_q_norm", kNorm: "attn_k_norm", out: "attn_output",
	ffnNorm: "ffn_norm", gate: "ffn_gate", up: "ffn_up", down: "ffn_down",
}

// path is what the checkpoint calls a tensor of a model with gated feed-forward
// networks, or without. The gate and the up projection have the same where they
// are one matrix.
func (n *naming) path(t *openelm.Tensor, glu bool) string {
	switch t.Role {
	case openelm.RoleEmbedding:
		return n.embedding
	case openelm.RoleNorm:
		return n.norm
	case openelm.RoleHead:
		return n.head
	}
	return n.inLayer(t.Layer)(n.ofLayer(t.Role, glu))
}

// ofLayer is path without the layer's prefix.
func (n *naming) ofLayer(role openelm.Role, glu bool) string {
	switch role {
	case openelm.RoleAttnNorm:
		return n.attnNorm
	case openelm.RoleQKV:
		return n.qkv
	case openelm.RoleQNorm:
		return n.qNorm
	case openelm.RoleKNorm:
		return n.kNorm
	case openelm.RoleOut:
		return n.out
	case openelm.RoleFFNNorm:
		return n.ffnNorm
	case openelm.RoleDown:
		return n.down
	case openelm.RoleGate:
		if glu {
			return cmp.Or(n.gateUp, n.gate)
		}
		return cmp.Or(n.gateUp, n.up) // the one projection is called up
	default:
		return cmp.Or(n.gateUp, n.up)
	}
}

// inside reports whether a tensor of this name belongs to something that the
// model computes.
func (n *naming) inside(name string) bool {
	layers, _, _ := strings.Cut(n.layer, "%d")
	for _, prefix := range []string{layers, n.embedding + ".", n.norm + ".", n.head + ".", "rope_"} { // GGUF's rope_freqs scales RoPE
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func (n *naming) inLayer(i int) func(string) string {
	prefix := fmt.Sprintf(n.layer, i)
	return func(name string) string { return prefix + name }
}
