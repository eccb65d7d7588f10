package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-openelm/go-openelm/internal/strictjson"
)

// Schema is a schema that was compiled. It is immutable, and may be shared.
type Schema struct {
	text string
	root *node
}

// String is the text of the schema.
func (s *Schema) String() string { return s.text }

// Error is what is wrong with a schema, or not implemented.
type Error struct {
	Path    string // of the place, as a JSON pointer: #/properties/age
	Keyword string // empty for the schema at Path as a whole
	Reason  string
	// Unsupported tells that the schema may well be right, but outside of the
	// subset. The error is then an [errors.ErrUnsupported].
	Unsupported bool
}

func (e *Error) Error() string {
	where := e.Path
	if e.Keyword != "" {
		where += ": " + e.Keyword
	}
	return fmt.Sprintf("schema: at %.200s: %s", where, e.Reason)
}

// Is makes what is not supported an [errors.ErrUnsupported].
func (e *Error) Is(target error) bool { return e.Unsupported && target == errors.ErrUnsupported }

// Limits of a schema.
const (
	maxSize         = 1 << 20 // bytes
	maxDepth        = 100
	maxParts        = 20_000   // nodes, and words of literals
	maxWork         = 32 << 20 // bytes that are read, over and over where parts are nested
	maxAlternatives = maxThreads
	maxAny          = 8 // depth of values of which nothing is said
)

// Object is the schema of any object.
func Object() *Schema {
	s, err := Compile([]byte(`{"type":"object"}`))
	if err != nil {
		panic(err) // it is in the subset
	}
	return s
}

// Compile reads a schema. Errors are [*Error].
func Compile(text []byte) (*Schema, error) {
	if len(text) > maxSize {
		return nil, &Error{Path: "#", Reason: fmt.Sprintf("it has %d bytes; %d are the most", len(text), maxSize)}
	}
	if !json.Valid(text) {
		return nil, &Error{Path: "#", Reason: "it is no JSON"}
	}
	root, err := newCompiler(text).all()
	if err != nil {
		return nil, err
	}
	return &Schema{string(text), root}, nil
}

// compiler compiles one schema.
type compiler struct {
	root  *place
	refs  map[*place]*node
	any   [maxAny + 1]*node
	nodes []*node
	oneOf []exclusive
	parts int
	work  int

	meanings map[*node]*values // of literals that were compared
}

func newCompiler(text []byte) *compiler {
	return &compiler{root: &place{text: text}, refs: map[*place]*node{}, meanings: map[*node]*values{}}
}

// all compiles the whole text.
func (c *compiler) all() (*node, error) {
	root, err := c.compile(c.root.text, "#", 0)
	if err != nil {
		return nil, err
	}
	return root, c.finish(root)
}

// place is a value of the schema's text, which a $ref may be about.
type place struct {
	text    json.RawMessage
	members map[string]*place // by name or index; nil until one is asked for
}

// exclusive are alternatives of which no two may describe the same value.
type exclusive struct {
	path  string
	nodes []*node
}

// keywords are those of one schema.
type keywords struct {
	*compiler
	path  string
	depth int
	all   map[string]json.RawMessage
	used  map[string]bool
}

func (k *keywords) wrong(keyword, format string, args ...any) error {
	return &Error{Path: k.path, Keyword: keyword, Reason: fmt.Sprintf(format, args...)}
}

func (k *keywords) unsupported(keyword, format string, args ...any) error {
	return &Error{Path: k.path, Keyword: keyword, Reason: fmt.Sprintf(format, args...), Unsupported: true}
}

// annotations change nothing about what is valid.
var annotations = []string{
	"title", "description", "default", "examples", "$schema", "$id", "$comment", "$defs", "definitions", "deprecated", "readOnly", "writeOnly", "discriminator",
}

// typed are the keywords about one type, which change nothing about values of
// others.
var typed = map[string][]string{
	"object": {"properties", "required", "additionalProperties"},
	"array":  {"items", "prefixItems", "minItems", "maxItems"},
	"string": {"minLength", "maxLength"},
	"number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
}

// types are the names of types, in the order in which errors list them.
var types = []string{"object", "array", "string", "number", "integer", "boolean", "null"}

// count adds to the parts of the schema.
func (c *compiler) count(parts int) error {
	if c.parts += parts; c.parts > maxParts {
		return &Error{Path: "#", Reason: fmt.Sprintf("it has more than %d parts, values of enums included", maxParts)}
	}
	return nil
}

