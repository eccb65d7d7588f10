// Package convert writes a model that package loader opened, from whatever kind
// of file, as a checkpoint of another format: safetensors for transformers, MLX's
// for mlx-lm, GGUF for llama.cpp.
//
//	model, err := loader.Open(ctx, "apple/OpenELM-270M", nil)
//	format, err := convert.ParseFormat("gguf-q4_k_m")
//	err = convert.Write(ctx, "OpenELM-270M-Q4_K_M.gguf", model, &convert.Options{Format: format})
//
// The model's adapter, if it was opened with one, becomes part of the weights.
// The tokenizer travels with them, and so does the configuration, with the names
// that the readers of each format look for.
//
// # What is exact
//
// A matrix that is stored as the new format wants it is copied as it is. A wider
// float is exact; everything else is rounded once, from the float32 value, as
// package [github.com/go-openelm/go-openelm/loader/quantize] does it.
//
// # Memory
//
// Rows are read where the model has them, which is in the mapped file, and are
// written as they are ready. What is held besides is one tensor's scales.
//
// # What is left behind
//
// A file or folder appears complete, under its name, or not at all. One that is
// there already stays, unless [Options].Force is set; the files of the model
// itself always stay.
package convert
