package tokenizer

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// FromJSON makes a tokenizer of the content of a tokenizer.json file, as Hugging
// Face's tokenizers writes it for Llama: a BPE model with byte fallback,
// "▁" for spaces, and nothing that cuts the text into words. It returns a
// *FormatError if data is damaged or asks for anything else. The sections
// "truncation" and "padding" have no effect: they concern batches, and
// transformers overrides them with every call.
func FromJSON(data []byte) (*Tokenizer, error) {
	s, err := parseJSON("tokenizer.json", data)
	if err != nil {
		return nil, err
	}
	return s.build()
}

func parseJSON(file string, data []byte) (*source, error) {
	p := jsonSource{jsonReader: jsonReader{file}, source: newSource(file)}
	raw, err := p.valid(data)
	if err != nil {
		return nil, err
	}
	top, err := p.members("", raw)
	if err != nil {
		return nil, err
	}
	if v := top["version"]; !isNull(v) && string(v) != `"1.0"` {
		return nil, p.unsupported("version", "is %s, expected \"1.0\"", clip(string(v)))
	}
	for _, section := range []struct {
		name string
		read func(json.RawMessage) error
	}{
		{"model", p.readModel},
		{"added_tokens", p.readAdded},
		{"normalizer", p.readNormalizer},
		{"pre_tokenizer", p.readPreTokenizer},
		{"decoder", p.readDecoder},
		{"post_processor", p.readPostProcessor},
	} {
		if err := section.read(top[section.name]); err != nil {
			return nil, err
		}
	}
	return p.finish()
}

// jsonSource reads the sections of a tokenizer.json.
type jsonSource struct {
	jsonReader
	*source
	ids  map[string]int32 // of model.vocab
	bare bool             // there is no normalizer
}

func (p *jsonSource) readModel(raw json.RawMessage) error {
	m, err := p.members("model", raw)
	if err != nil {
		return err
	}
	var kind, prefix, suffix, unk string
	var dropout float64
	var ignoreMerges bool
	p.singleUnk = false
	values := map[string]any{
		"type": &kind, "unk_token": &unk, "byte_fallback": &p.byteFallback, "fuse_unk": &p.singleUnk,
		"continuing_subword_prefix": &prefix, "end_of_word_suffix": &suffix,
		"dropout": &dropout, "ignore_merges": &ignoreMerges,
	}
	for name, value := range m {
		if name == "vocab" || name == "merges" {
			continue
		}
		v, known := values[name]
		if !known {
			return p.unsupported("model."+name, "is not supported")
		}
		if err := p.optional("model."+name, value, v); err != nil {
			return err
		}
	}
	switch {
	case kind != "BPE":
		return p.unsupported("model.type", "is %q; OpenELM's tokenizer is \"BPE\" and no other type is supported", kind)
	case dropout != 0:
		return p.unsupported("model.dropout", "is %g; only 0 is supported", dropout)
	case prefix != "":
		return p.unsupported("model.continuing_subword_prefix", "is %s, which is not supported", quote(prefix))
	case suffix != "":
		return p.unsupported("model.end_of_word_suffix", "is %s, which is not supported", quote(suffix))
	case ignoreMerges:
		return p.unsupported("model.ignore_merges", "is on, which is not supported")
	}
	if err := p.readVocab(m["vocab"]); err != nil {
		return err
	}
	if unk != "" {
		id, ok := p.ids[unk]
		if !ok {
			return p.errorf("model.unk_token", "%s is not in the vocabulary", quote(unk))
		}
		p.unk, p.types[id] = id, Unknown
	}
	return p.readMerges(m["merges"])
}

