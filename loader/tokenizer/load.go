package tokenizer

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Load makes the tokenizer of a checkpoint directory of fsys.
//
// It reads tokenizer.json if there is one and tokenizer.model otherwise. The
// former comes first because it is what transformers and mlx-lm read, and because
// a fine-tuned checkpoint may name its own tokens only there. In addition it
// takes from tokenizer_config.json and special_tokens_map.json, where present:
// bos_token, eos_token, pad_token and additional_special_tokens; add_bos_token
// and add_eos_token (see Tokenizer.AddsBOS); added_tokens_decoder; and for
// tokenizer.model legacy and add_prefix_space, which tokenizer.json settles
// itself. added_tokens.json adds what none of these has.
//
// Where the directory has neither file the error wraps fs.ErrNotExist. A file
// that is there but cannot be used gives a *FormatError; the other is not tried.
// clean_up_tokenization_spaces is not applied: Decode is exact.
func Load(fsys fs.FS, dir string) (*Tokenizer, error) {
	l := loader{fsys, dir}
	s, isModel, err := l.vocabulary()
	if err != nil {
		return nil, err
	}
	var c config
	if err := l.read("tokenizer_config.json", &c); err != nil {
		return nil, err
	}
	var m specialTokens
	if err := l.read("special_tokens_map.json", &m); err != nil {
		return nil, err
	}
	if isModel {
		c.applyToModel(s)
	}
	if err := c.addTokens(s, l.path("tokenizer_config.json")); err != nil {
		return nil, err
	}
	if err := l.addedTokens(s, append(m.names(), c.names()...)); err != nil {
		return nil, err
	}
	if err := m.apply(s, l.path("special_tokens_map.json")); err != nil {
		return nil, err
	}
	if err := c.apply(s, l.path("tokenizer_config.json")); err != nil { // last: it has the final say
		return nil, err
	}
	if (c.Class == "PreTrainedTokenizerFast" || c.Class == "TokenizersBackend") && !s.framed {
		s.addBOS = false // these classes add what tokenizer.json says, and nothing else
	}
	if c.AddBOS != nil {
		s.addBOS = *c.AddBOS
	}
	if c.AddEOS != nil {
		s.addEOS = *c.AddEOS
	}
	return s.build()
}

// loader reads the files of one directory.
type loader struct {
	fsys fs.FS
	dir  string
}

func (l loader) path(name string) string { return path.Join(l.dir, name) }

func (l loader) vocabulary() (s *source, isModel bool, err error) {
	data, err := fs.ReadFile(l.fsys, l.path("tokenizer.json"))
	if err == nil {
		s, err = parseJSON(l.path("tokenizer.json"), data)
		return s, false, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("tokenizer: %w", err)
	}
	data, err = fs.ReadFile(l.fsys, l.path("tokenizer.model"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("tokenizer: neither tokenizer.json nor tokenizer.model in %q: %w", l.dir, fs.ErrNotExist)
	}
	if err != nil {
		return nil, false, fmt.Errorf("tokenizer: %w", err)
	}
	s, err = parseModel(l.path("tokenizer.model"), data)
	return s, true, err
}

// read decodes a JSON file into v, which stays as it is if there is no such file.
func (l loader) read(name string, v any) error {
	data, err := fs.ReadFile(l.fsys, l.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	r := jsonReader{l.path(name)}
	raw, err := r.valid(data)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return r.errorf(strings.TrimPrefix(wrong.Field, "specialTokens."), "is a JSON %s, expected a value of another type", wrong.Value)
		}
		return r.errorf("", "%v", err)
	}
	return nil
}

// addedTokens adds the tokens of added_tokens.json, as old versions of
// transformers wrote it, that no other file has. They are found wherever the
// text has them; those that are named as special ones are control tokens.
func (l loader) addedTokens(s *source, special []tokenName) error {
	var added map[string]int32
	if err := l.read("added_tokens.json", &added); err != nil {
		return err
	}
	for _, content := range slices.SortedFunc(maps.Keys(added), func(a, b string) int { return cmp.Or(cmp.Compare(added[a], added[b]), cmp.Compare(a, b)) }) {
		id := added[content]
		if id >= 0 && int(id) < len(s.pieces) && s.pieces[id] == content {
			continue
		}
		a := jsonAdded{Content: content, Special: slices.Contains(special, tokenName(content))}
		if err := s.add(l.path("added_tokens.json"), quote(content), id, a); err != nil {
			return err
		}
	}
	return nil
}

