// Package checkpoint makes checkpoints with random weights: of any
// configuration, in every format the loader reads. Tests and benchmarks use it
// where the values of the weights do not matter but their number, layout and
// scale do.
//
// Weights are drawn as Apple's training code initialises them, so that
// activations and logits have the size they have in a model at the start of its
// training. Norm weights are near one, and not one, so that a norm whose weight
// is forgotten shows. The same [Spec] gives the same bytes on every machine.
package checkpoint