// spend adds to the work on the schema, which one of a few bytes could make endless.
func (c *compiler) spend(work int) error {
	if c.work += work; c.work > maxWork {
		return &Error{Path: "#", Reason: "it is too much work: what is long is nested too deep, or oneOf has too many alternatives to tell apart"}
	}
	return nil
}

func (c *compiler) node(k kind) (*node, error) {
	if err := c.count(1); err != nil {
		return nil, err
	}
	n := &node{kind: k, most: -1}
	c.nodes = append(c.nodes, n)
	return n, nil
}

// compile compiles the schema at path.
func (c *compiler) compile(text json.RawMessage, path string, depth int) (*node, error) {
	k := &keywords{compiler: c, path: path, depth: depth, all: map[string]json.RawMessage{}, used: map[string]bool{}}
	if depth > maxDepth {
		return nil, k.wrong("", "it is nested more than %d deep", maxDepth)
	}
	if err := c.spend(len(text) + len(path)); err != nil {
		return nil, err
	}
	switch trimmed := strings.TrimSpace(string(text)); {
	case trimmed == "true":
		return c.anything(0)
	case trimmed == "false":
		return k.alternatives(nil)
	case trimmed == "" || trimmed[0] != '{':
		return nil, k.wrong("", "a schema is an object, true or false")
	}
	err := strictjson.Object(text, func(key string, value json.RawMessage) error {
		k.all[key] = value
		return nil
	})
	if err != nil {
		return nil, k.wrong("", "%v", err)
	}
	n, err := k.value()
	if err != nil {
		return nil, err
	}
	for key := range k.all {
		if !k.used[key] && !slices.Contains(annotations, key) && !isTyped(key) {
			return nil, k.unsupported(key, "this keyword is not supported")
		}
	}
	return n, nil
}

func isTyped(key string) bool {
	for _, list := range typed {
		if slices.Contains(list, key) {
			return true
		}
	}
	return false
}

// take is the value of a keyword.
func (k *keywords) take(key string) (json.RawMessage, bool) {
	v, ok := k.all[key]
	k.used[key] = k.used[key] || ok
	return v, ok
}

// alone refuses a keyword in company of others that say something, besides those
// that are allowed.
func (k *keywords) alone(key string, allowed ...string) error {
	for other := range k.all {
		if other != key && !slices.Contains(annotations, other) && !slices.Contains(allowed, other) {
			return k.unsupported(key, "together with %.40q it is not supported", other)
		}
	}
	return nil
}

