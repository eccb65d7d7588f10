package loader

import (
	"bytes"
	"context"
	"io"

	"github.com/go-openelm/go-openelm/openelm"
)

// ParseAdapterConfig is for the fuzz target: it returns what would be done with
// the update of a matrix.
func ParseAdapterConfig(text []byte, path string) (rank int, scale float64, err error) {
	c, err := parseAdapterConfig(adapterConfigFile, text)
	if err != nil {
		return 0, 0, err
	}
	rank, scale = c.rankAndScale(path)
	return rank, scale, nil
}

// CheckGGUF is for the fuzz target: it does with a GGUF file in memory what Open
// does before it maps it, and returns the configuration and the number of
// weights that the tensors hold.
func CheckGGUF(data []byte) (c *openelm.Config, weights int64, err error) {
	ck, err := (ggufFiles{}).read(context.Background(), nil, &file{name: "model.gguf", size: int64(len(data)), ReaderAt: bytes.NewReader(data), closer: io.NopCloser(nil)})
	if err != nil {
		return nil, 0, err
	}
	if ck.problem != nil {
		return nil, 0, ck.problem
	}
	var w openelm.Weights
	roles, err := ck.roles(&w, false)
	if err != nil {
		return nil, 0, err
	}
	for _, r := range roles {
		weights += int64(r.rows) * int64(max(r.cols, 1))
		for _, t := range r.tensors() {
			if t.off+t.size > int64(len(data)) {
				return nil, 0, io.ErrUnexpectedEOF
			}
		}
	}
	if _, _, err = ck.tokenizer.load(context.Background(), &Options{}); err != nil {
		return nil, 0, err
	}
	return &ck.Config, weights, nil
}

// Windows is what a file of tensors at these offsets and of these sizes is
// divided into: begin and end of each, and the tensors in it.
func Windows(off, size []int64, page, limit int64) (begin, end []int64, in [][]int) {
	var list []*tensor
	index := map[*tensor]int{}
	for i := range off {
		list = append(list, &tensor{off: off[i], size: size[i]})
		index[list[i]] = i
	}
	for _, w := range windows(list, page, limit) {
		begin, end = append(begin, w.start), append(end, w.end)
		var of []int
		for _, t := range w.tensors {
			of = append(of, index[t])
		}
		in = append(in, of)
	}
	return begin, end, in
}

// CheckByteOrder is what Open does for the machine it runs on.
var CheckByteOrder = checkByteOrder
