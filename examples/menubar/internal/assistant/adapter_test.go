package assistant_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/loader/safetensors"
	"github.com/go-openelm/go-openelm/story"
)

// writeAdapter writes an adapter of PEFT for the story model, with random weights.
func writeAdapter(t *testing.T) (dir string) {
	t.Helper()
	m, err := story.Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const rank, module = 2, "base_model.model.transformer.layers.2.ffn.proj_2"
	w := &m.Weights().Layers[2].Down
	r := rand.New(rand.NewPCG(1, 2))
	matrix := func(name string, rows, cols int) safetensors.Source {
		return safetensors.Source{Name: module + name, DType: safetensors.F32, Shape: []int{rows, cols}, Data: func(to io.Writer) error {
			v := make([]float32, rows*cols)
			for i := range v {
				v[i] = float32(r.NormFloat64())
			}
			return binary.Write(to, binary.LittleEndian, v)
		}}
	}
	var weights bytes.Buffer
	if err := safetensors.Write(&weights, nil, []safetensors.Source{
		matrix(".lora_A.weight", rank, w.Cols), matrix(".lora_B.weight", w.Rows, rank),
	}); err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for name, text := range map[string]string{
		"adapter_config.json":       `{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["proj_2"], "bias": "none"}`,
		"adapter_model.safetensors": weights.String(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestAdapter: an adapter that is chosen changes what the model says, and one that is
// taken away leaves the model as it was.
func TestAdapter(t *testing.T) {
	a := start(t, options(t, nil))
	dir := writeAdapter(t)
	answers := map[string]string{}
	for _, adapter := range []string{"", dir, "", dir} {
		if err := a.Change(func(s *desktop.Settings) { s.Adapter, s.Temperature = adapter, new(float64) }); err != nil {
			t.Fatal(err)
		}
		said, err := a.Do(t.Context(), desktop.Continue, "Once upon a time there was a fox")
		if err != nil || a.State().Problem != "" {
			t.Fatalf("adapter %q: %v, problem %q", adapter, err, a.State().Problem)
		}
		if before, ok := answers[adapter]; ok && said != before {
			t.Errorf("adapter %q: %q, and before %q", adapter, said, before)
		}
		answers[adapter] = said
	}
	if answers[""] == answers[dir] {
		t.Errorf("the adapter changes nothing: %q", answers[dir])
	}
}
