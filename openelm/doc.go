// Package openelm runs Apple's OpenELM language models (Mehta et al. 2024,
// arXiv:2404.14619).
//
// A [Model] is the weights on a device; package loader opens one from a
// checkpoint. A [Session] is one text in progress: the tokens so far and their
// KV cache. Several sessions, on several goroutines, share a model.
//
//	model, err := loader.Open(ctx, "apple/OpenELM-270M-Instruct", nil)
//	...
//	defer model.Close()
//	for token, err := range model.Generate(ctx, "Once upon a time", nil) {
//		if err != nil {
//			return err
//		}
//		fmt.Print(token.Text)
//	}
//
// # From a prediction to a token
//
// What lies between the two (penalties, bias, constraint, sampling, end of text,
// stop strings, text, log-probabilities, limits) is one type, generation, which
// advances one text by one token. Model.Generate, Session.Generate and the
// sessions of a [Batch] differ only in who evaluates: a session alone, or with
// others in shared passes over the weights. A server makes a Batch and gives it
// to its sessions.
//
// # Exactness
//
// What a session predicts is the same in every bit alone, in [Step], in a Batch
// and with [GenerateOptions.Lookup], for every number of threads. So a seed gives
// the same text whoever else is served, and a cached or saved session
// ([Session.Rebase], [Session.Snapshot]) the one that evaluating it again would
// give. The backends promise it ([kernels.ExactRows]); pass.go cuts passes so
// that it holds.
//
// # Inside
//
// The forward pass, in forward.go, is written once on the operations of package
// kernels, whatever the device. This package knows no file format and no device.
package openelm
