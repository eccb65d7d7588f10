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
// The forward pass, in forward.go, is written once on the operations of package
// kernels, whatever the device. This package knows no file format and no device.
package openelm
