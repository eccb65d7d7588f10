// Package quantize stores float32 weights in the formats of checkpoints: the
// 16-bit ones, GGUF's Q8_0, Q4_0, Q4_K, Q5_K and Q6_K, and MLX's affine ones.
//
// Q8_0 and Q4_0 are rounded as ggml's reference code and the gguf Python package
// do it, MLX's formats as mlx.core.quantize does: the bytes are the same. The
// K formats leave their encoder a choice of scales. Here it is made by a search
// for the least (weighted) sum of squared errors: of each group's scale and
// minimum, of their 6-bit forms, and of the block's own two scales.
//
// The weights of the sum are an importance matrix's: how much the square of
// an input column contributes, as measured on a text. Without one, all columns
// count the same.
//
// Products are rounded before they are added to (a fused multiplication would
// round differently from machine to machine), so that every machine writes the
// same bytes.
package quantize
