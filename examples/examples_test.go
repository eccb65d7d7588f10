// Package examples builds and runs the programs below it, one for each way of
// using the library.
package examples

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/loader/safetensors"
)

var programs string // the folder of the built ones

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if programs, err = os.MkdirTemp("", "examples"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(programs)
		build := exec.Command("go", "build", "-o", programs+string(filepath.Separator), "./...")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v: %v\n%s", build, err, out)
			return 1
		}
		return m.Run()
	}())
}

// try runs a program and returns what it prints.
func try(t *testing.T, input, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(programs, program), args...)
	cmd.Stdin = strings.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
	}
	return string(out)
}

func TestPrograms(t *testing.T) {
	const prompt = "The capital of Spain is"
	for _, c := range []struct {
		program string
		args    []string
		input   string
		want    string
	}{
		{"generate", []string{"-temperature", "0", "-tokens", "4", prompt}, "", prompt + " Madrid.\n"},
		{"chat", nil, "What is the capital of France?\nWhat is the moon?\n", "The capital of France is Paris.\nThe moon is a round body that moves around the Earth.\n"},
		{"batch", []string{prompt, "The capital of Peru is", "The capital of Egypt is"}, "", prompt + " Madrid.\nThe capital of Peru is Lima.\nThe capital of Egypt is Cairo.\n"},
		{"backend", []string{"-threads", "1", prompt}, "", prompt + " Madrid.\n"},
		{"backend", []string{"-gpu", prompt}, "", prompt + " Madrid.\n"},
	} {
		t.Run(c.program, func(t *testing.T) {
			if got := try(t, c.input, c.program, c.args...); got != c.want {
				t.Errorf("prints %q, want %q", got, c.want)
			}
		})
	}
}

func TestScore(t *testing.T) {
	var texts []string
	for line := range strings.Lines(try(t, "", "score", "-begin", "The capital of Italy is", " Oslo.", " Rome.", " sheep.")) {
		_, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		texts = append(texts, text)
	}
	if len(texts) != 3 || texts[0] != "The capital of Italy is Rome." {
		t.Errorf("the most probable first: %q", texts)
	}
}

// TestAdapters has an adapter that is zero and changes nothing, and another.
func TestAdapters(t *testing.T) {
	text := map[string]string{}
	for line := range strings.Lines(try(t, "", "adapters", "-prompt", "The capital of Spain is",
		writeAdapter(t, "zero", 0), writeAdapter(t, "other", 30))) {
		label, rest, _ := strings.Cut(line, ": ")
		text[label] = rest
	}
	if base := text["base"]; base != "The capital of Spain is Madrid.\n" || text["zero"] != base {
		t.Errorf("base: %q, with an adapter of zeros %q", base, text["zero"])
	}
	if other := text["other"]; other == "" || other == text["base"] {
		t.Errorf("with another adapter: %q", other)
	}
}

// writeAdapter makes a LoRA adapter of rank 1 for the first layer's queries,
// keys and values.
func writeAdapter(t *testing.T, name string, value float32) string {
	t.Helper()
	const matrix = "base_model.model.transformer.layers.0.attn.qkv_proj."
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	config := `{"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["qkv_proj"]}`
	if err := os.WriteFile(filepath.Join(dir, "adapter_config.json"), []byte(config), 0o666); err != nil {
		t.Fatal(err)
	}
	tensor := func(name string, rows, cols int, value float32) safetensors.Source {
		return safetensors.Source{Name: matrix + name, DType: "F32", Shape: []int{rows, cols}, Data: func(w io.Writer) error {
			return binary.Write(w, binary.LittleEndian, slices.Repeat([]float32{value}, rows*cols))
		}}
	}
	f, err := os.Create(filepath.Join(dir, "adapter_model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := safetensors.Write(f, nil, []safetensors.Source{tensor("lora_A.weight", 1, 256, 1), tensor("lora_B.weight", 256, 1, value)}); err != nil {
		t.Fatal(err)
	}
	return dir
}
