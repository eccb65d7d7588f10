package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-openelm/go-openelm/internal/strictjson"
)

const (
	maxDepth    = 100              // of the JSON of a request
	bodyTimeout = 30 * time.Second // for a request to arrive
)

// readBody reads the body of a request, whose size and time are bounded.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, refuse(http.StatusUnsupportedMediaType, "", "a body in the encoding %.40q; send it as it is", e)
	}
	// A deadline that stayed would end the request when it comes.
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.options.MaxBody))
	_ = c.SetReadDeadline(time.Time{})
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, refuse(http.StatusRequestEntityTooLarge, "", "the body is larger than %d bytes", large.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, refuse(http.StatusRequestTimeout, "", "the body did not come within %v", bodyTimeout)
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "", "the body did not come whole")
	}
	return body, nil
}

// field reads the value of a parameter. Its errors say what is wrong with it,
// and need not name it.
type field func(value json.RawMessage) error

// fields are the parameters that an endpoint knows. null is as good as absent.
type fields map[string]field

// decode reads the parameters of a request.
func (f fields) decode(body []byte) error {
	if err := checkDepth(body); err != nil {
		return err
	}
	err := strictjson.Object(body, func(key string, value json.RawMessage) error {
		read, ok := f[key]
		switch {
		case !ok:
			return invalid(key, "unknown parameter %.100q", key)
		case strictjson.IsNull(value):
			return nil
		}
		err := read(value)
		var done *apiError
		if err == nil || errors.As(err, &done) {
			return err
		}
		return invalid(key, "%s: %v", key, err)
	})
	if errors.Is(err, strictjson.ErrSyntax) {
		return refuse(http.StatusBadRequest, "", "the body: %v", err)
	}
	return err
}

// inside reads an object that is the value of a parameter.
func (f fields) inside(value json.RawMessage) error {
	if value[0] != '{' {
		return errors.New("must be an object")
	}
	err := f.decode(value)
	var a *apiError
	if errors.As(err, &a) {
		return errors.New(a.Message) // of the parameter as a whole
	}
	return err
}

// checkDepth refuses JSON that is nested deeper than any request has to be.
func checkDepth(text []byte) error {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			if depth++; depth > maxDepth {
				return refuse(http.StatusBadRequest, "", "the body is nested more than %d deep", maxDepth)
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return nil
}

// The fields of the usual kinds.

func text(p *string) field {
	return func(v json.RawMessage) error {
		s, ok := strictjson.String(v)
		if !ok {
			return errors.New("must be a string")
		}
		*p = s
		return nil
	}
}

func boolean(p *bool) field {
	return func(v json.RawMessage) error {
		if err := json.Unmarshal(v, p); err != nil {
			return errors.New("must be true or false")
		}
		return nil
	}
}

func integer[T int | int64](p *T, lowest, highest int64) field {
	return func(v json.RawMessage) error {
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil || n < lowest || n > highest {
			return fmt.Errorf("must be an integer from %d to %d", lowest, highest)
		}
		*p = T(n)
		return nil
	}
}

func number(p *float32, lowest, highest float64) field {
	return func(v json.RawMessage) error {
		x, err := strconv.ParseFloat(string(v), 64)
		if err != nil || math.IsNaN(x) || x < lowest || x > highest { // a string is no number, either
			return fmt.Errorf("must be a number from %g to %g", lowest, highest)
		}
		*p = float32(x)
		return nil
	}
}

// without is a parameter that cannot have an effect here, whatever its value.
func without(json.RawMessage) error { return nil }

// only is a parameter that is not implemented, and may have the values that ask
// for nothing.
func only(values ...string) field {
	return func(v json.RawMessage) error {
		var b bytes.Buffer
		if err := json.Compact(&b, v); err != nil {
			return err
		}
		if !slices.Contains(values, b.String()) {
			if len(values) == 0 {
				return errors.New("is not supported")
			}
			return fmt.Errorf("is not supported, other than as %s", strings.Join(values, " or "))
		}
		return nil
	}
}

// array splits a JSON array into its elements; ok is false if v is none.
func array(v json.RawMessage) (elements []json.RawMessage, ok bool) {
	if len(v) == 0 || v[0] != '[' {
		return nil, false
	}
	return elements, json.Unmarshal(v, &elements) == nil
}

// tokenIDs reads a list of tokens of a vocabulary.
func tokenIDs(v json.RawMessage, vocab int) ([]int32, error) {
	var ids []int32
	if len(v) == 0 || v[0] != '[' || json.Unmarshal(v, &ids) != nil || bytes.Contains(v, []byte("null")) {
		return nil, errors.New("must be a list of token ids, which are integers")
	}
	for i, id := range ids {
		if id < 0 || int(id) >= vocab {
			return nil, fmt.Errorf("number %d, %d, is no token: ids are from 0 to %d", i, id, vocab-1)
		}
	}
	return ids, nil
}

const (
	maxStops    = 64
	maxStopSize = 4096
)

// stops reads stop strings: one, or a list.
func stops(p *[]string) field {
	return func(v json.RawMessage) error {
		list, ok := array(v)
		if !ok {
			list = []json.RawMessage{v}
		}
		if len(list) > maxStops {
			return fmt.Errorf("must be %d strings at most", maxStops)
		}
		*p = nil
		for _, e := range list {
			s, ok := strictjson.String(e)
			if !ok || s == "" || len(s) > maxStopSize {
				return fmt.Errorf("must be a string, or a list of strings, none of them empty or longer than %d bytes", maxStopSize)
			}
			*p = append(*p, s)
		}
		return nil
	}
}

// biases reads a logit_bias.
func biases(p *map[int32]float32) field {
	return func(v json.RawMessage) error {
		*p = map[int32]float32{}
		err := strictjson.Object(v, func(key string, v json.RawMessage) error {
			id, err := strconv.ParseInt(key, 10, 32)
			if err != nil {
				return fmt.Errorf("%.40q is no token id", key)
			}
			var bias float32
			if err := number(&bias, -100, 100)(v); err != nil {
				return fmt.Errorf("that of token %d %w", id, err)
			}
			(*p)[int32(id)] = bias
			return nil
		})
		if errors.Is(err, strictjson.ErrSyntax) {
			return errors.New("must be an object of token ids and numbers")
		}
		return err
	}
}
