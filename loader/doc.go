// Package loader opens OpenELM checkpoints.
//
//	m, err := loader.Open(ctx, "apple/OpenELM-270M-Instruct", nil)
//	defer m.Close()
//
// # Checkpoints
//
// [Open] takes a directory, a file, a Hugging Face repository id or the address
// of its page. It knows
//
//   - Hugging Face checkpoints: config.json with model.safetensors, or with
//     shards and model.safetensors.index.json, in float32, float16 or bfloat16;
//   - MLX checkpoints, plain or quantised with 4 or 8 bits in groups of 32, 64 or
//     128, of mlx-lm and of corenet's MLX port (weights.safetensors);
//   - GGUF files of architecture openelm with tensors of type F32, F16, BF16,
//     Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K to Q6_K, IQ4_NL and IQ4_XS;
//   - PyTorch files of CoreNet, Apple's training library: weights, training
//     checkpoints, and models saved with their LoRA or DoRA adapter. Package
//     [github.com/go-openelm/go-openelm/loader/pytorch] says what is read of
//     them; nothing in them is run.
//
// [OpenFS] opens a checkpoint that is embedded in the program, [OpenAdapter] a
// LoRA or DoRA adapter, and [Inspect] tells what a checkpoint holds.
//
// # Memory
//
// Weights are not read. Their files are mapped, wrapped in one buffer of the
// device each, and used as they are; the system brings in pages as the model
// first needs them and drops them when memory is short. Only two things are
// copied: the norms' weights, a few kilobytes a layer, which become float32; and
// tensors that are not aligned to their elements. Most files are aligned;
// MLX does not pad the headers of its files, and it is chance whether theirs
// are. The copy is logged, and [Inspect] tells of it beforehand.
//
// While a model is open its files must not be written to. A file that is cut
// while it is mapped kills the program when the missing part is touched (SIGBUS).
//
// # Trust
//
// What other readers of a file pass over is passed over here too, with a warning
// to the Logger where it may be worth knowing; what would change the results is
// an error. [Options].Strict refuses both.
//
// Headers, configurations and indexes are read as if an enemy had written them:
// what breaks a format, contradicts another file or asks for something this
// package does not have gives a [*FileError] with file, field and reason. No
// allocation is larger than a small multiple of the files' sizes.
package loader
