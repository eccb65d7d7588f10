package tuning

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/kernels/gpu"
)

var some = &gpu.Tuning{Matvec: []gpu.MatvecTuning{{Format: "Q4_0", Gated: true, SIMDGroups: [3]int{1, 4, 8}}}, MatmulThreadgroups: 64, ChooseThreads: 512}

// TestKept saves a tuning, uses it, and spoils it in every way: then it is not
// used, and one line says why.
func TestKept(t *testing.T) {
	metalsim.Start(t)
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", dir)
	t.Setenv("HOME", dir)
	b, err := gpu.Open(gpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	lines := func() string {
		var log bytes.Buffer
		Use(b, slog.New(slog.NewTextHandler(&log, nil)))
		return log.String()
	}
	if got := lines(); got != "" {
		t.Errorf("without a file: %s", got)
	}
	path, err := Save(t.Context(), b, some)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(path, dir) || strings.ContainsAny(filepath.Base(path), " ()") {
		t.Errorf("kept in %q", path)
	}
	if got := lines(); got != "" {
		t.Errorf("a good file: %s", got)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, new, says string }{
		"another device":  {b.Name(), "Apple M9", "device"},
		"another system":  {system(), "macOS 99", "system"},
		"other kernels":   {gpu.SourceDigest(), "0123", "kernels"},
		"another variant": {"512", "511", "511 threads"},
		"no JSON":         {"{", "[", "invalid character"},
		"half of it":      {string(good[len(good)/2:]), "", "unexpected EOF"},
		"a stray field":   {`"device"`, `"devise"`, "unknown field"},
		"no tuning":       {`"tuning": {`, `"tuning": null}` + "\n{", "no tuning"},
		"too long":        {string(good), strings.Repeat(" ", maxSize+1), "more than"},
		"empty":           {string(good), "", "EOF"},
	} {
		bad := strings.Replace(string(good), c.old, c.new, 1)
		if err := os.WriteFile(path, []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := lines(); strings.Count(got, "\n") != 1 || !strings.Contains(got, c.says) || !strings.Contains(got, filepath.Base(path)) {
			t.Errorf("%s: log %q, want a line about %q", name, got, c.says)
		}
	}
}

// FuzzParse: what is not a tuning is an error, not a crash.
func FuzzParse(f *testing.F) {
	text, err := json.Marshal(file{"Apple M2", system(), gpu.SourceDigest(), some})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"tuning":{"matvec":[{"simdgroups":[1,2,3,4]}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if tuning, err := parse(text, "Apple M2"); (tuning == nil) == (err == nil) {
			t.Errorf("%v and error %v", tuning, err)
		}
	})
}
