package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// jsonReader walks a JSON document in place: unlike json.Unmarshal it can reject
// duplicate names, names the place of an error, and does not copy a large section
// once for every level it lies in.
type jsonReader struct{ file string }

func (r jsonReader) errorf(path, format string, args ...any) error {
	return fieldError(r.file, path, format, args...)
}

func (r jsonReader) unsupported(path, format string, args ...any) error {
	return unsupported(r.file, path, format, args...)
}

// valid makes sure that data is one JSON value in UTF-8 and returns it without
// the blanks around it.
func (r jsonReader) valid(data []byte) (json.RawMessage, error) {
	if !utf8.Valid(data) {
		return nil, r.errorf("", "is not UTF-8")
	}
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		e := fieldError(r.file, "", "is not JSON: %v", err)
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			e.Offset = syntax.Offset
		}
		return nil, e
	}
	return raw, nil
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

// object calls member for each member of an object, duplicates included.
func (r jsonReader) object(path string, raw json.RawMessage, member func(name string, value json.RawMessage) error) error {
	rest, err := r.open(path, raw, '{', "an object")
	if err != nil {
		return err
	}
	for rest[0] != '}' {
		name, after := cutValue(rest)
		value, after := cutValue(skip(after, ':'))
		if err := member(unquote(name), value); err != nil {
			return err
		}
		rest = skip(after, ',')
	}
	return nil
}

// array calls element for each element of an array.
func (r jsonReader) array(path string, raw json.RawMessage, element func(i int, value json.RawMessage) error) error {
	rest, err := r.open(path, raw, '[', "an array")
	if err != nil {
		return err
	}
	for i := 0; rest[0] != ']'; i++ {
		value, after := cutValue(rest)
		if err := element(i, value); err != nil {
			return err
		}
		rest = skip(after, ',')
	}
	return nil
}

// open returns what follows the bracket that raw must begin with.
func (r jsonReader) open(path string, raw json.RawMessage, bracket byte, what string) ([]byte, error) {
	if isNull(raw) {
		return nil, r.errorf(path, "is missing, expected %s", what)
	}
	if raw[0] != bracket {
		return nil, r.errorf(path, "is %s, expected %s", clip(string(raw)), what)
	}
	return skip(raw, bracket), nil
}

// The functions below walk JSON that valid has accepted, so they need no checks.

// skip drops blanks, then c if it is there, then blanks.
func skip(raw []byte, c byte) []byte {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	if len(raw) > 0 && raw[0] == c {
		raw = bytes.TrimLeft(raw[1:], " \t\r\n")
	}
	return raw
}

// cutValue cuts the value that raw begins with from the rest.
func cutValue(raw []byte) (value, rest []byte) {
	depth, i := 0, 0
	for ; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			for i++; raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return raw[:i+1], raw[i+1:]
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return raw[:i+1], raw[i+1:]
			}
			if depth < 0 { // the end of what surrounds a number or a word
				return raw[:i], raw[i:]
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return raw[:i], raw[i:]
			}
		}
	}
	return raw, nil
}

// unquote returns the string that raw, a JSON string, stands for.
func unquote(raw json.RawMessage) (s string) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	_ = json.Unmarshal(raw, &s) // cannot fail on a valid string
	return s
}

// members returns an object as a map. A name that occurs twice is an error.
func (r jsonReader) members(path string, raw json.RawMessage) (map[string]json.RawMessage, error) {
	m := make(map[string]json.RawMessage)
	err := r.object(path, raw, func(name string, raw json.RawMessage) error {
		if _, twice := m[name]; twice {
			return r.errorf(path, "has %s twice", quote(name))
		}
		m[name] = raw
		return nil
	})
	return m, err
}
