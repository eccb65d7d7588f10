package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/bench"
	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/plot"
)

// report has two thread counts, two contexts, a peer and a device without
// limits.
func report() *bench.Report {
	r := &bench.Report{Machine: bench.Machine{CPU: "A processor"}}
	summary := func(v float64) bench.Summary { return bench.Summary{N: 1, Median: v, Q1: v, Q3: v, Min: v, Max: v} }
	for _, threads := range []int{1, 2} {
		for _, test := range []bench.Test{{Kind: bench.Prefill, Tokens: 512}, {Kind: bench.Decode, Context: 10}, {Kind: bench.Decode, Context: 2000}} {
			cost := bench.Cost{Bytes: 5e8, Flop: 5e8}
			if test.Kind == bench.Prefill {
				cost.Bytes = 1e6
			}
			s := bench.Subject{Engine: bench.Engine, Model: "270M", Device: "cpu", Threads: threads}
			rate := float64(threads*20) - float64(test.Context)/1000
			r.Results = append(r.Results, bench.Result{
				Subject: s, Test: test, Summary: summary(rate), Cost: &cost,
				Limit: &bench.Limit{Read: summary(12e9 * float64(threads)), MulAdd: summary(90e9 * float64(threads))},
			})
			s.Engine = "llama.cpp"
			r.Results = append(r.Results, bench.Result{Subject: s, Test: test, Summary: summary(rate / 2)})
		}
	}
	r.Results = append(r.Results, bench.Result{
		Subject: bench.Subject{Engine: bench.Engine, Model: "270M", Device: "metal"},
		Test:    bench.Test{Kind: bench.Decode, Context: 10}, Summary: summary(100), Cost: &bench.Cost{Bytes: 5e8, Flop: 5e8},
	})
	return r
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := report()
	r.Version = bench.Version
	if err := r.WriteJSON(f); err != nil {
		t.Fatal(err)
	}
	files, err := drawFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, filepath.Base(f))
	}
	want := []string{"roofline.png", "roofline.svg", "threads.png", "threads.svg", "context.png", "context.svg", "bandwidth.png", "bandwidth.svg"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f, ".png") {
			if _, err := png.Decode(bytes.NewReader(data)); err != nil {
				t.Errorf("%s: %v", f, err)
			}
			continue
		}
		for d := xml.NewDecoder(bytes.NewReader(data)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", f, err)
			}
		}
		if !strings.Contains(string(data), "A processor") {
			t.Errorf("%s does not name the machine", f)
		}
	}
	for name, text := range map[string]string{
		"roofline.svg": "cpu, 2 threads: 24.0 GB/s, 180 GFLOP/s", "threads.svg": "270M, llama.cpp, prefill 512",
		"context.svg": "270M, llama.cpp, 1 thread", "bandwidth.svg": "reading only, cpu",
	} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), text) {
			t.Errorf("%s does not say %q", name, text)
		}
	}
}

// TestTicks: axes have labels, be they short, long or logarithmic.
func TestTicks(t *testing.T) {
	roof, err := roofline(report())
	if err != nil {
		t.Fatal(err)
	}
	threads, err := byThreads(report())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		axis      plot.Axis
		low, high float64
		want      string
	}{
		{roof.Y, 1.5, 21, "2 5 10 20"},
		{threads.X, 1, 2, "1 2"},
		{threads.X, 1, 64, "10 20 30 40 50 60"},
		{threads.Y, 0, 2.5, "0 0.5 1 1.5 2 2.5"},
		{threads.Y, 0, 1.05, "0 0.2 0.4 0.6 0.8 1"},
		{threads.Y, 0, 1200, "0 200 400 600 800 1000 1200"},
	} {
		var labels []string
		for _, tick := range test.axis.Tick.Marker.Ticks(test.low, test.high) {
			labels = append(labels, tick.Label)
		}
		if got := strings.Join(labels, " "); got != test.want {
			t.Errorf("%g to %g is marked %q, want %q", test.low, test.high, got, test.want)
		}
	}
}

// TestNothingToDraw: a report without results has no plots, which is no error.
func TestNothingToDraw(t *testing.T) {
	files, err := write(t.TempDir(), &bench.Report{})
	if err != nil || len(files) != 0 {
		t.Errorf("%v, %v", files, err)
	}
}
