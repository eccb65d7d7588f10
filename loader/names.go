package loader

import "fmt"

// naming is how a kind of checkpoint calls the tensors, without the ending
// ".weight" (".scales", ".biases" of quantised ones).
type naming struct {
	kind                  string // whose names these are
	embedding, norm, head string

	layer string // format of a layer's prefix
	attnNorm, qkv, qNorm, kNorm, out,
	ffnNorm, down string

	// Checkpoints have the gate and the up projection either in one matrix,
	// gate first, or in two.
	gateUp   string
	gate, up string
}

// huggingFace is what transformers and mlx-lm write.
var huggingFace = naming{
	kind:      "Hugging Face",
	embedding: "transformer.token_embeddings", norm: "transformer.norm", head: "lm_head",
	layer:    "transformer.layers.%d.",
	attnNorm: "attn_norm", qkv: "attn.qkv_proj", qNorm: "attn.q_norm", kNorm: "attn.k_norm", out: "attn.out_proj",
	ffnNorm: "ffn_norm", gateUp: "ffn.proj_1", down: "ffn.proj_2",
}

// coreNet is what Apple's corenet and its MLX port write.
var coreNet = naming{
	kind:      "CoreNet",
	embedding: "token_embeddings", norm: "norm", head: "classifier",
	layer:    "layers.%d.",
	attnNorm: "attn_norm", qkv: "attn.qkv_proj", qNorm: "attn.q_norm", kNorm: "attn.k_norm", out: "attn.out_proj",
	ffnNorm: "ffn_norm", gateUp: "ffn.proj_1", down: "ffn.proj_2",
}

// ggml is what llama.cpp's converter writes.
var ggml = naming{
	kind:      "GGUF",
	embedding: "token_embd", norm: "output_norm", head: "output",
	layer:    "blk.%d.",
	attnNorm: "attn_norm", qkv: "attn_qkv", qNorm: "attn_q_norm", kNorm: "attn_k_norm", out: "attn_output",
	ffnNorm: "ffn_norm", gate: "ffn_gate", up: "ffn_up", down: "ffn_down",
}

func (n *naming) inLayer(i int) func(string) string {
	prefix := fmt.Sprintf(n.layer, i)
	return func(name string) string { return prefix + name }
}
