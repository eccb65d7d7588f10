package schema

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/go-openelm/go-openelm/openelm"
)

// ErrType is wrapped by the error about a Go type that has no schema.
var ErrType = errors.New("schema: the type has no schema")

// ErrIncomplete is returned where the text ended before its value was complete, as
// at a limit of tokens.
var ErrIncomplete = errors.New("schema: the text ended before the value was complete")

// Of is the schema of what encoding/json decodes into a T: structs with the names of
// their json tags, embedded ones as it takes them, all required but for those with
// omitempty or omitzero; slices, arrays, maps with string keys, strings, numbers,
// booleans; pointers, which may be null; any. A field's tag enum:"red,green" lists the
// only values of a string. Errors wrap [ErrType].
func Of[T any]() (*Schema, error) {
	g := &generator{names: map[reflect.Type]string{}, definitions: map[string]any{}}
	root, err := g.schema(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	if len(g.definitions) > 0 {
		root = append(root, pair{"$defs", g.definitions})
	}
	text, err := json.Marshal(root)
	if err != nil {
		return nil, err
	}
	return Compile(text)
}

// Generate continues prompt with a value of type T. o, which may be nil, must have no
// constraint of its own. Errors are those of [Of] and of [openelm.Model.Generate], or
// wrap [ErrIncomplete]. Who generates often makes schema and vocabulary once.
func Generate[T any](ctx context.Context, m *openelm.Model, prompt string, o *openelm.GenerateOptions) (value T, err error) {
	s, err := Of[T]()
	if err != nil {
		return value, err
	}
	v, err := NewVocabulary(m)
	if err != nil {
		return value, err
	}
	options := openelm.GenerateOptions{}
	if o != nil {
		options = *o
	}
	if options.Constraint != nil || options.IgnoreEOS {
		return value, fmt.Errorf("%w: a constraint of its own, or an end of text that is ignored", openelm.ErrArgument)
	}
	c := v.Constraint(s)
	options.Constraint = c
	var text strings.Builder
	for t, err := range m.Generate(ctx, prompt, &options) {
		if err != nil {
			return value, err
		}
		text.WriteString(t.Text)
	}
	if !c.Complete() {
		return value, fmt.Errorf("%w: %.100q", ErrIncomplete, text.String())
	}
	return value, json.Unmarshal([]byte(text.String()), &value)
}

// ordered is a JSON object whose members stay in order.
type ordered []pair

type pair struct {
	key   string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o ordered) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(p.value)
		if err != nil {
			return nil, err
		}
		b.WriteString(quote(p.key) + ":")
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// generator writes the schemas of Go types. Named structs are definitions, so that
// they may contain themselves.
type generator struct {
	names       map[reflect.Type]string
	definitions map[string]any
}

var (
	rawMessage    = reflect.TypeFor[json.RawMessage]()
	jsonNumber    = reflect.TypeFor[json.Number]()
	unmarshaler   = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshal = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func (g *generator) schema(t reflect.Type) (ordered, error) {
	typed := func(name string, more ...pair) (ordered, error) { return append(ordered{{"type", name}}, more...), nil }
	switch {
	case t == rawMessage:
		return ordered{}, nil
	case t == jsonNumber:
		return typed("number")
	case t.Kind() != reflect.Pointer && (reflect.PointerTo(t).Implements(unmarshaler) || reflect.PointerTo(t).Implements(textUnmarshal)):
		return nil, fmt.Errorf("%w: %v decodes itself", ErrType, t)
	}
	switch t.Kind() {
	case reflect.Bool:
		return typed("boolean")
	case reflect.String:
		return typed("string")
	case reflect.Float32:
		return typed("number", pair{"minimum", -math.MaxFloat32}, pair{"maximum", math.MaxFloat32}) // encoding/json refuses more
	case reflect.Float64:
		return typed("number")
	case reflect.Int, reflect.Int64:
		return typed("integer")
	case reflect.Int8, reflect.Int16, reflect.Int32:
		most := int64(1)<<(t.Bits()-1) - 1
		return typed("integer", pair{"minimum", -most - 1}, pair{"maximum", most})
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return typed("integer", pair{"minimum", 0}, pair{"maximum", int64(1)<<t.Bits() - 1})
	case reflect.Uint, reflect.Uint64, reflect.Uintptr:
		return typed("integer", pair{"minimum", 0})
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return ordered{}, nil
		}
	case reflect.Pointer:
		s, err := g.schema(t.Elem())
		return ordered{{"anyOf", []any{s, ordered{{"type", "null"}}}}}, err
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 && t.Kind() == reflect.Slice {
			return nil, fmt.Errorf("%w: %v is base64 in JSON", ErrType, t)
		}
		s, err := g.schema(t.Elem())
		if err != nil || t.Kind() == reflect.Slice {
			return ordered{{"type", "array"}, {"items", s}}, err
		}
		return typed("array", pair{"items", s}, pair{"minItems", t.Len()}, pair{"maxItems", t.Len()})
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return nil, fmt.Errorf("%w: the keys of %v are no strings", ErrType, t)
		}
		s, err := g.schema(t.Elem())
		return ordered{{"type", "object"}, {"additionalProperties", s}}, err
	case reflect.Struct:
		return g.structure(t)
	}
	return nil, fmt.Errorf("%w: %v", ErrType, t)
}

