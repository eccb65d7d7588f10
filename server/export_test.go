package server

import (
	"maps"
	"slices"
)

// ParameterNames are the names of all parameters of texts and chats.
func ParameterNames() []string {
	names := map[string]bool{}
	_, common := newParams()
	for _, f := range []fields{common, (&completionParams{}).fields(fields{}), (&chatParams{}).fields(fields{})} {
		for name := range f {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
