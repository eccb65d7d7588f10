package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// bytesVocabulary has a token for each byte, and one that ends a text.
func bytesVocabulary() *Vocabulary {
	pieces := make([][]byte, 257)
	for i := range 256 {
		pieces[i] = []byte{byte(i)}
	}
	return newVocabulary(pieces, []int32{256})
}

// write holds text to a schema, and tells how much of it may be written, and whether
// that is a value.
func write(t testing.TB, s *Schema, text string) (n int, complete bool) {
	t.Helper()
	c := bytesVocabulary().Constraint(s)
	for i := range len(text) {
		mask := make([]uint64, c.vocabulary.words())
		c.Mask(mask)
		err := c.Accept(int32(text[i]))
		if (err == nil) != has(mask, int32(text[i])) {
			t.Fatalf("%s: byte %d is allowed: %v, accepted: %v", text, i, has(mask, int32(text[i])), err)
		}
		if err != nil {
			return i, false
		}
	}
	mask := make([]uint64, c.vocabulary.words())
	c.Mask(mask)
	if has(mask, 256) != c.Complete() {
		t.Fatalf("%s: complete %v, the end is allowed: %v", text, c.Complete(), has(mask, 256))
	}
	return len(text), c.Complete()
}

// TestLanguage: what a schema lets be written, and what not.
func TestLanguage(t *testing.T) {
	const person = `{"type":"object","properties":{"name":{"type":"string","maxLength":5},"age":{"type":"integer","minimum":0,"maximum":150},"tags":{"type":"array","items":{"enum":["a","ab","b"]},"maxItems":2}},"required":["name"],"additionalProperties":false}`
	const list = `{"$ref":"#/$defs/list","$defs":{"list":{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#/$defs/list"},{"type":"null"}]}},"required":["next"]}}}`
	for _, c := range []struct {
		schema  string
		yes, no []string
	}{
		{person, []string{`{"name":"Ann"}`, `{"name": "Ann", "age": 15}`, `{"name":"","age":150,"tags":[]}`, `{"name":"äöüß€","tags":["ab", "b"]}`, `{"name":"\"\\\n\u0001\u007f"}`},
			[]string{`{}`, `{"age":1}`, `{"name":"Ann","age":151}`, `{"name":"Ann","age":-1}`, `{"name":"Ann","age":01}`, `{"name":"sixsix"}`, `{"age":1,"name":"Ann"}`, `{"name":"Ann","tags":["a","a","a"]}`, `{"name":"Ann","tags":["c"]}`,
				`{"name":"Ann","name":"Ann"}`, `{"name":"Ann",}`, `{"name":"Ann","x":1}`, `{ "name":"Ann"}`, `{"name":  "Ann"}`, `{"name":"\u0041"}`, "{\"name\":\"\xff\"}", "{\"name\":\"\xed\xa0\x80\"}", "{\"name\":\"\n\"}", `{"name":"\/"}`, `{"name":"Ann"} `}},
		{list, []string{`{"next":null}`, `{"next":{"next":{"next":null}}}`}, []string{`{}`, `null`, `{"next":{}}`}},
		{`{"type":"number"}`, []string{"0", "-0", "1.5", "-12.25e-10", "1E+5", "123456789012345.123456789012345"}, []string{"01", "1.", ".5", "1e", "1e123", "+1", "1234567890123456", "NaN"}},
		{`{"type":"integer"}`, []string{"0", "-12"}, []string{"1.0", "1e3"}},
		{`{"type":"number","minimum":1.5,"exclusiveMaximum":2}`, []string{"1.5", "1.75", "1.999999999999999"}, []string{"1", "1.4", "2", "2.0", "1.49", "15", "-1.7"}},
		{`{"type":"number","exclusiveMinimum":-0.25,"maximum":1000}`, []string{"-0.2", "0", "1000", "1000.0", "999.9"}, []string{"-0.25", "-0.3", "-1", "1001", "1000.1", "1e2"}},
		{`{"type":"integer","minimum":95,"maximum":1005}`, []string{"95", "99", "100", "1005", "1000"}, []string{"94", "9", "1", "1006", "2000", "-95"}},
		{`{"type":"integer","exclusiveMinimum":1.5,"exclusiveMaximum":4}`, []string{"2", "3"}, []string{"1", "4", "10"}},
		{`{"enum":["a\n", 1, 12, null, true, {"k": [1, "x"]}]}`, []string{`"a\n"`, "1", "12", "null", "true", `{"k":[1,"x"]}`}, []string{"2", `"a"`, "121", "false", `{"k": [1,"x"]}`}},
		{`{"const":"é"}`, []string{`"é"`}, []string{`"e"`}},
		{`{"enum":["a",1,null],"type":["integer","null"]}`, []string{"1", "null"}, []string{`"a"`}},
		{`{"type":["string","null"],"minLength":2}`, []string{"null", `"ab"`, `"a\n"`, `"abc"`}, []string{`"a"`, `""`}},
		{`{"type":"array","prefixItems":[{"type":"null"},{"type":"boolean"}],"items":{"type":"integer"},"minItems":1}`, []string{"[null]", "[null,true]", "[null, false, 1, 2]"}, []string{"[]", "[true]", "[null,1]", "[null,true,true]"}},
		{`{"type":"array","prefixItems":[{"type":"null"}],"items":false}`, []string{"[]", "[null]"}, []string{"[null,null]"}},
		{`{"type":"object"}`, []string{`{}`, `{"a":{"b":[1,"x",null]}}`}, []string{`[]`, `{"a"}`}},
		{`{"type":"object","properties":{"ab":{"type":"null"},"b":{"type":"null"}},"additionalProperties":{"type":"integer"}}`, []string{`{}`, `{"a":1}`, `{"ab":null,"abc":1,"c":2}`, `{"b":null}`, `{"abc\n":1}`, `{"é":1}`},
			[]string{`{"ab":1}`, `{"c":null}`, `{"c":1,"ab":null}`, `{"b":null,"ab":null}`, `{"a\u0062":1}`}},
		{`{"type":"object","properties":{"a":{"type":"null"}},"required":["z"],"additionalProperties":{"type":"integer"}}`, []string{`{"z":1}`, `{"a":null,"z":1,"b":2}`}, []string{`{}`, `{"b":1,"z":1}`, `{"a":null}`}},
		{`{"properties":{"a":{}}}`, []string{`{}`, `{"a":[[[[[[[[]]]]]]]]}`}, []string{`{"b":1}`, `{"a":[[[[[[[[[]]]]]]]]]}`, `1`}},
		{`true`, []string{"1", `"x"`, "{}", "[]", "null"}, nil},
		{`{"oneOf":[{"type":"object","properties":{"k":{"const":"a"},"x":{"type":"null"}},"required":["k","x"]},{"type":"object","properties":{"k":{"const":"b"}},"required":["k"]},{"type":"string"}]}`,
			[]string{`{"k":"a","x":null}`, `{"k":"b"}`, `""`}, []string{`{"k":"a"}`, `{"k":"b","x":null}`}},
		{`{"allOf":[{"type":"null"}],"description":"x"}`, []string{"null"}, []string{"1"}},
		// What has no value is left out.
		{`{"type":"object","properties":{"a":false,"b":{"type":"null"}}}`, []string{"{}", `{"b":null}`}, []string{`{"a":1}`}},
		{`{"anyOf":[{"$ref":"#"},{"type":"null"},{"type":"object","properties":{"x":{"type":"integer","minimum":3,"maximum":2}},"required":["x"]}]}`, []string{"null"}, []string{"{"}},
	} {
		s, err := Compile([]byte(c.schema))
		if err != nil {
			t.Errorf("%s: %v", c.schema, err)
			continue
		}
		for _, text := range c.yes {
			if n, complete := write(t, s, text); !complete {
				t.Errorf("%s: %s is refused after %q", c.schema, text, text[:n])
			}
		}
		for _, text := range c.no {
			if _, complete := write(t, s, text); complete {
				t.Errorf("%s: %s is allowed", c.schema, text)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	for schema, want := range map[string]struct {
		path, keyword string
		unsupported   bool
	}{
		`{`:               {"#", "", false},
		`1`:               {"#", "", false},
		`{"type":"text"}`: {"#", "type", false},
		`{"type":[]}`:     {"#", "type", false},
		`{"pattern":"x"}`: {"#", "pattern", true},
		`{"type":"array","items":{"type":"string","format":"date"}}`:         {"#/items", "format", true},
		`{"type":"object","properties":{"a/b":{"not":{}}}}`:                  {"#/properties/a~1b", "not", true},
		`{"type":"string","minLength":3,"maxLength":2}`:                      {"#", "minLength", false},
		`{"type":"string","minLength":-1}`:                                   {"#", "minLength", false},
		`{"type":"number","minimum":"1"}`:                                    {"#", "minimum", false},
		`{"type":"number","minimum":1e999999999}`:                            {"#", "minimum", false},
		`{"type":"number","minimum":1e-999999999}`:                           {"#", "minimum", false},
		`{"type":"integer","minimum":3,"maximum":2}`:                         {"#", "", false},
		`{"type":"number","minimum":1e15}`:                                   {"#", "", false},
		`{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}`: {"#", "", false},
		`{"$ref":"#"}`:                                                     {"#", "", false},
		`{"$ref":"#/$defs/x"}`:                                             {"#", "$ref", false},
		`{"$ref":"http://example.org"}`:                                    {"#", "$ref", true},
		`{"anyOf":[{"type":"null"}],"type":"null"}`:                        {"#", "anyOf", true},
		`{"allOf":[{"type":"null"},{"type":"null"}]}`:                      {"#", "allOf", true},
		`{"oneOf":[{"type":"number"},{"type":"integer"}]}`:                 {"#", "oneOf", true},
		`{"oneOf":[{"const":1},{"const":1.0}]}`:                            {"#", "oneOf", true},
		`{"enum":[]}`:                                                      {"#", "enum", false},
		`{"enum":[1],"type":"string"}`:                                     {"#", "enum", false},
		`{"enum":[{"a":1,"a":2}]}`:                                         {"#", "enum", false},
		`{"minLength":1,"minItems":1}`:                                     {"#", "", true},
		`{"type":"object","properties":{},"required":["a"]}`:               {"#", "required", true},
		`{"type":"object","additionalProperties":false,"required":["a"]}`:  {"#", "required", true},
		`{"type":"array","minItems":2,"prefixItems":[{}],"items":false}`:   {"#", "", false},
		`{"anyOf":[` + strings.Repeat(`{"type":"string"},`, 64) + `{}]}`:   {"#", "anyOf", true},
		strings.Repeat(`{"items":`, 200) + "{}" + strings.Repeat("}", 200): {"#" + strings.Repeat("/items", 101), "", false},
		`{"type":"string","title":"` + strings.Repeat("x", maxSize) + `"}`: {"#", "", false},
	} {
		_, err := Compile([]byte(schema))
		var e *Error
		if !errors.As(err, &e) || e.Path != want.path || e.Keyword != want.keyword || errors.Is(err, errors.ErrUnsupported) != want.unsupported {
			t.Errorf("%.100s: %v (%+v), want %+v", schema, err, e, want)
		}
	}
}

// TestWork: what Compile reads grows with the schema, not with its square.
func TestWork(t *testing.T) {
	list := func(n int, form string) string {
		var all []string
		for i := range n {
			all = append(all, strings.ReplaceAll(form, "N", strconv.Itoa(i)))
		}
		return strings.Join(all, ",")
	}
	chain := `"0":{"type":"null"}`
	for i := range 1999 {
		chain += fmt.Sprintf(`,"%d":{"$ref":"#/$defs/%d"}`, i+1, i)
	}
	for name, text := range map[string]string{
		"references":       `{"type":"object","properties":{` + list(2000, `"pN":{"$ref":"#/$defs/dN"}`) + `},"$defs":{` + list(2000, `"dN":{"type":"string"}`) + `}}`,
		"into a list":      `{"type":"object","properties":{` + list(2000, `"pN":{"$ref":"#/$defs/all/anyOf/N"}`) + `},"$defs":{"all":{"anyOf":[` + list(2000, `{"type":"string"}`) + `]}}}`,
		"spelled two ways": `{"type":"object","properties":{` + list(2000, `"pN":{"$ref":"#/%24defs/%64"},"qN":{"$ref":"#/$defs/d"}`) + `},"$defs":{"d":{"type":"string","title":"` + strings.Repeat("x", 10000) + `"}}}`,
		"backwards":        `{"anyOf":[` + list(2000, `{"$ref":"#/$defs/N"}`) + `],"$defs":{` + chain + `}}`,
		"oneOf of enums":   `{"oneOf":[{"enum":[` + list(9000, `"aN"`) + `]},{"enum":[` + list(9000, `N`) + `]}]}`,
		"oneOf of objects": `{"oneOf":[{"properties":{` + list(9000, `"N":{}`) + `,"k":{"const":1}},"required":["k"]},{"properties":{` + list(9000, `"N":{}`) + `,"k":{"const":2}},"required":["k"]}]}`,
	} {
		c := newCompiler([]byte(text))
		if _, err := c.all(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if most := 10 * len(text); c.work > most {
			t.Errorf("%s: work %d for %d bytes, at most %d", name, c.work, len(text), most)
		}
	}

	nested := func(n int, before, inside, after string) string {
		return strings.Repeat(before, n) + inside + strings.Repeat(after, n)
	}
	long := strings.Repeat("x", 900_000)
	for name, text := range map[string]string{
		"values of an enum": `{"enum":[` + list(maxParts, "N") + `]}`,
		"nested schemas":    nested(99, `{"items":`, `{"title":"`+long+`"}`, "}"),
		"nested values":     `{"const":` + nested(5000, "[", `"`+long+`"`, "]") + `}`,
		"a long pointer":    `{"properties":{"a":{"$ref":"#/x` + strings.Repeat("/x", 5000) + `"}},"x":` + nested(5000, `{"x":`, `"`+long+`"`, "}") + `}`,
		"long names":        `{"properties":{"` + long[:100_000] + `":{"properties":{` + list(5000, `"N":{}`) + `}}}}`,
		"the same oneOf":    `{"anyOf":[` + list(5000, `{"oneOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/b"}]}`) + `],"$defs":{"a":{"properties":{` + list(5000, `"aN":{}`) + `,"k":{"const":1}},"required":["k"]},"b":{"properties":{` + list(5000, `"bN":{}`) + `,"k":{"const":2}},"required":["k"]}}}`,
		"recursive oneOf": `{"oneOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/b"}],"$defs":{"a":{"anyOf":[{"type":"null"},{"properties":{` + list(1000, `"N":{"$ref":"#/$defs/a"}`) + `},"required":[` + list(1000, `"N"`) + `]}]},` +
			`"b":{"anyOf":[{"properties":{` + list(1000, `"N":{"$ref":"#/$defs/b"}`) + `},"required":[` + list(1000, `"N"`) + `]},{"type":"boolean"}]}}}`,
	} {
		var e *Error
		if _, err := Compile([]byte(text)); !errors.As(err, &e) || !strings.Contains(e.Reason, "too much work") && !strings.Contains(e.Reason, "parts") {
			t.Errorf("%s: %.300v", name, err)
		}
	}
}

// TestApart: which literals oneOf sees to exclude each other.
func TestApart(t *testing.T) {
	for _, c := range []struct {
		a, b  string
		apart bool
	}{
		{`"a","b"`, `"c","d"`, true}, {`"a","b"`, `"c","b"`, false}, {`"a"`, `"\u0061"`, false}, {`"1"`, `1`, true}, {`true,null`, `false`, true}, {`true,null`, `false,null`, false},
		{`1,2`, `3`, true}, {`1,2`, `3,2.0`, false}, {`10`, `1e1`, false}, {`0`, `-0.0`, false}, {`1e999`, `2`, false}, {`1e999`, `"2"`, true}, {`1e999`, `1e998`, false},
		{`[1]`, `[2]`, false}, {`[1]`, `{}`, true}, {`{"a":1}`, `{}`, false}, {`{"a":1}`, `"a",1,null`, true},
	} {
		for _, text := range []string{`{"oneOf":[{"enum":[` + c.a + `]},{"enum":[` + c.b + `]}]}`, `{"oneOf":[{"enum":[` + c.b + `]},{"enum":[` + c.a + `]}]}`} {
			if _, err := Compile([]byte(text)); (err == nil) != c.apart {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
}

// TestFloat32: no number is written that encoding/json refuses as too large.
func TestFloat32(t *testing.T) {
	s, err := Of[float32]()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"1e99": false, "1e39": false, "999999999999999": true, "-999999999999999.5": true, "-0.25": true, "0": true} {
		if _, complete := write(t, s, text); complete != want {
			t.Errorf("%s: complete %v, want %v", text, complete, want)
		}
		var x float32
		if err := json.Unmarshal([]byte(text), &x); (err == nil) != want {
			t.Errorf("%s: encoding/json: %v", text, err)
		}
	}
}

// FuzzCompile: no schema makes the compiler fail other than with an error, and what
// it compiles can be written to its end.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		`{"type":"object","properties":{"a":{"type":["string","null"]},"b":{"enum":[1,"x"]}},"required":["a"],"additionalProperties":{"type":"number","minimum":-1.5}}`,
		`{"$defs":{"x":{"anyOf":[{"$ref":"#/$defs/x"},{"type":"array","items":{"$ref":"#"},"minItems":2}]}},"$ref":"#/$defs/x"}`,
		`{"oneOf":[{"const":{"a":[1,2]}},{"type":"integer","exclusiveMaximum":10}]}`, `true`, `{"prefixItems":[true,false],"maxItems":3}`,
	} {
		f.Add([]byte(seed), uint64(1))
	}
	v := bytesVocabulary()
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		if len(text) > 1<<12 {
			return
		}
		s, err := Compile(text)
		var e *Error
		if err != nil {
			if !errors.As(err, &e) || e.Reason == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		c := v.Constraint(s)
		var out []byte
		for range 200 {
			mask := make([]uint64, v.words())
			c.Mask(mask)
			var allowed []int32
			for id := range int32(v.size) {
				if has(mask, id) {
					allowed = append(allowed, id)
				}
			}
			if len(allowed) == 0 {
				t.Fatalf("%s: nothing may follow %q", text, out)
			}
			seed = seed*6364136223846793005 + 1442695040888963407
			id := allowed[(seed>>33)%uint64(len(allowed))]
			if has(mask, 256) { // rather than to go on for ever
				id = 256
			}
			if err := c.Accept(id); err != nil {
				t.Fatalf("%s: %q: %v", text, out, err)
			}
			if id == 256 {
				if !json.Valid(out) {
					t.Fatalf("%s: %q", text, out)
				}
				return
			}
			out = append(out, byte(id))
		}
	})
}
