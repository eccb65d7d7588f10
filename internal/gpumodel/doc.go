// Package gpumodel estimates how long a token takes on an Apple GPU from counts of its dispatches: a model, not a
// measurement. No Mac was at hand; what stands in for one are published speeds of llama.cpp and MLX.
//
// A token is a list of stages, the dispatches between two barriers, which run side by side. Their threadgroups, bytes and
// issue slots add up, and a stage takes
//
//	t = t0·(1.3 GHz/clock)^g [·u on two dies] + t1·(dispatches − 1) + prologue + (t_bw^p + t_alu^p + t_lat^p)^(1/p)
//	t_bw  = bytes / (η·bandwidth)
//	t_alu = slots / (cores·128·clock·utilisation)
//	t_lat = bytes / (cores·min(b·clock, SIMD-groups a core·32·bytes in flight a lane/latency))
//
// in which cores are those that have a threadgroup. Eleven of the numbers are fitted to 33 published figures: 27 of a 7B
// model on eleven chips, and six of small models, newer builds and MLX. A test recomputes the errors from the table in
// testdata (median 2.2%, worst 8.3%) and fails when they grow. Figures that were held out are met with 4.3% in the median:
// 7B models on other chips 1.9%, small models, newer builds and MLX 9.3%, at worst 20.5%. The table has three of the
// held-out ones, among them the worst; the others stay out of it, so that nobody fits to them.
//
// Tokens come from two sides: [FromSimulator] takes what the Metal simulator counted of this project's kernels, and
// [Engine.Token] describes what llama.cpp or MLX launches for a model's shape.
//
// # What it can tell
//
// Bytes, the number of stages, the host's share, and issue slots of 4-bit formats: the first two carry nearly all of what
// it explains. Threadgroups only while there are few for the cores. All kernels in the published figures launch hundreds;
// they bound what one core can pull from below, not from above. So nothing is given without a [Range] over what they leave
// open and over what is estimated of this project's kernels, and [Range.Verdict] calls nothing faster whose range touches 1
// or that is within the model's worst error of it. It cannot tell prompts from anything, nor 8 outputs a threadgroup from
// 16, nor effects below a tenth.
//
// Not modelled: the system-level cache, clocks that drop when the host leaves gaps, heat.
package gpumodel
