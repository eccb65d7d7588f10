// Package randommodel names checkpoints with random weights, in the shapes of Apple's
// models and of OLMo, makes them and keeps them: what benchmarks measure where no
// real weights are at hand.
package randommodel
