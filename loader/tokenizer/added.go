package tokenizer

// addedToken is a token found in the text by its spelling, before BPE.
type addedToken struct {
	id         int32
	content    string
	special    bool // found only when control tokens are parsed
	normalized bool // found in the normalized text rather than in the raw text

	singleWord     bool // not found beside a letter or digit
	lstrip, rstrip bool // takes the white space before it, behind it
}

// jsonAdded is an entry of added_tokens, and of tokenizer_config.json's added_tokens_decoder.
type jsonAdded struct {
	ID         *int32 `json:"id"` // in tokenizer.json only
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// add adds a token: one of the vocabulary, or a new one with the next id. file
// and path say where it is declared.
func (s *source) add(file, path string, id int32, a jsonAdded) error {
	switch {
	case a.Content == "":
		return fieldError(file, path, "has no content")
	case id < 0 || int(id) > len(s.pieces):
		return fieldError(file, path, "%s has id %d; expected one of the vocabulary or the next, %d", quote(a.Content), id, len(s.pieces))
	case int(id) == len(s.pieces):
		s.pieces = append(s.pieces, a.Content)
		s.types = append(s.types, UserDefined)
		if s.scores != nil {
			s.scores = append(s.scores, 0)
		}
	case s.pieces[id] != a.Content:
		return fieldError(file, path, "%s has id %d, which is that of %s", quote(a.Content), id, quote(s.pieces[id]))
	}
	if a.Special && s.types[id] != Unknown {
		s.types[id] = Control
	}
	s.declare(addedToken{
		id: id, content: a.Content, special: a.Special, normalized: a.Normalized,
		singleWord: a.SingleWord, lstrip: a.LStrip, rstrip: a.RStrip,
	})
	return nil
}

// declare makes a piece an added token; what is declared last for an id holds.
func (s *source) declare(a addedToken) {
	if i, ok := s.addedAt[a.id]; ok {
		s.added[i] = a
		return
	}
	s.addedAt[a.id] = len(s.added)
	s.added = append(s.added, a)
}
