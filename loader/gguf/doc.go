// Package gguf reads the metadata and tensor directory of GGUF files, versions
// 2 and 3, and writes such files.
//
// A file is a header, metadata (typed key-value pairs), a directory of tensors
// and, at an aligned offset, their data. The format is described at
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The reader bounds
// every length by the bytes that are left in the file before it allocates
// anything, and reads no tensor data.
package gguf
