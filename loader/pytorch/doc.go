// Package pytorch reads the tensor directory of files that torch.save wrote,
// without running what is in them.
//
// Such a file is a zip archive of uncompressed entries: a pickle (data.pkl)
// that says what the tensors are called and how they lie, and one entry of raw
// numbers (data/0, data/1, …) for each storage. The layout is described by
// torch/csrc/jit/serialization (caffe2/serialize/inline_container.h), the
// pickle by torch/serialization.py and Python's pickletools.
//
// A pickle is a program, and one that Python runs can do anything. This package
// interprets the few instructions that building dictionaries, lists, numbers
// and tensors takes, and knows the names of the few classes that appear in
// them; everything else is refused by name. Nothing is ever called.
//
// Only the directory is read. Tensors are given as places in the file, so that
// weights can be mapped. What is read is bounded by the file's own size and by
// fixed limits before anything is allocated; compressed entries, which
// torch.save never writes, are refused, and with them zip bombs.
package pytorch
