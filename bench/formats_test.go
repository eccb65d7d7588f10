package bench

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/perf/benchfmt"
)

// limits is a sample of them, in a state of the machine.
func limits(read, mulAdd float64) LimitSample {
	return LimitSample{Read: read, MulAdd: mulAdd, TileMulAdd: 2 * mulAdd, State: State{Loaded: 0.5, AddsPerCycle: 2}}
}

// sampleReport has every kind of result, and names that need care.
func sampleReport() *Report {
	r := &Report{Version: Version, Machine: Machine{CPU: "A processor", OS: "linux", Arch: "amd64", Cores: 2, Memory: 1 << 30, Go: "go1"}}
	r.Memory = []ThreadLimit{{Threads: 2, Level: "AVX2", Limit: summarizeLimits([]LimitSample{limits(1e9, 2e9), limits(3e9, 4e9)})}}
	r.Tuning = []Tuning{{
		Device: "Apple M2", Trials: []Trial{{Kernel: "k", Launch: "l", Variants: []Variant{{"a", 1e-5}, {"b", 2e-5}}, Chosen: 1}},
		Sweep: []SweepPoint{{Threadgroups: 4, SIMDGroups: 1, Bytes: 1 << 20, Seconds: 1e-5}},
	}}
	s := Subject{Engine: Engine, Activations: Exact, Model: "a/b c, d=4-2", Format: "BF16", Device: "cpu", Threads: 2, Parameters: 10, WeightBytes: 20, Norms: 5, Operations: 7}
	for i, k := range []Kind{Prefill, Decode, Batch, Load, NormsAlone, FirstToken, Steady, Peak} {
		result := Result{Subject: s, Test: Test{Kind: k, Tokens: i}, Samples: []float64{1 + float64(i), 2, 1.5}}
		if k.Rate() {
			result.Cost = &Cost{Bytes: 1e9, Flop: 2e9}
			result.limits = []LimitSample{limits(2e9, 8e9), limits(2e9, 8e9), limits(4e9, 8e9)}
			result.PerPass = &PassCounts{Dispatches: 83}
		}
		if k == Decode {
			result.Variant, result.Context = "norms one by one, 8 passes", 10
			result.Activations = Rounded
		}
		result.summarize()
		r.Results = append(r.Results, result)
	}
	r.Ratios = []Ratio{{What: "w", Test: "t", A: "a", B: "b", Value: summarize([]float64{1})}}
	return r
}

func write(t *testing.T, f func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := f(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSummaryOfResult(t *testing.T) {
	decode := sampleReport().Results[1] // 2, 2, 1.5 tokens/s of 1e9 bytes, at 2, 2 and 4 GB/s
	want := &Roofline{Fraction: summarize([]float64{1, 1, 0.375}), Bound: "memory"}
	if diff := cmp.Diff(want, decode.Roofline); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

//go:embed report.schema.json
var schema []byte

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("report.schema.json", document); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("report.schema.json")
}

func validate(schema *jsonschema.Schema, text string) error {
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(document)
}

func TestJSON(t *testing.T) {
	schema := compileSchema(t)
	for name, r := range map[string]*Report{"full": sampleReport(), "empty": {Version: Version, Machine: Machine{Cores: 1}}} {
		text := write(t, r.WriteJSON)
		if err := validate(schema, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		back, err := ReadJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, back, cmpopts.IgnoreUnexported(Result{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s came back different (-wrote +read):\n%s", name, diff)
		}
	}
	// The schema holds something: a member that is missing, or one too many.
	for _, change := range []func(m map[string]any){
		func(m map[string]any) { delete(m, "machine") },
		func(m map[string]any) { m["more"] = 1 },
		func(m map[string]any) { m["results"].([]any)[0].(map[string]any)["kind"] = "speed" },
	} {
		var m map[string]any
		if err := json.Unmarshal([]byte(write(t, sampleReport().WriteJSON)), &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var invalid *jsonschema.ValidationError
		if err := validate(schema, string(text)); !errors.As(err, &invalid) {
			t.Errorf("a wrong report passed: %v", err)
		}
	}
	if _, err := ReadJSON(strings.NewReader(`{"version": 99}`)); err == nil {
		t.Error("a report of another version was read")
	}
}

func TestCSV(t *testing.T) {
	r := sampleReport()
	rows, err := csv.NewReader(strings.NewReader(write(t, r.WriteCSV))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1+len(r.Results) {
		t.Fatalf("%d rows for %d results", len(rows), len(r.Results))
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, want := range []struct {
		row         int
		name, value string
	}{
		{1, "model", "a/b c, d=4-2"}, {1, "test", "prefill"}, {2, "variant", "norms one by one, 8 passes"},
		{2, "median", "2"}, {2, "roofline", "1"}, {2, "dispatches_per_pass", "83"}, {2, "bound", "memory"}, {1, "activations", "exact"}, {2, "activations", "bf16"}, {2, "loaded", "0.5"}, {2, "adds_per_cycle", "2"}, {4, "loaded", ""}, {4, "unit", "s"}, {4, "roofline", ""},
	} {
		if got := rows[want.row][column[want.name]]; got != want.value {
			t.Errorf("row %d: %s is %q, want %q", want.row, want.name, got, want.value)
		}
	}
}

// TestGoFormat reads the benchmark format with the reader that benchstat uses.
func TestGoFormat(t *testing.T) {
	r := sampleReport()
	in := benchfmt.NewReader(strings.NewReader(write(t, r.WriteGo)), "report")
	i, j := 0, 0
	for in.Scan() {
		got, ok := in.Result().(*benchfmt.Result)
		if !ok {
			t.Fatalf("%v", in.Result())
		}
		want := r.Results[i]
		if cpu := got.GetConfig("cpu"); cpu != "A processor" {
			t.Errorf("cpu is %q", cpu)
		}
		base, parts := got.Name.Parts()
		if string(base) != goNames[want.Kind] {
			t.Errorf("result %d is called %s", i, got.Name)
		}
		keys := map[string]string{}
		for _, p := range parts {
			key, value, found := strings.Cut(strings.TrimPrefix(string(p), "/"), "=")
			if !found {
				t.Errorf("%s: %q has no key", got.Name, p)
			}
			keys[key] = value
		}
		if keys["model"] != "a_b_c_d=4-2" || keys["threads"] != "2" {
			t.Errorf("%s: %v", got.Name, keys)
		}
		unit, sample := map[string]string{"tok/s": "tok/s", "s": "sec/op", "B": "B"}[want.Kind.Unit()], want.Samples[j]
		if v, ok := got.Value(unit); !ok || math.Abs(v-sample) > 1e-9 {
			t.Errorf("%s: %g %s, want %g: %v", got.Name, v, unit, sample, got.Values)
		}
		if j++; j == len(want.Samples) {
			i, j = i+1, 0
		}
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	if i != len(r.Results) {
		t.Errorf("%d of %d results", i, len(r.Results))
	}
}

func TestTable(t *testing.T) {
	r := sampleReport()
	r.Interrupted = true
	text := write(t, r.WriteTable)
	for _, want := range []string{"A processor", "norms one by one", "100%", "memory", "interrupted", "2000.0 ms", "dispatches", "one, 8 passes, rounded", "50…50%", "2.0…2.0", "tiles GFLOP/s"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
