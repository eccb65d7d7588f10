package convert_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/go-openelm/go-openelm/internal/testing/pyenv"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/convert"
	"github.com/go-openelm/go-openelm/story"
)

type pythonFile struct {
	Fields  map[string]any
	Tensors map[string]struct {
		Type                 string
		Shape                []int
		Data, Values, Theirs string
	}
}

// TestPython: the gguf package reads what is written here, sees the values that we
// see, and makes the same bytes of the same weights where it can write a format.
func TestPython(t *testing.T) {
	python := pyenv.New(t, "gguf==0.19.0", "numpy==2.4.6")
	m := openStory(t)
	formats := []struct {
		name   string
		number float64 // general.file_type
	}{{"gguf-f32", 0}, {"gguf-f16", 1}, {"gguf-q8_0", 7}, {"gguf-q4_0", 2}, {"gguf-bf16", 32}}
	args := []string{"testdata/check.py"}
	for _, f := range formats {
		args = append(args, filepath.Join(t.TempDir(), "story.gguf"))
		write(t, args[len(args)-1], m, &convert.Options{Format: format(t, f.name), Beside: story.FS()})
	}
	output, err := exec.CommandContext(t.Context(), python, args...).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, err.(*exec.ExitError).Stderr)
	}
	all := map[string]pythonFile{}
	if err := json.Unmarshal(output, &all); err != nil {
		t.Fatal(err)
	}
	for i, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			path := args[1+i]
			got := all[path]
			for key, want := range map[string]any{
				"general.architecture": "openelm", "general.name": "story", "general.size_label": "4.3M", "general.file_type": f.number,
				"general.quantization_version": 2.0, "openelm.block_count": 6.0, "openelm.attention.head_count": []any{2., 4., 4., 4., 4., 4.},
				"openelm.context_length": 512.0, "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": 2048.0, "tokenizer.ggml.scores": 2048.0,
				"tokenizer.ggml.token_type": 2048.0, "tokenizer.ggml.bos_token_id": 1.0, "tokenizer.ggml.eos_token_id": 2.0,
				"tokenizer.ggml.unknown_token_id": 0.0, "tokenizer.ggml.add_bos_token": true,
			} {
				if !reflect.DeepEqual(got.Fields[key], want) {
					t.Errorf("%s is %v, want %v", key, got.Fields[key], want)
				}
			}
			theirs := 0
			for tensor, x := range got.Tensors {
				if x.Theirs != "" {
					theirs++
				}
				if x.Theirs != "" && x.Theirs != x.Data {
					t.Errorf("%s, %s: the gguf package makes other bytes of it", tensor, x.Type)
				}
			}
			if matrices := 1 + 5*6; f.name != "gguf-f32" && f.name != "gguf-q4_0" && theirs != matrices || f.name == "gguf-q4_0" && theirs != matrices-1 {
				t.Errorf("%d tensors were compared", theirs)
			}
			opened, err := loader.Open(t.Context(), path, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Close()
			w := opened.Weights()
			for tensor, values := range map[string]string{
				"token_embd.weight": sum(&w.Embedding), "blk.0.attn_qkv.weight": sum(&w.Layers[0].QKV), "blk.3.ffn_gate.weight": sum(&w.Layers[3].Gate),
				"blk.3.ffn_up.weight": sum(&w.Layers[3].Up), "blk.5.ffn_down.weight": sum(&w.Layers[5].Down), "blk.2.attn_output.weight": sum(&w.Layers[2].Out),
			} {
				if got.Tensors[tensor].Values != values {
					t.Errorf("%s: the gguf package sees other values", tensor)
				}
			}
		})
	}
}

// sum is the SHA-256 of a matrix's float32 values.
func sum(m *kernels.Matrix) string {
	h := sha256.New()
	row := make([]float32, m.Cols)
	stored := make([]byte, 0, 4*m.Cols)
	for r := range m.Rows {
		m.ReadRow(row, r)
		stored = stored[:0]
		for _, v := range row {
			if v == 0 {
				v = 0 // of no sign: whose zero has one depends on how a product is taken
			}
			stored = binary.LittleEndian.AppendUint32(stored, math.Float32bits(v))
		}
		h.Write(stored)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// TestLikeLlamaQuantize: which tensor has which type in files that llama-quantize
// made of models like these.
func TestLikeLlamaQuantize(t *testing.T) {
	for name, pack := range map[string]string{"gguf-q4_k_m": "gguf-q4_K_M", "gguf-q4_0": "gguf-q4_0", "gguf-q8_0": "gguf-q8_0"} {
		source := filepath.Join("../../testdata/golden", pack, "model.gguf")
		m := open(t, source, "")
		plain := filepath.Join(t.TempDir(), "plain.gguf")
		write(t, plain, m, &convert.Options{Format: format(t, "gguf-f32")})
		again := filepath.Join(t.TempDir(), "again.gguf")
		write(t, again, open(t, plain, ""), &convert.Options{Format: format(t, name)})
		if got, want := types(t, again), types(t, source); !slices.Equal(got, want) {
			t.Errorf("%s: the types are\n%q, llama-quantize's\n%q", name, got, want)
		}
	}
}

func types(t *testing.T, path string) (list []string) {
	t.Helper()
	info, err := loader.Inspect(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range info.Tensors {
		list = append(list, x.Name+" "+x.Type)
	}
	slices.Sort(list)
	return list
}
