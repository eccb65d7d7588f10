package gpumodel

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"pgregory.net/rapid"

	"github.com/go-openelm/go-openelm/loader"
)

// drawToken draws a token of a few stages.
func drawToken(t *rapid.T) Token {
	stage := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Dispatch {
		return Dispatch{
			Threadgroups: rapid.IntRange(1, 4000).Draw(t, "threadgroups"), SIMDGroups: rapid.IntRange(1, 32).Draw(t, "SIMD-groups"),
			Resident: rapid.IntRange(0, 8).Draw(t, "resident"), Bytes: rapid.Float64Range(1, 1e9).Draw(t, "bytes"),
			Slots: rapid.Float64Range(0, 1e10).Draw(t, "slots"), InFlight: rapid.Float64Range(4, 128).Draw(t, "in flight"),
			Prologue: rapid.Float64Range(0, 5e-6).Draw(t, "prologue"), Registers: rapid.Float64Range(0, 128).Draw(t, "registers"),
		}
	}), 1, 3)
	var stages []Stage
	for range rapid.IntRange(1, 4).Draw(t, "stages") {
		stages = append(stages, stage.Draw(t, "stage"))
	}
	return Token{Stages: stages, Host: rapid.Float64Range(0, 1e-3).Draw(t, "host"), StageCost: rapid.SampledFrom([]float64{0, MLXStageCost}).Draw(t, "cost")}
}

// A range holds its central value; of two equal tokens none is faster; one that does more takes longer.
func TestRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chip := rapid.SampledFrom(Chips).Draw(t, "chip")
		token := drawToken(t)
		s := Speed(chip, token)
		if !(s.Low > 0 && s.Low <= s.Central && s.Central <= s.High) {
			t.Fatalf("speed %v", s)
		}
		if same := Ratio(chip, token, token); same != (Range{1, 1, 1}) || same.Verdict() != "not told apart" {
			t.Fatalf("%v of itself: %s", same, same.Verdict())
		}
		more := token.guessed(guess{1, 1})
		d := &more.Stages[0][0]
		switch rapid.SampledFrom([]string{"bytes", "slots", "host", "registers", "stage"}).Draw(t, "more") {
		case "bytes":
			d.Bytes *= 2
		case "slots":
			d.Slots += 1e9
		case "host":
			more.HostGuess += 1e-4
		case "registers":
			d.Registers += 100
		case "stage":
			more.Stages = append(more.Stages, Stage{{Threadgroups: 1, SIMDGroups: 1, InFlight: 4}})
		}
		if r := Ratio(chip, more, token); r.High > 1 {
			t.Fatalf("more work is faster: %v", r)
		}
	})
}

func TestVerdict(t *testing.T) {
	for r, want := range map[Range]string{
		{1.01, 1.3, 1.5}:  "faster",
		{1.0, 1.3, 1.5}:   "not told apart", // touches 1
		{1.01, 1.2, 1.5}:  "not told apart", // within the model's worst error
		{0.5, 0.7, 0.99}:  "slower",
		{0.5, 0.7, 1.0}:   "not told apart",
		{0.9, 0.95, 0.99}: "not told apart",
	} {
		if got := r.Verdict(); got != want {
			t.Errorf("%v: %s, want %s", r, got, want)
		}
	}
}

// No figure is written without its range.
func TestRangeString(t *testing.T) {
	form := regexp.MustCompile(`^[0-9.]+ \[[0-9.]+–[0-9.]+\]$`)
	rapid.Check(t, func(t *rapid.T) {
		r := Range{rapid.Float64Range(0, 1e7).Draw(t, "low"), rapid.Float64Range(0, 1e7).Draw(t, "central"), rapid.Float64Range(0, 1e7).Draw(t, "high")}
		if !form.MatchString(r.String()) {
			t.Fatal(r.String())
		}
	})
	for r, want := range map[Range]string{{275.4, 312.9, 341.2}: "313 [275–341]", {0.751, 0.906, 1.07}: "0.906 [0.751–1.07]", {8.11, 9.996, 12}: "10.00 [8.11–12.0]"} {
		if got := r.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// The graphs of the other engines, for OpenELM: as many dispatches as llama.cpp and MLX make of it.
func TestEngines(t *testing.T) {
	for name, layers := range map[string]int{"270M": 16, "450M": 20, "1_1B": 28, "3B": 36} {
		text, err := os.ReadFile(filepath.Join("..", "..", "testdata", "configs", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := loader.ParseConfig(text)
		if err != nil {
			t.Fatal(err)
		}
		ggml, mlx := GGML.Token(OpenELM(c), BF16, BF16, 64), MLX.Token(OpenELM(c), BF16, BF16, 64)
		if n, stages := ggml.Dispatches(), len(ggml.Stages); n != 18*layers+3 || stages != 14*layers+3 {
			t.Errorf("%s: llama.cpp makes %d dispatches in %d stages", name, n, stages)
		}
		if n, stages := mlx.Dispatches(), len(mlx.Stages); n != 17*layers+3 || stages != 13*layers+3 {
			t.Errorf("%s: MLX makes %d dispatches in %d stages", name, n, stages)
		}
		if b := ggml.Bytes(); b < 2*float64(c.VocabSize*c.ModelDim) {
			t.Errorf("%s: %g bytes", name, b)
		}
	}
}

func Example() {
	layer := Layer{Heads: 32, KVHeads: 8, FFN: 8192}
	model := Uniform(16, layer, Model{Dim: 2048, HeadDim: 64, Vocab: 128256})
	chip, _ := ChipNamed("M2 Max 38c")
	ggml, mlx := GGML.Token(model, Q8_0, Q8_0, 64), MLX.Token(model, Affine8, Affine8, 64)
	fmt.Println("llama.cpp, tokens a second:", Speed(chip, ggml))
	ratio := Ratio(chip, mlx, ggml)
	fmt.Println("MLX over llama.cpp:", ratio, ratio.Verdict())
	// Output:
	// llama.cpp, tokens a second: 200 [184–216]
	// MLX over llama.cpp: 1.18 [1.14–1.23] not told apart
}