// structure is a reference to the schema of a struct.
func (g *generator) structure(t reflect.Type) (ordered, error) {
	name, ok := g.names[t]
	if !ok {
		name = fmt.Sprintf("%d", len(g.names))
		if t.Name() != "" {
			name = fmt.Sprintf("%s%d", t.Name(), len(g.names))
		}
		g.names[t] = name
		s, err := g.fields(t)
		if err != nil {
			return nil, err
		}
		g.definitions[name] = s
	}
	return ordered{{"$ref", "#/$defs/" + escape(name)}}, nil
}

func (g *generator) fields(t reflect.Type) (ordered, error) {
	fields, err := structFields(t)
	if err != nil {
		return nil, err
	}
	properties, required := ordered{}, []string{}
	for _, f := range fields {
		if strings.Contains(","+f.options+",", ",string,") {
			return nil, fmt.Errorf("%w: field %s of %v has the option string", ErrType, f.Name, t)
		}
		s, err := g.schema(f.Type)
		if err != nil {
			return nil, fmt.Errorf("field %s of %v: %w", f.Name, t, err)
		}
		if list := f.Tag.Get("enum"); list != "" {
			if f.Type.Kind() != reflect.String {
				return nil, fmt.Errorf("%w: field %s of %v has an enum and is no string", ErrType, f.Name, t)
			}
			s = ordered{{"enum", strings.Split(list, ",")}}
		}
		properties = append(properties, pair{f.name, s})
		if !strings.Contains(f.options, "omitempty") && !strings.Contains(f.options, "omitzero") {
			required = append(required, f.name)
		}
	}
	return ordered{{"type", "object"}, {"properties", properties}, {"required", required}, {"additionalProperties", false}}, nil
}

// field is one of a struct or of a struct embedded in it, from which Index leads to it.
type field struct {
	reflect.StructField
	name    string
	tagged  bool // name is from the tag
	options string
}

// structFields are the fields that encoding/json sees in a struct, by its rules: an
// embedded struct with no name of its own in a tag stands for its fields. Of several
// fields of one name it sees the least deep, among those the one that is named by
// its tag, and none where that leaves more than one.
func structFields(t reflect.Type) ([]field, error) {
	type embedded struct {
		reflect.Type
		index []int
	}
	found := map[string][]field{} // the least deep first
	visited := map[reflect.Type]bool{}
	counts := map[reflect.Type]int{}
	for level := []embedded{{t, nil}}; len(level) > 0; {
		var next []embedded
		nextCounts := map[reflect.Type]int{}
		for _, e := range level {
			if visited[e.Type] {
				continue
			}
			visited[e.Type] = true
			for i := range e.NumField() {
				f := field{StructField: e.Field(i)}
				f.Index = append(slices.Clone(e.index), i)
				inner := f.Type
				if inner.Kind() == reflect.Pointer {
					inner = inner.Elem()
				}
				embeds := f.Anonymous && inner.Kind() == reflect.Struct
				tag := f.Tag.Get("json")
				if tag == "-" || !f.IsExported() && !embeds {
					continue
				}
				if !f.IsExported() && inner != f.Type {
					return nil, fmt.Errorf("%w: %v embeds %v, which encoding/json cannot set", ErrType, e.Type, f.Type)
				}
				f.name, f.options, _ = strings.Cut(tag, ",")
				f.tagged = isName(f.name)
				if embeds && !f.tagged {
					if nextCounts[inner]++; nextCounts[inner] == 1 {
						next = append(next, embedded{inner, f.Index})
					}
					continue
				}
				if !f.tagged {
					f.name = f.Name
				}
				found[f.name] = append(found[f.name], f)
				if counts[e.Type] > 1 { // the struct is embedded more than once
					found[f.name] = append(found[f.name], f)
				}
			}
		}
		level, counts = next, nextCounts
	}
	var fields []field
	for _, list := range found {
		list = slices.DeleteFunc(list, func(f field) bool { return len(f.Index) > len(list[0].Index) })
		if slices.ContainsFunc(list, func(f field) bool { return f.tagged }) {
			list = slices.DeleteFunc(list, func(f field) bool { return !f.tagged })
		}
		if len(list) == 1 {
			fields = append(fields, list[0])
		}
	}
	slices.SortFunc(fields, func(a, b field) int { return slices.Compare(a.Index, b.Index) })
	return fields, nil
}

// isName reports whether encoding/json takes a name from a tag.
func isName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}
