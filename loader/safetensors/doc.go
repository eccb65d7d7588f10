// Package safetensors reads the headers of safetensors files and writes small
// ones.
//
// A file is eight bytes of header length (little-endian), a header in JSON that
// gives each tensor's type, shape and place, and the data. The format is
// described at https://github.com/huggingface/safetensors#format. The reader
// refuses whatever that text and its reference implementation refuse: overlaps,
// holes, names that occur twice, sizes that do not fit their shapes. It reads
// the header alone and allocates no more than a small multiple of its length.
package safetensors