// value compiles what the keywords describe.
func (k *keywords) value() (*node, error) {
	if v, ok := k.take("$ref"); ok {
		if err := k.alone("$ref"); err != nil {
			return nil, err
		}
		return k.reference(v)
	}
	for _, key := range []string{"enum", "const"} {
		if v, ok := k.take(key); ok {
			if err := k.alone(key, "type"); err != nil {
				return nil, err
			}
			return k.enum(key, v)
		}
	}
	for _, key := range []string{"anyOf", "oneOf", "allOf"} {
		v, ok := k.take(key)
		if !ok {
			continue
		}
		if err := k.alone(key); err != nil {
			return nil, err
		}
		list, ok := elements(v)
		if !ok || len(list) == 0 {
			return nil, k.wrong(key, "must be a list of schemas")
		}
		if key == "allOf" && len(list) > 1 {
			return nil, k.unsupported(key, "of more than one schema it is not supported")
		}
		var all []*node
		for i, e := range list {
			n, err := k.compile(e, fmt.Sprintf("%s/%s/%d", k.path, key, i), k.depth+1)
			if err != nil {
				return nil, err
			}
			all = append(all, n)
		}
		if key == "oneOf" {
			k.oneOf = append(k.oneOf, exclusive{k.path, all})
		}
		return k.alternatives(all)
	}
	names, err := k.types()
	if err != nil {
		return nil, err
	}
	if names == nil {
		return k.anything(0)
	}
	var all []*node
	for _, name := range names {
		n, err := k.ofType(name)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return k.alternatives(all)
}

// types are the names of the types that a value may have, nil if it may have any.
func (k *keywords) types() ([]string, error) {
	v, ok := k.take("type")
	if !ok {
		var names []string
		for _, name := range types {
			if slices.ContainsFunc(typed[name], func(key string) bool { _, ok := k.all[key]; return ok }) {
				names = append(names, name)
			}
		}
		if len(names) > 1 {
			return nil, k.unsupported("", "without a type, keywords about %s are not supported", strings.Join(names, " and "))
		}
		return names, nil
	}
	list, ok := elements(v)
	if !ok {
		list = []json.RawMessage{v}
	}
	var names []string
	for _, e := range list {
		name, _ := strictjson.String(e)
		if !slices.Contains(types, name) || slices.Contains(names, name) {
			return nil, k.wrong("type", "must be one of %s, or a list of several", strings.Join(types, ", "))
		}
		names = append(names, name)
	}
	if names == nil {
		return nil, k.wrong("type", "is an empty list")
	}
	return names, nil
}

func (k *keywords) ofType(name string) (*node, error) {
	switch name {
	case "null":
		return k.words("null")
	case "boolean":
		return k.words("true", "false")
	case "string":
		return k.string()
	case "array":
		return k.array()
	case "object":
		return k.object()
	}
	return k.number(name == "integer")
}

// words is a value with these spellings.
func (c *compiler) words(list ...string) (*node, error) {
	if err := c.count(len(list)); err != nil {
		return nil, err
	}
	n, err := c.node(literal)
	if err != nil {
		return nil, err
	}
	slices.Sort(list)
	n.words = slices.Compact(list)
	return n, nil
}

func (k *keywords) alternatives(all []*node) (*node, error) {
	n, err := k.node(choice)
	if err == nil {
		n.any = all
	}
	return n, err
}

// anything is any value, nested so deep already.
func (c *compiler) anything(depth int) (*node, error) {
	if c.any[depth] != nil {
		return c.any[depth], nil
	}
	n, err := c.node(choice)
	if err != nil {
		return nil, err
	}
	words, err := c.words("null", "true", "false")
	if err != nil {
		return nil, err
	}
	n.any = []*node{words}
	for _, kind := range []kind{text, number, array, object}[:4-2*min(1, depth/maxAny)] {
		part, err := c.node(kind)
		if err != nil {
			return nil, err
		}
		if kind == array || kind == object {
			if part.rest, err = c.anything(depth + 1); err != nil {
				return nil, err
			}
		}
		if kind == object {
			part.close()
		}
		n.any = append(n.any, part)
	}
	c.any[depth] = n
	return n, nil
}

// reference compiles what a $ref is about.
func (k *keywords) reference(v json.RawMessage) (*node, error) {
	ref, ok := strictjson.String(v)
	if !ok {
		return nil, k.wrong("$ref", "must be a string")
	}
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok || pointer != "" && pointer[0] != '/' {
		return nil, k.unsupported("$ref", "%.100q is no place in the same schema, such as #/$defs/name", ref)
	}
	place := k.root
	if pointer != "" {
		for part := range strings.SplitSeq(pointer[1:], "/") {
			part, err := url.PathUnescape(part)
			if err != nil {
				return nil, k.wrong("$ref", "%v", err)
			}
			part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
			if place, err = k.member(place, part); err != nil {
				return nil, err
			}
			if place == nil {
				return nil, k.wrong("$ref", "there is no %.100q", ref)
			}
		}
	}
	if n, ok := k.refs[place]; ok {
		return n, nil
	}
	n, err := k.node(choice)
	if err != nil {
		return nil, err
	}
	k.refs[place] = n // for what refers to it inside
	target, err := k.compile(place.text, ref, k.depth+1)
	if err != nil {
		return nil, err
	}
	n.any = []*node{target}
	return n, nil
}

// member is an element of an object or an array, nil if there is none.
func (c *compiler) member(p *place, name string) (*place, error) {
	if p.members == nil {
		if err := c.spend(len(p.text)); err != nil {
			return nil, err
		}
		p.members = map[string]*place{}
		if list, ok := elements(p.text); ok {
			for i, e := range list {
				p.members[strconv.Itoa(i)] = &place{text: e}
			}
		} else if all, err := strictjson.Members(p.text); err == nil {
			for key, e := range all {
				p.members[key] = &place{text: e}
			}
		}
	}
	return p.members[name], nil
}

// elements are those of an array.
func elements(v json.RawMessage) (list []json.RawMessage, ok bool) {
	if strings.TrimSpace(string(v)) == "" || strings.TrimSpace(string(v))[0] != '[' {
		return nil, false
	}
	return list, json.Unmarshal(v, &list) == nil
}

func (k *keywords) enum(key string, v json.RawMessage) (*node, error) {
	list := []json.RawMessage{v}
	if key == "enum" {
		var ok bool
		if list, ok = elements(v); !ok || len(list) == 0 {
			return nil, k.wrong(key, "must be a list of values")
		}
	}
	var names []string
	if _, ok := k.all["type"]; ok {
		var err error
		if names, err = k.types(); err != nil {
			return nil, err
		}
	}
	var words []string
	for _, e := range list {
		word, err := k.spell(e)
		var spent *Error
		if errors.As(err, &spent) {
			return nil, err
		} else if err != nil {
			return nil, k.wrong(key, "%v", err)
		}
		if names == nil || slices.ContainsFunc(names, func(name string) bool { return isOf(word, name) }) {
			words = append(words, word)
		}
	}
	if words == nil {
		return nil, k.wrong(key, "none of the values has the type")
	}
	return k.words(words...)
}

// isOf reports whether a value is of a type.
func isOf(word, name string) bool {
	switch kindOf(word) {
	case text:
		return name == "string"
	case array:
		return name == "array"
	case object:
		return name == "object"
	case number:
		return name == "number" || name == "integer" && !strings.ContainsAny(word, ".eE")
	}
	return name == "null" && word == "null" || name == "boolean" && word != "null"
}

// spell is the one spelling of a value.
func (c *compiler) spell(v json.RawMessage) (string, error) {
	if err := c.spend(len(v)); err != nil {
		return "", err
	}
	v = json.RawMessage(strings.TrimSpace(string(v)))
	if s, ok := strictjson.String(v); ok {
		return quote(s), nil
	}
	var parts []string
	if list, ok := elements(v); ok {
		for _, e := range list {
			part, err := c.spell(e)
			if err != nil {
				return "", err
			}
			parts = append(parts, part)
		}
		return "[" + strings.Join(parts, ",") + "]", nil
	}
	if v[0] != '{' {
		return string(v), nil
	}
	err := strictjson.Object(v, func(key string, value json.RawMessage) error {
		part, err := c.spell(value)
		parts = append(parts, quote(key)+":"+part)
		return err
	})
	return "{" + strings.Join(parts, ",") + "}", err
}

// quote spells a string with the escapes that it must have, and no others.
func quote(s string) string {
	b := []byte{'"'}
	for _, r := range s {
		if i := strings.IndexRune("\"\\\b\f\n\r\t", r); i >= 0 {
			b = append(b, '\\', `"\bfnrt`[i])
		} else if r < 0x20 || r == 0x7F {
			b = fmt.Appendf(b, `\u%04x`, r)
		} else {
			b = append(b, string(r)...)
		}
	}
	return string(append(b, '"'))
}

// size reads a keyword that is a count, def if it is absent.
func (k *keywords) size(key string, def int) (int, error) {
	v, ok := k.take(key)
	if !ok {
		return def, nil
	}
	x, err := strconv.ParseFloat(string(v), 64)
	if err != nil || x < 0 || x != math.Trunc(x) || x > 1<<30 {
		return 0, k.wrong(key, "must be an integer from 0 to %d", 1<<30)
	}
	return int(x), nil
}

// limits reads the least and the most of something.
func (k *keywords) limits(n *node, least, most string) (err error) {
	if n.least, err = k.size(least, 0); err != nil {
		return err
	}
	if n.most, err = k.size(most, -1); err != nil {
		return err
	}
	if n.most >= 0 && n.least > n.most {
		return k.wrong(least, "is more than %s", most)
	}
	return nil
}

func (k *keywords) string() (*node, error) {
	n, err := k.node(text)
	if err != nil {
		return nil, err
	}
	return n, k.limits(n, "minLength", "maxLength")
}

func (k *keywords) array() (*node, error) {
	n, err := k.node(array)
	if err != nil {
		return nil, err
	}
	if err := k.limits(n, "minItems", "maxItems"); err != nil {
		return nil, err
	}
	if v, ok := k.take("prefixItems"); ok {
		list, ok := elements(v)
		if !ok {
			return nil, k.wrong("prefixItems", "must be a list of schemas")
		}
		for i, e := range list {
			item, err := k.compile(e, fmt.Sprintf("%s/prefixItems/%d", k.path, i), k.depth+1)
			if err != nil {
				return nil, err
			}
			n.prefix = append(n.prefix, item)
		}
	}
	n.rest, err = k.further("items")
	return n, err
}

// further is what a keyword says of items or properties that nothing else is said of.
func (k *keywords) further(key string) (*node, error) {
	v, ok := k.take(key)
	if !ok {
		return k.anything(0)
	}
	if string(v) == "false" {
		return nil, nil
	}
	return k.compile(v, k.path+"/"+key, k.depth+1)
}

func (k *keywords) object() (*node, error) {
	n, err := k.node(object)
	if err != nil {
		return nil, err
	}
	index := map[string]int{}
	properties, named := k.take("properties")
	if named {
		err := strictjson.Object(properties, func(key string, value json.RawMessage) error {
			p, err := k.compile(value, k.path+"/properties/"+escape(key), k.depth+1)
			index[key] = len(n.properties)
			n.properties = append(n.properties, property{key: quote(key) + ":", value: p})
			return err
		})
		var e *Error
		if err != nil && !errors.As(err, &e) {
			return nil, k.wrong("properties", "%v", err)
		} else if err != nil {
			return nil, err
		}
	}
	if _, ok := k.all["additionalProperties"]; ok || !named {
		if n.rest, err = k.further("additionalProperties"); err != nil {
			return nil, err
		}
	}
	if v, ok := k.take("required"); ok {
		var names []string
		if json.Unmarshal(v, &names) != nil {
			return nil, k.wrong("required", "must be a list of names")
		}
		for _, name := range names {
			i, ok := index[name]
			if !ok {
				if n.rest == nil {
					return nil, k.unsupported("required", "%.100q is not among the properties, and others are not allowed", name)
				}
				i = len(n.properties)
				index[name] = i
				n.properties = append(n.properties, property{key: quote(name) + ":", value: n.rest})
			}
			n.properties[i].required = true
		}
	}
	n.close()
	return n, nil
}

// escape is a name in a JSON pointer.
func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }

