package safetensors

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/go-openelm/go-openelm/internal/strictjson"
)

// Index is a model.safetensors.index.json: which file, beside the index, holds
// which tensor of a checkpoint in several files.
type Index struct {
	Files map[string]string // tensor name to file name
}

// Shards is the files of the index, each once, sorted.
func (x *Index) Shards() []string {
	var list []string
	for _, f := range x.Files {
		list = append(list, f)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// ParseIndex reads an index. It refuses file names that are not plain names of
// safetensors files, so that no index leads out of its directory. Errors are
// [*FormatError].
func ParseIndex(text []byte) (*Index, error) {
	members, err := strictjson.Members(text)
	if err != nil {
		return nil, &FormatError{Reason: "index", Err: err}
	}
	x := &Index{Files: map[string]string{}}
	err = strictjson.Object(members["weight_map"], func(tensor string, value json.RawMessage) error {
		file, ok := strictjson.String(value)
		if !ok {
			return &FormatError{Field: tensor, Reason: "file name in weight_map is not a string"}
		}
		if !plainName(file) {
			return &FormatError{Field: tensor, Reason: fmt.Sprintf("%.200q is not the plain name of a .safetensors file", file)}
		}
		x.Files[tensor] = file
		return nil
	})
	if err != nil {
		return nil, formatError(err, "weight_map", "not a map of file names")
	}
	return x, nil
}

// plainName holds on every system, whatever its separators: a colon is a
// drive or a stream on Windows.
func plainName(s string) bool {
	return strings.HasSuffix(s, ".safetensors") && !strings.HasPrefix(s, ".") && !strings.ContainsAny(s, "/\\:\x00")
}
