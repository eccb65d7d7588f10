package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/openelm"
)

func TestPerplexity(t *testing.T) {
	dir := t.TempDir()
	text, q8 := filepath.Join(dir, "text"), filepath.Join(dir, "q8.gguf")
	if err := os.WriteFile(text, []byte(strings.Repeat(tale, 4)), 0o666); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "", "convert", "-q", "--to", "q8_0", "-o", q8)
	if out := mustRun(t, "", "perplexity", "-q", text); !strings.HasPrefix(out, "perplexity 1.") || !strings.Contains(out, " ± ") || !strings.Contains(out, "windows") {
		t.Errorf("said %q", out)
	}
	var alone, beside map[string]float64
	if err := json.Unmarshal([]byte(mustRun(t, strings.Repeat(tale, 4), "perplexity", "-q", "--json", "-")), &alone); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(mustRun(t, "", "perplexity", "-q", "--json", "-m", q8, "--against", "story", text)), &beside); err != nil {
		t.Fatal(err)
	}
	if a, b := alone["perplexity"], beside["other_perplexity"]; a != b || beside["kl"] <= 0 || beside["kl"] > 1e-3 || beside["same_top"] < 0.99 || alone["windows"] < 2 {
		t.Errorf("%v, beside another %v", alone, beside)
	}
	var rounded map[string]float64
	if err := json.Unmarshal([]byte(mustRun(t, "", "perplexity", "-q", "--json", "--activations", "bf16", "--against", "story", text)), &rounded); err != nil {
		t.Fatal(err)
	}
	if rounded["other_perplexity"] != alone["perplexity"] || rounded["kl"] <= 0 || rounded["logit_max_difference"] < 1e-3 || rounded["logit_max_difference"] > 1 {
		t.Errorf("alone %v, with rounded activations %v", alone, rounded)
	}
	out, errs, err := try(t, "", "perplexity", "-m", q8, "--against", "story", "--context", "64", text)
	if err != nil || errs != "" || strings.Count(out, "\n") != 7 || strings.Contains(out, "\r") {
		t.Errorf("%v, %q: %q", err, errs, out)
	}
	for _, c := range []struct {
		args []string
		want string
		is   error
	}{
		{[]string{}, "one file", nil},
		{[]string{os.DevNull}, "no text", errEmptyFile},
		{[]string{filepath.Join(dir, "none")}, "none", os.ErrNotExist},
		{[]string{dir}, dir, nil},
		{[]string{text, "--context", "-1"}, "--context -1", nil},
		{[]string{text, "--context", "513"}, "513", openelm.ErrArgument},
		{[]string{text, "--against", filepath.Join(dir, "none")}, "none", os.ErrNotExist},
		{[]string{text, "--against", "../../testdata/golden/gguf-f16/model.gguf"}, "vocabular", nil},
	} {
		out, _, err := try(t, "", append([]string{"perplexity", "-q"}, c.args...)...)
		if err == nil || out != "" || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%q: %v, printed %q", c.args, err, out)
		}
	}
}
