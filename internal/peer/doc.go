// Package peer runs other engines in benchmarks: llama.cpp and PyTorch. They implement
// [bench.Peer].
package peer