func (k *keywords) number(whole bool) (*node, error) {
	n, err := k.node(number)
	if err != nil {
		return nil, err
	}
	n.integer = whole
	scale := digits
	if whole {
		scale = 0
	}
	unit := new(big.Rat).SetInt(power(scale))
	limit := new(big.Int).Sub(power(digits+scale), one)
	b := &bounds{scale: scale, lowest: new(big.Int).Neg(limit), highest: limit}
	for _, key := range typed["number"] {
		v, ok := k.take(key)
		if !ok {
			continue
		}
		n.bounds = b
		x, err := strconv.ParseFloat(string(v), 64)
		if err != nil || math.Abs(x) > 1e300 || x != 0 && math.Abs(x) < 1e-300 || len(v) > 1000 {
			return nil, k.wrong(key, "must be a number, and not larger than 1e300 or smaller than 1e-300")
		}
		exact, ok := new(big.Rat).SetString(string(v))
		if !ok || x == 0 && exact.Sign() != 0 {
			return nil, k.wrong(key, "must be a number")
		}
		exact.Mul(exact, unit)
		// The integer at or below it, and whether that is it.
		floor, rest := new(big.Int).DivMod(exact.Num(), exact.Denom(), new(big.Int))
		switch {
		case key == "minimum" && rest.Sign() == 0:
			b.lowest = later(b.lowest, floor)
		case key == "minimum" || key == "exclusiveMinimum":
			b.lowest = later(b.lowest, new(big.Int).Add(floor, one))
		case key == "exclusiveMaximum" && rest.Sign() == 0:
			b.highest = earlier(b.highest, new(big.Int).Sub(floor, one))
		default:
			b.highest = earlier(b.highest, floor)
		}
	}
	return n, nil
}

