// Package kernels is the contract between OpenELM's forward pass and the
// devices that run it.
//
// A [Backend] owns memory and starts passes; a pass is an [Ops], which records
// the six operations OpenELM is made of, in order, and runs them:
//
//	Embed       x = E[token]
//	NormQKV     qkv = W_qkv·rmsnorm(x)
//	Attend      q/k-norm, RoPE, append to the KV cache, causal attention
//	ProjAdd     x += W·a
//	NormSwiGLU  h = silu(W_g·n) ⊙ (W_u·n), n = rmsnorm(x)
//	NormLogits  logits = W·rmsnorm(x)
//
// No norm, residual or rotary embedding is an operation of its own: OpenELM has
// four RMSNorms a layer, and run one by one they are what makes it slow.
//
// # Numerics
//
// Activations are float32, row-major and dense; so is the KV cache, or float16
// where a [Span] says so. Weights stay in the [Format] they were stored in and
// are widened to float32 exactly; sums are float32 or better, in an order that
// depends on nothing but the class of the operation ([ExactRows]). RMSNorm is
//
//	rmsnorm(x)_i = x_i · w_i / sqrt(mean_j(x_j²) + eps)
//
// and RoPE pairs element i with i + head_dim/2 ("rotate half").
//
// # Implementations
//
// Package kernels/cpu runs on any machine; package kernels/gpu runs on Apple
// GPUs through Metal. Both see the same bytes: a [Buffer] always has a CPU view.
package kernels
