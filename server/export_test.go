package server

import (
	"maps"
	"slices"
)

// ParameterNames are the names of all parameters.
func ParameterNames() []string {
	names := map[string]bool{}
	_, common := newParams()
	_, response := newResponseParams()
	o, ollama := newOllama()
	for _, f := range []fields{
		common, (&completionParams{}).fields(fields{}), (&chatParams{}).fields(fields{}), (&embeddingParams{}).fields(), response,
		ollama, o.generateFields(fields{}), o.chatFields(fields{}), o.optionFields(), (&ollamaEmbedRequest{}).fields("input"),
	} {
		for name := range f {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
