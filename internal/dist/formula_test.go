package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ruby runs testdata/formula.rb, which stands in for Homebrew.
func ruby(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ruby", append([]string{"-w", "testdata/formula.rb"}, args...)...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || errs.Len() > 0 {
		t.Fatalf("ruby %v: %v\n%s", args, err, errs.String())
	}
	return out
}

type archiveFact struct {
	URL    string `json:"url"`
	SHA256 string `json:"sha256"`
	Branch string `json:"branch"`
	Needs  any    `json:"depends_on"`
}

type formulaFacts struct {
	Desc, Homepage, License, Version string
	Archives                         map[string]archiveFact
	Head                             *archiveFact
}

func facts(t *testing.T, name string) (f formulaFacts) {
	t.Helper()
	if err := json.Unmarshal(ruby(t, name), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFormula evaluates the formula of the repository, and that of a release.
func TestFormula(t *testing.T) {
	const url = "https://github.com/go-openelm/go-openelm"
	text, err := os.ReadFile(root + "/Formula/openelm.rb")
	if err != nil {
		t.Fatal(err)
	}
	head := &archiveFact{URL: url + ".git", Branch: "main", Needs: map[string]any{"go": "build"}}
	got := facts(t, root+"/Formula/openelm.rb")
	if len(got.Desc) > 80 || got.Homepage != url || got.License != "MIT" || !cmp.Equal(got.Head, head) {
		t.Errorf("the repository's formula is %+v", got)
	}

	sums := map[string]string{}
	want := map[string]archiveFact{}
	for i, p := range platforms {
		sums[tested.archiveName(p)] = strings.Repeat(string(rune('a'+i)), 64)
		if p.os == "windows" {
			continue
		}
		key := map[string]string{"darwin": "macos", "linux": "linux"}[p.os] + "-" + map[string]string{"arm64": "arm", "amd64": "intel"}[p.arch]
		name := "openelm-1.2.3-" + p.os + "-" + p.arch + ".tar.gz"
		want[key] = archiveFact{URL: url + "/releases/download/v1.2.3/" + name, SHA256: sums[name]}
	}
	released, err := tested.formula(string(text), sums)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "openelm.rb")
	if err := os.WriteFile(name, []byte(released), 0o666); err != nil {
		t.Fatal(err)
	}
	got = facts(t, name)
	if diff := cmp.Diff(want, got.Archives); diff != "" || got.Version != "1.2.3" || !cmp.Equal(got.Head, head) {
		t.Errorf("the release's formula has version %q, head %+v, archives (-want +got)\n%s", got.Version, got.Head, diff)
	}

	// It installs what an archive's folder holds: here scripts by the programs' names.
	folder, prefix := t.TempDir(), t.TempDir()
	var names []string
	for _, program := range programs {
		names = append(names, program.name)
		if err := os.WriteFile(filepath.Join(folder, program.name), []byte("#!/bin/sh\necho v1.2.3 Once upon a time\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ruby(t, name, "stable", folder, prefix)
	var installed []string
	entries, err := os.ReadDir(filepath.Join(prefix, "bin"))
	for _, e := range entries {
		installed = append(installed, e.Name())
	}
	if diff := cmp.Diff(names, installed); err != nil || diff != "" {
		t.Errorf("installed are (-want +got)\n%s, error %v", diff, err)
	}

	if again, err := tested.formula(released, sums); err != nil || again != released {
		t.Errorf("the next release finds no place in this one's: %v\n%s", err, again)
	}
	delete(sums, "openelm-1.2.3-linux-arm64.tar.gz")
	if _, err := tested.formula(string(text), sums); err == nil || !strings.Contains(err.Error(), "openelm-1.2.3-linux-arm64.tar.gz") {
		t.Errorf("with an archive missing: %v", err)
	}
	if _, err := tested.formula("class Openelm < Formula\nend\n", sums); err == nil {
		t.Error("no error for a formula without a place for a release")
	}
}

// TestFormulaInstalls runs install and test of the formula, from source.
func TestFormulaInstalls(t *testing.T) {
	source, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	ruby(t, root+"/Formula/openelm.rb", "head", source, t.TempDir())
}
