package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// jsonReader walks a JSON document. Unlike json.Unmarshal it rejects duplicate
// names and names the place of an error.
type jsonReader struct{ file string }

func (r jsonReader) errorf(path, format string, args ...any) error {
	return fieldError(r.file, path, format, args...)
}

// valid makes sure that data is one JSON value in UTF-8.
func (r jsonReader) valid(data []byte) error {
	if !utf8.Valid(data) {
		return r.errorf("", "is not UTF-8")
	}
	var all json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		e := fieldError(r.file, "", "is not JSON: %v", err)
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			e.Offset = syntax.Offset
		}
		return e
	}
	return nil
}

// isNull reports whether a member is absent or null.
func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// optional decodes a value into v, which keeps its content if raw is absent or null.
func (r jsonReader) optional(path string, raw json.RawMessage, v any) error {
	if isNull(raw) {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return r.errorf(path, "is %s: %v", clip(string(raw)), err)
	}
	return nil
}

// open begins the object or array that raw must be.
func (r jsonReader) open(path string, raw json.RawMessage, delim json.Delim) (*json.Decoder, error) {
	what := map[json.Delim]string{'{': "an object", '[': "an array"}[delim]
	if isNull(raw) {
		return nil, r.errorf(path, "is missing, expected %s", what)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if tok, err := dec.Token(); err != nil || tok != delim {
		return nil, r.errorf(path, "is %s, expected %s", clip(string(raw)), what)
	}
	return dec, nil
}

// object calls member for each member of an object.
func (r jsonReader) object(path string, raw json.RawMessage, member func(name string, raw json.RawMessage) error) error {
	dec, err := r.open(path, raw, '{')
	if err != nil {
		return err
	}
	seen := make(map[string]bool)
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return r.errorf(path, "%v", err)
		}
		name := tok.(string) // an object's names are strings, or Token fails
		if seen[name] {
			return r.errorf(path, "has %s twice", quote(name))
		}
		seen[name] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return r.errorf(path, "%v", err)
		}
		if err := member(name, value); err != nil {
			return err
		}
	}
	return nil
}

// array calls element for each element of an array.
func (r jsonReader) array(path string, raw json.RawMessage, element func(i int, raw json.RawMessage) error) error {
	dec, err := r.open(path, raw, '[')
	if err != nil {
		return err
	}
	for i := 0; dec.More(); i++ {
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return r.errorf(path, "%v", err)
		}
		if err := element(i, value); err != nil {
			return err
		}
	}
	return nil
}

// members returns an object as a map.
func (r jsonReader) members(path string, raw json.RawMessage) (map[string]json.RawMessage, error) {
	m := make(map[string]json.RawMessage)
	err := r.object(path, raw, func(name string, raw json.RawMessage) error {
		m[name] = raw
		return nil
	})
	return m, err
}
