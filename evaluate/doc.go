// Package evaluate measures how well a model predicts a text, and how far the
// predictions of two models are apart: what a format, an adapter or a conversion
// costs.
//
// # Perplexity
//
// A text that is longer than the model's context is read in windows that overlap
// by half. Each token is predicted once: in the first window all but the first
// are, in the others those of the second half, with at least half a context
// before them. Every window begins with the token that begins a text, if the text
// does.
//
// Perplexity is exp of the mean negative log-probability; its standard error is
// that of the mean, times the perplexity. Neighbouring tokens are not independent,
// so that it is a little too small. Where two models read the same text, the error
// of their difference is much smaller than those of either: it is the one to go by.
//
// # Divergence
//
// The Kullback-Leibler divergence of the model from the other one is, at each
// place, Σ p·(log p − log q) in nats, where p is what the other one predicts.
package evaluate
