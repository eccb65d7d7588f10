package bench

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// WriteJSON writes everything, every sample included. A JSON Schema (draft 2020-12),
// report.schema.json, is beside the source.
func (r *Report) WriteJSON(w io.Writer) error {
	whole := *r
	// A list that is empty is one, not null.
	whole.Memory = append([]ThreadLimit{}, r.Memory...)
	whole.Results = append([]Result{}, r.Results...)
	whole.Ratios = append([]Ratio{}, r.Ratios...)
	whole.Notes = append([]string{}, r.Notes...)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(&whole)
}

// ReadJSON reads what WriteJSON wrote.
func ReadJSON(r io.Reader) (*Report, error) {
	report := &Report{}
	if err := json.NewDecoder(r).Decode(report); err != nil {
		return nil, fmt.Errorf("bench: report: %w", err)
	}
	if report.Version != Version {
		return nil, fmt.Errorf("bench: report of version %d, want %d", report.Version, Version)
	}
	return report, nil
}

// WriteCSV writes one line for every result, with a header.
func (r *Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	rows := [][]string{{"model", "format", "parameters", "weight_bytes", "engine", "variant", "device", "threads",
		"test", "tokens", "context", "batch", "unit", "n", "median", "mad", "q1", "q3", "min", "max",
		"bytes_per_token", "flop_per_token", "roofline", "bound", "dispatches_per_pass", "activations", "loaded", "adds_per_cycle"}}
	for i := range r.Results {
		s := &r.Results[i]
		m := s.Summary
		row := []string{s.Model, s.Format, strconv.FormatInt(s.Parameters, 10), strconv.FormatInt(s.WeightBytes, 10), s.Engine, s.Variant,
			s.Device, strconv.Itoa(s.Threads), string(s.Kind), strconv.Itoa(s.Tokens), strconv.Itoa(s.Context), strconv.Itoa(s.Batch),
			s.Kind.Unit(), strconv.Itoa(m.N), number(m.Median), number(m.MAD), number(m.Q1), number(m.Q3), number(m.Min), number(m.Max)}
		cost, roofline := []string{"", ""}, []string{"", ""}
		if s.Cost != nil && s.Kind.Rate() {
			cost = []string{number(s.Cost.Bytes), number(s.Cost.Flop)}
		}
		if s.Roofline != nil {
			roofline = []string{number(s.Roofline.Fraction.Median), s.Roofline.Bound}
		}
		dispatches := ""
		if s.PerPass != nil {
			dispatches = number(s.PerPass.Dispatches)
		}
		state := []string{"", ""}
		if s.Limit != nil && s.Limit.AddsPerCycle.N > 0 {
			state = []string{number(s.Limit.Loaded.Median), number(s.Limit.AddsPerCycle.Median)}
		}
		rows = append(rows, slices.Concat(row, cost, roofline, []string{dispatches, string(s.Activations)}, state))
	}
	return out.WriteAll(rows)
}

// WriteGo writes every sample in the format of Go's benchmarks, which
// golang.org/x/perf/cmd/benchstat compares, by engine for example:
//
//	benchstat -col /engine report.txt
func (r *Report) WriteGo(w io.Writer) error {
	_, err := fmt.Fprintf(w, "goos: %s\ngoarch: %s\ncpu: %s\n", r.Machine.OS, r.Machine.Arch, orUnknown(r.Machine.CPU))
	for i := range r.Results {
		s := &r.Results[i]
		for j, v := range s.Samples {
			if err == nil {
				_, err = fmt.Fprintf(w, "%s 1 %s\n", s.goName(), s.goValues(j, v))
			}
		}
	}
	return err
}

var goNames = map[Kind]string{
	Prefill: "Prefill", Decode: "Decode", Batch: "Batch", Load: "Load", NormsAlone: "Norms", FirstToken: "FirstToken", Steady: "Memory", Peak: "MemoryPeak",
}

// goName is a benchmark's name with its configuration, key=value, by which
// benchstat groups and compares.
func (r *Result) goName() string {
	engine := r.Engine
	if r.Variant != "" {
		engine += "+" + r.Variant
	}
	if r.Activations == Rounded {
		engine += "+rounded"
	}
	parts := []string{"Benchmark" + goNames[r.Kind], "model=" + r.Model, "engine=" + engine, "device=" + r.Device}
	for _, p := range []struct {
		key   string
		value int
	}{{"threads", r.Threads}, {"tokens", r.Tokens}, {"context", r.Context}, {"batch", r.Batch}} {
		if p.value > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", p.key, p.value))
		}
	}
	for i, p := range parts {
		// A slash begins the next part and a space ends the name; a dash and
		// digits at the end would be GOMAXPROCS, but every name ends in =digits
		// or in a device's name.
		parts[i] = strings.NewReplacer("/", "_", " ", "_", ",", "").Replace(p)
	}
	return strings.Join(parts, "/")
}

// goValues are sample j, v, and what follows from it.
func (r *Result) goValues(j int, v float64) string {
	switch r.Kind.Unit() {
	case "s":
		return fmt.Sprintf("%.0f ns/op", 1e9*v)
	case "B":
		return fmt.Sprintf("%g B", v)
	}
	text := fmt.Sprintf("%.0f ns/tok %g tok/s", 1e9/v, v)
	if r.Cost != nil {
		text += fmt.Sprintf(" %g B/s", r.Cost.Bytes*v)
	}
	if j < len(r.limits) {
		best, _ := r.Cost.time(r.limits[j])
		text += fmt.Sprintf(" %g %%roofline", 100*best*v)
	}
	if j < len(r.States) {
		text += fmt.Sprintf(" %g adds/cycle", r.States[j].AddsPerCycle)
	}
	if r.PerPass != nil {
		text += fmt.Sprintf(" %g dispatch/pass", r.PerPass.Dispatches)
	}
	return text
}
