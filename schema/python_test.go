package schema

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"github.com/go-openelm/go-openelm/internal/testing/pyenv"
	"github.com/go-openelm/go-openelm/loader/tokenizer"
	"github.com/go-openelm/go-openelm/story"
)

// limits are where a number has all the digits that are written here.
var limits = regexp.MustCompile(`(\d{15}|[eE][-+]?\d\d)$`)

// TestLLGuidance: at each step of random texts to random schemas, the tokens that may
// follow are those that llguidance (PyPI) allows, but for more digits than are
// written here.
func TestLLGuidance(t *testing.T) {
	schemas := 100
	if os.Getenv("OPENELM_SOAK") != "" {
		schemas = 2000
	}
	tokens, err := tokenizer.Load(story.FS(), ".")
	if err != nil {
		t.Fatal(err)
	}
	var pieces [][]byte
	for id := range int32(tokens.VocabSize()) {
		pieces = append(pieces, tokens.Bytes(id))
	}
	v := newVocabulary(pieces, []int32{tokens.EOS()})
	type request struct {
		Schema any     `json:"schema"`
		Text   []int32 `json:"text"`
	}
	var cases []request
	var masks [][][]uint64
	var written [][]string
	for seed := range schemas {
		r := rand.New(rand.NewPCG(uint64(seed), 2))
		root := bothSupport(r, 3)
		text, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Compile(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		q := request{root, []int32{}}
		c := v.Constraint(s)
		out := ""
		var steps [][]uint64
		var texts []string
		for range 30 {
			mask := make([]uint64, v.words())
			c.Mask(mask)
			steps, texts = append(steps, mask), append(texts, out)
			// Those that say something of the structure come more often.
			var allowed []int32
			for id := range int32(v.size) {
				if has(mask, id) && id != tokens.EOS() {
					allowed = append(allowed, id)
					if !plain(pieces[id]) {
						allowed = append(allowed, slices.Repeat([]int32{id}, 20)...)
					}
				}
			}
			if len(allowed) == 0 {
				break
			}
			id := allowed[r.IntN(len(allowed))]
			if err := c.Accept(id); err != nil {
				t.Fatal(err)
			}
			out += string(pieces[id])
			q.Text = append(q.Text, id)
		}
		q.Text = q.Text[:len(steps)-1]
		cases, masks, written = append(cases, q), append(masks, steps), append(written, texts)
	}

	var answer []struct {
		Masks [][]byte
		Error string
	}
	llguidance(t, map[string]any{"tokens": pieces, "eos": tokens.EOS(), "cases": cases}, &answer)
	compared := 0
	for i, a := range answer {
		if len(a.Masks) != len(masks[i]) {
			t.Errorf("%v: llguidance ends after %d of %d steps, %q: %s", cases[i].Schema, len(a.Masks), len(masks[i]), written[i][len(a.Masks)-1], a.Error)
			continue
		}
		for j, want := range a.Masks {
			compared++
			ours, theirs := masks[i][j], make([]uint64, v.words())
			n := 0
			for id := range int32(v.size) {
				if binary.LittleEndian.Uint32(want[id/32*4:])>>(id%32)&1 != 0 {
					set(theirs, id)
					n++
				}
			}
			if n == 1 && forced(pieces, ours, theirs) {
				continue
			}
			for id := range int32(v.size) {
				if has(ours, id) != has(theirs, id) && !(has(theirs, id) && limits.MatchString(written[i][j])) {
					text, _ := json.Marshal(cases[i].Schema)
					t.Errorf("%s: after %q, token %q: allowed %v, by llguidance %v", text, written[i][j], pieces[id], has(ours, id), has(theirs, id))
					break
				}
			}
		}
	}
	t.Logf("%d masks", compared)
	if compared < 3*schemas {
		t.Errorf("only %d masks were compared", compared)
	}
}

// forced reports whether only one text may follow, of which llguidance allows one
// token alone, and whether that is among ours.
func forced(pieces [][]byte, ours, theirs []uint64) bool {
	var longest []byte
	same := false
	for id, p := range pieces {
		if has(ours, int32(id)) {
			if len(p) > len(longest) {
				longest = p
			}
			same = same || has(theirs, int32(id))
		}
	}
	for id, p := range pieces {
		if has(ours, int32(id)) && (len(p) == 0 || !bytes.HasPrefix(longest, p)) {
			return false
		}
	}
	return same
}

// llguidance runs testdata/masks.py.
func llguidance(t *testing.T, request, answer any) {
	t.Helper()
	program := pyenv.New(t, "llguidance==1.9.1")
	input, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "testdata/masks.py")
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &stderr
	output, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(output, answer)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
}

// bothSupport is a random schema of what both support in the same way: no numbers
// with bounds and a point, no other properties beside those that are named, and no
// constants with characters that llguidance may escape in two ways.
func bothSupport(r *rand.Rand, depth int) any {
	type object = map[string]any
	kinds := 9
	if depth == 0 {
		kinds = 5
	}
	switch r.IntN(kinds) {
	case 0:
		s := object{"type": "string"}
		if r.IntN(2) == 0 {
			s["minLength"], s["maxLength"] = r.IntN(3), 3+r.IntN(5)
		}
		return s
	case 1:
		s := object{"type": "integer"}
		if r.IntN(3) > 0 {
			low := r.IntN(3000) - 1500
			s["minimum"], s["maximum"] = low, low+1+r.IntN(2000)
		}
		return s
	case 2:
		return object{"type": []string{"number", "boolean", "null"}[r.IntN(3)]}
	case 3:
		return object{"enum": []any{"a", "ab", "the \"fox\"", 12, 1, nil, "é"}[:1+r.IntN(7)]}
	case 4:
		return object{"type": []string{"string", "null", "boolean"}[r.IntN(2):]}
	case 5:
		s := object{"type": "array", "items": bothSupport(r, depth-1), "minItems": r.IntN(2)}
		if r.IntN(2) == 0 {
			s["maxItems"] = 1 + r.IntN(3)
		}
		if r.IntN(3) == 0 {
			s["prefixItems"] = []any{bothSupport(r, depth-1)}
		}
		return s
	case 6:
		return object{"anyOf": []any{bothSupport(r, depth-1), bothSupport(r, depth-1)}}
	case 7:
		return object{"type": "object", "additionalProperties": bothSupport(r, depth-1)}
	}
	properties, required := object{}, []string{}
	for _, name := range []string{"a", "ab", "b", "the fox", "é"}[r.IntN(5):] {
		properties[name] = bothSupport(r, depth-1)
		if r.IntN(2) == 0 {
			required = append(required, name)
		}
	}
	return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}
