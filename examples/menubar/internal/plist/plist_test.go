package plist_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/plist"
	"github.com/google/go-cmp/cmp"
)

// TestMarshal has Python read what is written.
func TestMarshal(t *testing.T) {
	text, err := plist.Marshal(plist.Dict{
		{Key: "a <&> \"b\"", Value: "line\n]]> é 🙂 '"},
		{Key: "yes", Value: true}, {Key: "no", Value: false}, {Key: "n", Value: -5},
		{Key: "list", Value: []string{"", "x"}}, {Key: "none", Value: []string{}},
		{Key: "dicts", Value: []plist.Dict{{}, {{Key: "k", Value: plist.Dict{{Key: "l", Value: 1}}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "python3", "-c", "import json, plistlib, sys; json.dump(plistlib.loads(sys.stdin.buffer.read()), sys.stdout)")
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v of\n%s", err, text)
	}
	var got any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"a <&> \"b\"": "line\n]]> é 🙂 '", "yes": true, "no": false, "n": -5.0,
		"list": []any{"", "x"}, "none": []any{},
		"dicts": []any{map[string]any{}, map[string]any{"k": map[string]any{"l": 1.0}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := plist.Marshal(plist.Dict{{Key: "a", Value: plist.Dict{{Key: "b", Value: 1.5}}}}); err == nil || !strings.Contains(err.Error(), "a: b: a property list holds no float64") {
		t.Errorf("of a float64: %v", err)
	}
}
