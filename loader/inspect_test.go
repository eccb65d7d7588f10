package loader_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/internal/checkpoint"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader"
)

// TestInspect: what Inspect foretells is what a device is then given.
func TestInspect(t *testing.T) {
	for name, path := range map[string]string{
		"f32":    makeDir(t, checkpoint.Spec{Format: kernels.F32}),
		"shards": makeDir(t, checkpoint.Spec{Format: kernels.F16, Shards: 3}),
		"MLX":    makeDir(t, checkpoint.Spec{Format: kernels.Affine8, Group: 32}),
		"GGUF":   makeGGUF(t, checkpoint.Spec{Format: kernels.Q4_1}),
		"odd": func() string {
			dir := makeDir(t, checkpoint.Spec{Format: kernels.BF16})
			rewriteHeader(t, filepath.Join(dir, "model.safetensors"), misaligned)
			return dir
		}(),
	} {
		info, err := loader.Inspect(t.Context(), path, nil)
		if err != nil {
			t.Fatal(err)
		}
		w := newWatcher(t)
		m, err := loader.Open(t.Context(), path, &loader.Options{NoTokenizer: true, Backend: w})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		// Buffers add what aligns the tensors in them.
		if slack := int64(64 * len(info.Tensors)); info.CopiedBytes > int64(w.made) || info.CopiedBytes+slack < int64(w.made) {
			t.Errorf("%s: Inspect says %d bytes are copied, %d were", name, info.CopiedBytes, w.made)
		}
		if odd := name == "odd"; odd != (w.wrapped == 0) || odd != (info.CopiedBytes == info.WeightBytes) {
			t.Errorf("%s: %d bytes mapped, %d of %d copied", name, w.wrapped, info.CopiedBytes, info.WeightBytes)
		}
		var matrices, parameters, bytes, norms int64
		for _, f := range info.Formats {
			matrices, parameters, bytes = matrices+int64(f.Matrices), parameters+f.Parameters, bytes+f.Bytes
		}
		for _, e := range info.Tensors {
			if len(e.Shape) == 1 {
				norms += int64(e.Shape[0])
			}
		}
		// The published formula leaves out nothing; corenet counts the layers' norms too.
		if got := parameters + norms; got != m.Config().Parameters() || bytes+4*norms != info.WeightBytes {
			t.Errorf("%s: %d parameters in %d bytes, want %d in %d", name, got, bytes+4*norms, m.Config().Parameters(), info.WeightBytes)
		}
		if info.CacheBytes != 2*4*8*(2+4) {
			t.Errorf("%s: cache of %d bytes a token", name, info.CacheBytes)
		}
		if len(info.Formats) != 1 || info.Tokenizer != "" || len(info.Warnings) != 0 {
			t.Errorf("%s: %+v", name, info)
		}
	}
	info, err := loader.Inspect(t.Context(), filepath.Join("..", "testdata", "golden", "mlx-mixed"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var formats []string
	for _, f := range info.Formats {
		formats = append(formats, f.Format)
	}
	const want = "Affine4, groups of 64 with BF16 scales; Affine8, groups of 32 with BF16 scales; Affine8, groups of 64 with BF16 scales; BF16"
	if got := strings.Join(formats, "; "); got != want {
		t.Errorf("formats %s, want %s", got, want)
	}
	dir := makeDir(t, checkpoint.Spec{Format: kernels.F32})
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.model"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if info, err = loader.Inspect(t.Context(), dir, nil); err != nil || info.Tokenizer != "tokenizer.model" {
		t.Errorf("tokenizer %q, error %v", info.Tokenizer, err)
	}
	if info, err = loader.Inspect(t.Context(), filepath.Join("..", "testdata", "golden", "gguf-q4_0", "model.gguf"), nil); err != nil || info.Tokenizer != "GGUF" {
		t.Errorf("tokenizer %q, error %v", info.Tokenizer, err)
	}
}
