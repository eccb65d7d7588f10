// Package strictjson reads JSON objects the way formats that forbid duplicate
// keys need them read: encoding/json silently keeps the last of two equal keys.
// A repetition, with the very same value, is harmless and passes.
// Values are handed out as parts of the text, without a copy.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrSyntax is wrapped by every error about the JSON text itself.
var ErrSyntax = errors.New("malformed JSON")

// Object calls member for each key and value of the one JSON object that data
// holds, in order. It refuses text that is not valid UTF-8, a key that occurs
// twice with different values and anything but white space around the object. An
// error of member ends it and is returned as it is.
func Object(data []byte, member func(key string, value json.RawMessage) error) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("%w: not valid UTF-8", ErrSyntax)
	}
	var all json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	// From here on the text is known to be valid, and walking it is simple.
	s := scanner{text: data}
	if s.next() != '{' {
		return fmt.Errorf("%w: not an object", ErrSyntax)
	}
	s.pos++
	seen := map[string][]byte{}
	for s.next() != '}' {
		if s.text[s.pos] == ',' {
			s.pos++
			s.next()
		}
		key, err := unquote(s.value())
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSyntax, err)
		}
		s.next() // the colon
		s.pos++
		s.next()
		value := s.value()
		if other, twice := seen[key]; twice && bytes.Equal(other, value) {
			continue
		} else if twice {
			return fmt.Errorf("%w: key %.100q occurs twice", ErrSyntax, key)
		}
		seen[key] = value
		if err := member(key, value); err != nil {
			return err
		}
	}
	return nil
}

// Members is the keys and values of the object that data holds.
func Members(data []byte) (map[string]json.RawMessage, error) {
	m := map[string]json.RawMessage{}
	err := Object(data, func(key string, value json.RawMessage) error {
		m[key] = value
		return nil
	})
	return m, err
}

// String is the string that value holds; ok is false if it holds none. Unlike
// json.Unmarshal it takes no null for a string.
func String(value json.RawMessage) (s string, ok bool) {
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	s, err := unquote(value)
	return s, err == nil
}

// IsNull reports whether value is JSON's null.
func IsNull(value json.RawMessage) bool { return string(value) == "null" }

// scanner walks text that is known to be valid JSON.
type scanner struct {
	text []byte
	pos  int
}

// next skips white space and returns the byte it stops at.
func (s *scanner) next() byte {
	for {
		switch c := s.text[s.pos]; c {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return c
		}
	}
}

// value returns the value that begins at pos and leaves pos behind it.
func (s *scanner) value() []byte {
	start, depth := s.pos, 0
	for ; s.pos < len(s.text); s.pos++ {
		switch s.text[s.pos] {
		case '"':
			for s.pos++; s.text[s.pos] != '"'; s.pos++ {
				if s.text[s.pos] == '\\' {
					s.pos++
				}
			}
			if depth == 0 {
				s.pos++
				return s.text[start:s.pos:s.pos]
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // the end of what surrounds a number or a word
				return s.text[start:s.pos:s.pos]
			}
			if depth--; depth == 0 {
				s.pos++
				return s.text[start:s.pos:s.pos]
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return s.text[start:s.pos:s.pos]
			}
		}
	}
	return s.text[start:]
}

func unquote(text []byte) (string, error) {
	for _, c := range text {
		if c == '\\' {
			var s string
			err := json.Unmarshal(text, &s)
			return s, err
		}
	}
	return string(text[1 : len(text)-1]), nil
}