// config is what matters of tokenizer_config.json.
type config struct {
	specialTokens
	AddBOS         *bool                `json:"add_bos_token"`
	AddEOS         *bool                `json:"add_eos_token"`
	Class          string               `json:"tokenizer_class"`
	AddPrefixSpace *bool                `json:"add_prefix_space"`
	Legacy         *bool                `json:"legacy"`
	Added          map[string]jsonAdded `json:"added_tokens_decoder"` // by id
}

// applyToModel applies what transformers' LlamaTokenizer does around SentencePiece.
func (c *config) applyToModel(s *source) {
	if c.AddPrefixSpace != nil && !*c.AddPrefixSpace {
		s.prefix, s.stripPrefix = prefixNever, false
	}
	// Since https://github.com/huggingface/transformers/pull/24565 text after a
	// special token gets no dummy prefix, unless legacy is on.
	if c.Legacy != nil && !*c.Legacy && s.prefix == prefixAlways {
		s.prefix = prefixFirst
	}
}

// addTokens adds the tokens of added_tokens_decoder that the vocabulary file has not declared.
func (c *config) addTokens(s *source, file string) error {
	type entry struct {
		id int32
		jsonAdded
	}
	var entries []entry
	for key, a := range c.Added {
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil {
			return fieldError(file, "added_tokens_decoder", "%s is not an id", quote(key))
		}
		entries = append(entries, entry{int32(id), a})
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.id, b.id) })
	for _, e := range entries {
		if _, declared := s.addedAt[e.id]; declared && s.pieces[e.id] == e.Content {
			continue
		}
		if err := s.add(file, fmt.Sprintf("added_tokens_decoder[%d]", e.id), e.id, e.jsonAdded); err != nil {
			return err
		}
	}
	return nil
}

// specialTokens are the members that tokenizer_config.json and special_tokens_map.json share.
type specialTokens struct {
	BOS tokenName `json:"bos_token"`
	EOS tokenName `json:"eos_token"`
	PAD tokenName `json:"pad_token"`

	More      moreTokens `json:"additional_special_tokens"`
	MoreSince moreTokens `json:"extra_special_tokens"` // since transformers 5
}

// names are the tokens that are named.
func (t *specialTokens) names() []tokenName {
	return slices.Concat([]tokenName{t.BOS, t.EOS, t.PAD}, t.More, t.MoreSince)
}

// moreTokens is a list of tokens, or an object that gives them names.
type moreTokens []tokenName

// UnmarshalJSON implements json.Unmarshaler.
func (m *moreTokens) UnmarshalJSON(data []byte) error {
	if data[0] != '{' {
		return json.Unmarshal(data, (*[]tokenName)(m))
	}
	var named map[string]tokenName
	err := json.Unmarshal(data, &named)
	for _, name := range slices.Sorted(maps.Keys(named)) {
		*m = append(*m, named[name])
	}
	return err
}

// tokenName is a token's spelling, written as a string or as an object with content.
type tokenName string

// UnmarshalJSON implements json.Unmarshaler.
func (n *tokenName) UnmarshalJSON(data []byte) error {
	if data[0] != '{' {
		return json.Unmarshal(data, (*string)(n))
	}
	var object struct{ Content string }
	err := json.Unmarshal(data, &object)
	*n = tokenName(object.Content)
	return err
}

// apply makes the named pieces the special ones; null and absent names change nothing,
// nor does a padding or additional token that only names what the vocabulary lacks.
func (t *specialTokens) apply(s *source, file string) error {
	type named struct {
		field string
		name  tokenName
		id    *int32
	}
	list := []named{{"bos_token", t.BOS, &s.bos}, {"eos_token", t.EOS, &s.eos}, {"pad_token", t.PAD, &s.pad}}
	for _, name := range slices.Concat(t.More, t.MoreSince) {
		list = append(list, named{"additional_special_tokens", name, new(int32)})
	}
	for _, special := range list {
		if special.name == "" {
			continue
		}
		i := slices.Index(s.pieces, string(special.name))
		if i < 0 && special.id != &s.bos && special.id != &s.eos {
			continue // transformers would append it, but the model has no such token
		}
		if i < 0 {
			return fieldError(file, special.field, "%s is not in the vocabulary", quote(string(special.name)))
		}
		*special.id = int32(i)
		if s.types[i] == Normal || s.types[i] == UserDefined || s.types[i] == Unused {
			if err := s.add(file, special.field, int32(i), jsonAdded{Content: s.pieces[i], Special: true}); err != nil {
				return err
			}
		}
	}
	return nil
}
