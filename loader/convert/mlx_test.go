package convert_test

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/go-openelm/go-openelm/internal/testing/pyenv"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/convert"
	"github.com/go-openelm/go-openelm/story"
)

// TestMLX: mlx-lm loads what is written here, model and tokenizer, and computes
// the same logits. Part of make soak, for the size of mlx-lm and of what it needs.
func TestMLX(t *testing.T) {
	if os.Getenv("OPENELM_SOAK") == "" {
		t.Skip("part of make soak")
	}
	python := pyenv.New(t, "mlx-lm==0.32.2", "mlx[cpu]==0.32.4", "transformers==5.24.0", "sentencepiece==0.2.3", "protobuf==7.36.2")
	m := openStory(t)
	const text = "Once upon a time, there was a little fox. The capital of France is Paris."
	formats := []struct {
		name string
		most float64 // mlx rounds activations to the type of the weights, or of the scales; logits are up to 20
	}{
		{"safetensors-f32", 1e-3}, {"safetensors-bf16", 1.5}, {"safetensors-f16", 0.25},
		{"mlx-4-f32", 1e-3}, {"mlx-8-g32-f32", 1e-3}, {"mlx-4-g128-f32", 1e-3}, {"mlx-4", 1.5}, {"mlx-8-f16", 0.25},
	}
	args := []string{"testdata/mlx_logits.py", text}
	for _, f := range formats {
		args = append(args, filepath.Join(t.TempDir(), "model"))
		write(t, args[len(args)-1], m, &convert.Options{Format: format(t, f.name), Beside: story.FS()})
	}
	output, err := exec.CommandContext(t.Context(), python, args...).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, err.(*exec.ExitError).Stderr)
	}
	var all map[string]struct {
		Tokens []int32
		Logits []float32
	}
	if err := json.Unmarshal(output, &all); err != nil {
		t.Fatal(err)
	}
	for i, f := range formats {
		theirs := all[args[2+i]]
		opened, err := loader.Open(t.Context(), args[2+i], nil)
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Close()
		tokens, err := opened.Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(tokens, theirs.Tokens) {
			t.Errorf("%s: the text is %d, for mlx-lm %d", f.name, tokens, theirs.Tokens)
			continue
		}
		s, err := opened.NewSession(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		largest, n := 0.0, opened.Config().VocabSize
		err = s.AppendEach(t.Context(), func(at int, logits []float32) error {
			for id, v := range logits {
				largest = max(largest, math.Abs(float64(v)-float64(theirs.Logits[at*n+id])))
			}
			return nil
		}, tokens...)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: logits differ by %.2g at most", f.name, largest)
		if !(largest <= f.most) {
			t.Errorf("%s: logits differ by %g, which is more than %g", f.name, largest, f.most)
		}
	}
}