func (p *jsonSource) readVocab(raw json.RawMessage) error {
	p.ids = make(map[string]int32)
	var names []string // of the entries in file order
	var ids []int32
	err := p.object("model.vocab", raw, func(name string, raw json.RawMessage) error {
		id, err := strconv.ParseInt(string(raw), 10, 32)
		if err != nil {
			return p.errorf(vocabPath(name), "is %s, expected an id", clip(string(raw)))
		}
		if _, twice := p.ids[name]; twice {
			return p.errorf("model.vocab", "has %s twice", quote(name))
		}
		p.ids[name] = int32(id)
		names = append(names, name)
		ids = append(ids, int32(id))
		return nil
	})
	if err != nil {
		return err
	}
	p.pieces = make([]string, len(ids))
	p.types = make([]PieceType, len(ids))
	for i, id := range ids {
		name := names[i]
		if name == "" {
			return p.errorf(vocabPath(name), "an empty piece")
		}
		if id < 0 || int(id) >= len(ids) {
			return p.errorf(vocabPath(name), "id %d is out of range: the %d entries need ids from 0 to %d", id, len(ids), len(ids)-1)
		}
		if p.pieces[id] != "" {
			return p.errorf(vocabPath(name), "has id %d, as has %s", id, quote(p.pieces[id]))
		}
		p.pieces[id], p.types[id] = name, Normal
		if _, ok := byteValue(name); ok && p.byteFallback {
			p.types[id] = Byte
		}
	}
	return nil
}

func vocabPath(name string) string { return "model.vocab[" + quote(name) + "]" }

// readMerges reads the merges, written "a b" or, by newer versions, ["a","b"].
func (p *jsonSource) readMerges(raw json.RawMessage) error {
	p.merges = []merge{}
	var both []byte
	return p.array("model.merges", raw, func(i int, raw json.RawMessage) error {
		left, right, ok := mergeParts(raw)
		if !ok {
			return p.errorf(mergePath(i), "is %s, expected two pieces", clip(string(raw)))
		}
		both = append(append(both[:0], left...), right...)
		var m merge
		for _, part := range []struct {
			name []byte
			id   *int32
		}{{both[:len(left)], &m.left}, {both[len(left):], &m.right}, {both, &m.result}} {
			id, ok := p.ids[string(part.name)]
			if !ok {
				return p.errorf(mergePath(i), "%s is not in the vocabulary", quote(string(part.name)))
			}
			if p.types[id] != Normal {
				return p.unsupported(mergePath(i), "%s is a byte or unknown piece, which cannot be merged", quote(string(part.name)))
			}
			*part.id = id
		}
		p.merges = append(p.merges, m)
		return nil
	})
}

func mergeParts(raw json.RawMessage) (left, right string, ok bool) {
	if raw[0] == '"' {
		left, right, ok = strings.Cut(unquote(raw), " ")
		return left, right, ok && !strings.Contains(right, " ")
	}
	var both []string
	if json.Unmarshal(raw, &both) != nil || len(both) != 2 {
		return "", "", false
	}
	return both[0], both[1], true
}

func mergePath(i int) string { return "model.merges[" + strconv.Itoa(i) + "]" }

func (p *jsonSource) readAdded(raw json.RawMessage) error {
	if isNull(raw) {
		return nil
	}
	return p.array("added_tokens", raw, func(i int, raw json.RawMessage) error {
		path := fmt.Sprintf("added_tokens[%d]", i)
		var a jsonAdded
		if err := json.Unmarshal(raw, &a); err != nil {
			return p.errorf(path, "%v", err)
		}
		if a.ID == nil {
			return p.errorf(path+".id", "is missing")
		}
		return p.add(p.source.file, path, *a.ID, a)
	})
}

// finish settles what needs all sections.
func (p *jsonSource) finish() (*source, error) {
	if !p.cutNormalized {
		z := normalizer{prefix: p.prefix}
		for i := range p.added {
			if a := &p.added[i]; a.normalized {
				a.content = string(z.append(nil, a.content, atStart))
			}
		}
	}
	if p.bos == None {
		p.bos = p.control("<s>")
	}
	if p.eos == None {
		p.eos = p.control("</s>")
	}
	return p.source, nil
}