func later(a, b *big.Int) *big.Int {
	if a.Cmp(b) > 0 {
		return a
	}
	return b
}

func earlier(a, b *big.Int) *big.Int {
	if a.Cmp(b) < 0 {
		return a
	}
	return b
}

// finish checks the whole, and removes what has no value.
func (c *compiler) finish(root *node) error {
	for changed := true; changed; {
		if err := c.spend(len(c.nodes)); err != nil {
			return err
		}
		changed = false
		// Parts come after what they are part of, but for what was referred to before.
		for _, n := range slices.Backward(c.nodes) {
			changed = n.settle() || changed
		}
		for _, n := range c.nodes {
			changed = n.settle() || changed
		}
	}
	if !root.finite {
		return &Error{Path: "#", Reason: "no value that can be written satisfies it"}
	}
	for _, n := range c.nodes {
		n.prune()
	}
	for _, n := range c.nodes {
		if n.kind != choice {
			continue
		}
		if n.any = n.flat(); len(n.any) > maxAlternatives {
			return &Error{Path: "#", Keyword: "anyOf", Reason: fmt.Sprintf("of %d alternatives; %d are the most", len(n.any), maxAlternatives), Unsupported: true}
		}
	}
	for _, e := range c.oneOf {
		for i, a := range e.nodes {
			for _, b := range e.nodes[:i] {
				apart := c.disjoint(a, b, maxAny)
				if err := c.spend(0); err != nil { // the answer may be for want of work
					return err
				}
				if !apart {
					return &Error{Path: e.path, Keyword: "oneOf", Unsupported: true, Reason: "its alternatives must exclude each other by their types, or by a required property with different constants; otherwise use anyOf"}
				}
			}
		}
	}
	return nil
}
