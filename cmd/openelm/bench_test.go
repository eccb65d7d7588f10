package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/bench"
)

func TestBench(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "report")
	out, errs, err := try(t, "", "bench", "story", "--threads", "1,2", "--activations", "exact,bf16", "--prefill", "8", "--decode", "2,9", "--batch", "2", "--tokens", "2",
		"--reps", "2", "--warmup", "0", "--min-time", "1us", "--out", dir)
	if err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	for _, want := range []string{"prefill 8", "decode at 9", "decode 2 at 2", "2 threads over 1", "roofline", "rounded over exact", "adds/cycle"} {
		if !strings.Contains(out, want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
	if !strings.Contains(errs, "story: openelm, prefill 8") || strings.Contains(errs, "\x1b") {
		t.Errorf("progress, where there is no terminal, is\n%q", errs)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	for _, want := range []string{"report.txt", "report.json", "report.csv", "benchmarks.txt"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s in %v", want, names)
		}
	}
	f, err := os.Open(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	report, err := bench.ReadJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Results) != 16 || report.Interrupted {
		t.Errorf("%d results, want 4 tests on 2 thread counts, exact and rounded; interrupted %v", len(report.Results), report.Interrupted)
	}
}

func TestBenchErrors(t *testing.T) {
	for want, args := range map[string][]string{
		"no format \"xml\"":    {"--format", "xml"},
		"no backend \"tpu\"":   {"--backend", "tpu"},
		"no shape \"7T\"":      {"random:7T:bf16"},
		"no peers called":      {"--peers", "vllm"},
		"threads of 0":         {"--threads", "0"},
		"exact and bf16":       {"--activations", "f8"},
		"no device of the run": {"--activations", "bf16", "--backend", "metal"},
		"takes no --adapter":   {"--adapter", "x"},
		"no model \"nowhere\"": {"nowhere"},
	} {
		out, _, err := try(t, "", append([]string{"bench", "--quiet"}, args...)...)
		if err == nil || !strings.Contains(err.Error(), want) || out != "" {
			t.Errorf("%v: %v, want %q; output %q", args, err, want, out)
		}
	}
}
