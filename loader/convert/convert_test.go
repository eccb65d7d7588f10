package convert_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-openelm/go-openelm/internal/testing/golden"
	"github.com/go-openelm/go-openelm/internal/testing/torchfile"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/convert"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

func open(t testing.TB, name, adapter string) *openelm.Model {
	t.Helper()
	b := cpu.New(cpu.Options{Threads: 1})
	t.Cleanup(func() { b.Close() })
	m, err := loader.Open(t.Context(), name, &loader.Options{Backend: b, Adapter: adapter, NoTokenizer: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func openStory(t testing.TB) *openelm.Model {
	t.Helper()
	m, err := story.Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func format(t testing.TB, name string) convert.Format {
	t.Helper()
	f, err := convert.ParseFormat(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t testing.TB, path string, m *openelm.Model, o *convert.Options) {
	t.Helper()
	if err := convert.Write(t.Context(), path, m, o); err != nil {
		t.Fatal(err)
	}
}

// place is where a model in a format goes, in a folder of the test.
func place(t testing.TB, f convert.Format) string {
	if f.Kind == convert.GGUF {
		return filepath.Join(t.TempDir(), "model.gguf")
	}
	return filepath.Join(t.TempDir(), "model")
}

func beside(p *golden.Pack) fs.FS {
	if p.Path() != p.Dir {
		return nil
	}
	return os.DirFS(p.Dir)
}

// TestGolden: what is converted without loss, an adapter included, reproduces the
// reference logits as the original does. The packs take turns with the formats;
// those whose models differ in more than their weights take both.
func TestGolden(t *testing.T) {
	b := cpu.New(cpu.Options{Threads: 1})
	defer b.Close()
	formats := []string{"safetensors-f32", "gguf-f32"}
	for i, p := range golden.Packs(t) {
		for j, name := range formats {
			if (i+j)%len(formats) != 0 && !structural(p) {
				continue
			}
			t.Run(p.Name+"/"+name, func(t *testing.T) {
				f := format(t, name)
				path := place(t, f)
				write(t, path, open(t, p.Path(), p.Adapter()), &convert.Options{Format: f, Beside: beside(p)})
				converted := *p
				converted.Dir = path
				if f.Kind == convert.GGUF {
					converted.Dir = filepath.Dir(path)
				}
				converted.Test(t, b)
			})
		}
	}
}

// structural reports whether a pack is there for what its model is made of, or for
// its adapter, and not for the format of its weights.
func structural(p *golden.Pack) bool {
	return strings.HasPrefix(p.Name, "tiny-") || p.Adapter() != ""
}

// TestStored: a model that is in the format already is copied bit for bit.
func TestStored(t *testing.T) {
	for pack, name := range map[string]string{
		"tiny-f32": "safetensors-f32", "tiny-f16": "safetensors-f16", "tiny-bf16": "safetensors-bf16", "tiny-sharded": "safetensors-f32",
		"tiny-untied": "safetensors-f32", "tiny-noglu": "safetensors-f32", "tiny-noqknorm": "safetensors-f32", "tiny-mha": "safetensors-f32",
		"mlx-q4": "mlx-4", "mlx-q8": "mlx-8", "mlx-q4-g32": "mlx-4-g32", "mlx-q8-g32": "mlx-8-g32",
		"gguf-f16": "gguf-f16", "gguf-q8_0": "gguf-q8_0", "gguf-q4_0": "gguf-q4_0", "gguf-q4_K_M": "gguf-q4_k_m",
	} {
		t.Run(pack, func(t *testing.T) {
			for _, p := range golden.Packs(t) {
				if p.Name != pack {
					continue
				}
				f := format(t, name)
				path := place(t, f)
				write(t, path, open(t, p.Path(), ""), &convert.Options{Format: f, Beside: beside(p)})
				same(t, path, p.Path())
			}
		})
	}
}

// same holds a checkpoint to have the tensors of another: names, types, shapes and bytes.
func same(t *testing.T, path, want string) {
	t.Helper()
	got, other := contents(t, path), contents(t, want)
	for name, x := range other {
		if got[name] != x {
			t.Errorf("%s differs", name)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s is new", name)
	}
}

func contents(t *testing.T, path string) map[string]string {
	t.Helper()
	info, err := loader.Inspect(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, x := range info.Tensors {
		if x.Unused {
			continue
		}
		f, err := os.Open(x.File)
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, x.Size)
		if _, err := f.ReadAt(data, x.Offset); err != nil {
			t.Fatal(err)
		}
		f.Close()
		all[x.Name] = fmt.Sprint(x.Type, x.Shape) + string(data)
	}
	return all
}

// TestFormats: every model in every format, and one from every format in every
// fourth, opens as the same model, with weights within two of the format's steps. Of n bits, one is for the sign: the steps of
// the K formats, whose range need not be the same on both sides of zero, are at
// most the largest weight over 2ⁿ⁻¹−1.
func TestFormats(t *testing.T) {
	steps := map[string]float64{
		"safetensors-f32": 0, "safetensors-f16": 0x1p-11, "safetensors-bf16": 0x1p-8, "mlx-8": 1.0 / 64, "mlx-4": 1.0 / 4, "mlx-4-g32-bf16": 1.0 / 4,
		"gguf-f32": 0, "gguf-f16": 0x1p-11, "gguf-bf16": 0x1p-8, "gguf-q8_0": 2.0 / 127, "gguf-q6_k": 2.0 / 31, "gguf-q5_k_m": 2.0 / 15, "gguf-q4_k_m": 2.0 / 7, "gguf-q4_0": 2.0 / 7,
	}
	for i, p := range golden.Packs(t) {
		m := open(t, p.Path(), "")
		for j, name := range slices.Sorted(maps.Keys(steps)) {
			if (i+j)%4 != 0 && !strings.HasPrefix(p.Name, "tiny-") {
				continue
			}
			step := steps[name]
			t.Run(p.Name+"/"+name, func(t *testing.T) {
				f := format(t, name)
				path := place(t, f)
				write(t, path, m, &convert.Options{Format: f, Beside: beside(p)})
				got := open(t, path, "")
				if a, b := fmt.Sprint(*got.Config()), fmt.Sprint(*m.Config()); a != b {
					t.Errorf("the configuration is %s, want %s", a, b)
				}
				g, w := got.Weights(), m.Weights()
				compare(t, "embedding", &g.Embedding, &w.Embedding, step)
				compare(t, "head", &g.Head, &w.Head, step)
				for i := range w.Layers {
					compare(t, "qkv", &g.Layers[i].QKV, &w.Layers[i].QKV, step)
					compare(t, "out", &g.Layers[i].Out, &w.Layers[i].Out, step)
					compare(t, "gate", &g.Layers[i].Gate, &w.Layers[i].Gate, step)
					compare(t, "down", &g.Layers[i].Down, &w.Layers[i].Down, step)
					if m.Config().GLU {
						compare(t, "up", &g.Layers[i].Up, &w.Layers[i].Up, step)
					}
				}
			})
		}
	}
}

func compare(t *testing.T, name string, got, want *kernels.Matrix, step float64) {
	t.Helper()
	a, b := make([]float32, want.Cols), make([]float32, want.Cols)
	for r := range want.Rows {
		got.ReadRow(a, r)
		want.ReadRow(b, r)
		top := 0.0
		for _, v := range b {
			top = max(top, math.Abs(float64(v)))
		}
		for c := range b {
			if d := math.Abs(float64(a[c]) - float64(b[c])); !(d <= step*top+0x1p-24*math.Ceil(step)) {
				t.Fatalf("%s[%d,%d] is %g, want %g; the largest beside it is %g", name, r, c, a[c], b[c], top)
			}
		}
	}
}

// TestPyTorch: a file of CoreNet, which says nothing but its tensors, becomes what
// the same weights become from Hugging Face's files.
func TestPyTorch(t *testing.T) {
	for _, pack := range []string{"tiny-bf16", "tiny-untied", "tiny-noglu"} {
		dir := filepath.Join("../../testdata/golden", pack)
		source := torchfile.Save(t, filepath.Join(t.TempDir(), "model.pt"), torchfile.Model(t, dir))
		for _, name := range []string{"safetensors-f32", "gguf-q8_0"} {
			f := format(t, name)
			path, want := place(t, f), place(t, f)
			var said bytes.Buffer
			write(t, path, open(t, source, ""), &convert.Options{Format: f, Logger: slog.New(slog.NewTextHandler(&said, nil))})
			write(t, want, open(t, dir, ""), &convert.Options{Format: f, Beside: os.DirFS(dir)})
			same(t, path, want)
			got, config := *open(t, path, "").Config(), *open(t, dir, "").Config()
			config.MaxContext = 2048 // the files of CoreNet do not say it
			if fmt.Sprint(got) != fmt.Sprint(config) {
				t.Errorf("%s, %s: the configuration is %+v, want %+v", pack, name, got, config)
			}
			if warned := strings.Contains(said.String(), "llama.cpp"); warned != (pack == "tiny-untied" && f.Kind == convert.GGUF) {
				t.Errorf("%s, %s: said %s", pack, name, &said)
			}
		}
	}
}

// TestTokenizer: the tokenizer survives a journey through GGUF and back.
func TestTokenizer(t *testing.T) {
	m := openStory(t)
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "story.gguf"), filepath.Join(dir, "story")
	write(t, file, m, &convert.Options{Format: format(t, "gguf-bf16"), Beside: story.FS()})
	through, err := loader.Open(t.Context(), file, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer through.Close()
	write(t, folder, through, &convert.Options{Format: format(t, "safetensors-bf16")})
	back, err := loader.Open(t.Context(), folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	for _, text := range []string{"Once upon a time", " two  spaces ", "Paris? é🙂\n", "</s>"} {
		want, _ := m.Encode(text)
		for _, other := range []*openelm.Model{through, back} {
			if got, err := other.Encode(text); err != nil || !slices.Equal(got, want) {
				t.Errorf("%q is %d (%v), want %d", text, got, err, want)
			}
		}
	}
	original := t.TempDir()
	if err := os.CopyFS(original, story.FS()); err != nil {
		t.Fatal(err)
	}
	same(t, folder, original)
}

// TestBeside: what lies beside the weights goes with them, but for what says how
// they were quantised.
func TestBeside(t *testing.T) {
	m := openStory(t)
	files := fstest.MapFS{"modeling_openelm.py": {Data: []byte("code")}, "generation_config.json": {Data: []byte(`{"eos_token_id": 2}`)}, "README.md": {Data: []byte("x")}}
	for _, name := range []string{"config.json", "tokenizer.model", "tokenizer_config.json"} {
		data, err := fs.ReadFile(story.FS(), name)
		if err != nil {
			t.Fatal(err)
		}
		if name == "config.json" {
			data = bytes.Replace(data, []byte("{"), []byte(`{"auto_map": {"AutoConfig": "x"}, "quantization": {"bits": 4, "group_size": 64},`), 1)
		}
		files[name] = &fstest.MapFile{Data: data}
	}
	path := filepath.Join(t.TempDir(), "out")
	write(t, path, m, &convert.Options{Format: format(t, "safetensors-f16"), Beside: files})
	names, err := fs.Glob(os.DirFS(path), "*")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"config.json", "generation_config.json", "model.safetensors", "modeling_openelm.py", "tokenizer.model", "tokenizer_config.json"}; !slices.Equal(names, want) {
		t.Errorf("the files are %q, want %q", names, want)
	}
	config, err := os.ReadFile(filepath.Join(path, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	for want, there := range map[string]bool{"auto_map": true, "quantization": false, `"torch_dtype": "float16"`: true, "initializer_range": true} {
		if strings.Contains(string(config), want) != there {
			t.Errorf("config.json: %s there: %v\n%s", want, !there, config)
		}
	}
}

func TestPlace(t *testing.T) {
	m := openStory(t)
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "a.gguf"), filepath.Join(dir, "a")
	inGGUF, inFolder := format(t, "gguf-q8_0"), format(t, "mlx-4")
	write(t, file, m, &convert.Options{Format: inGGUF})
	write(t, folder, m, &convert.Options{Format: inFolder})
	personal := filepath.Join(dir, "personal")
	if err := os.MkdirAll(filepath.Join(personal, "letters"), 0o777); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Skip(err) // Windows wants a privilege
	}
	for _, c := range []struct {
		path   string
		format convert.Format
		force  bool
		source string
		want   error
	}{
		{file, inGGUF, false, "", convert.ErrExists},
		{folder, inFolder, false, "", fs.ErrExist},
		{file, inFolder, true, "", convert.ErrExists},
		{folder, inGGUF, true, "", convert.ErrExists},
		{personal, inFolder, true, "", convert.ErrExists},
		{file, inGGUF, true, file, convert.ErrSource},
		{link, inGGUF, true, file, convert.ErrSource},
		{file, inGGUF, true, link, convert.ErrSource},
		{folder, inFolder, true, filepath.Join(folder, "model.safetensors"), convert.ErrSource},
		{dir, inFolder, true, filepath.Join(folder, "model.safetensors"), convert.ErrSource},
		{filepath.Join(dir, "none", "a.gguf"), inGGUF, false, "", fs.ErrNotExist},
		{filepath.Join(dir, "b.gguf"), convert.Format{}, false, "", errors.ErrUnsupported},
		{filepath.Join(dir, "b.gguf"), convert.Format{Kind: convert.MLX, Matrix: kernels.Affine4, Group: 48}, false, "", convert.ErrFormat},
		{filepath.Join(dir, "b.gguf"), convert.Format{Kind: convert.GGUF, Matrix: kernels.Q2_K}, false, "", convert.ErrFormat},
	} {
		before := listing(t, dir)
		err := convert.Write(t.Context(), c.path, m, &convert.Options{Format: c.format, Force: c.force, Sources: []string{c.source}})
		if !errors.Is(err, c.want) {
			t.Errorf("%s in %v from %q: %v, want %v", c.path, c.format, c.source, err, c.want)
		}
		if after := listing(t, dir); !slices.Equal(before, after) {
			t.Errorf("%s: the folder holds %q, before %q", c.path, after, before)
		}
	}
	other := openStory(t)
	write(t, file, other, &convert.Options{Format: format(t, "q4_0"), Force: true})
	write(t, folder, other, &convert.Options{Format: format(t, "mlx-8"), Force: true})
	if info, err := loader.Inspect(t.Context(), folder, nil); err != nil || info.Problem != nil || !strings.Contains(info.Formats[0].Format, "Affine8") {
		t.Errorf("the replaced folder: %v", err)
	}
	if got := listing(t, dir); len(got) != 4 {
		t.Errorf("the folder holds %q", got)
	}
}

func listing(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestCancel: a conversion that is ended, wherever it is, leaves nothing.
func TestCancel(t *testing.T) {
	m := openStory(t)
	for _, name := range []string{"safetensors-f32", "mlx-4", "gguf-q8_0"} {
		for _, after := range []int{0, 1, 3} {
			dir := t.TempDir()
			ctx, cancel := context.WithCancel(t.Context())
			seen := 0
			if after == 0 {
				cancel()
			}
			err := convert.Write(ctx, filepath.Join(dir, "out"), m, &convert.Options{Format: format(t, name), Progress: func(convert.Progress) {
				if seen++; seen == after {
					cancel()
				}
			}})
			cancel()
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
			if left := listing(t, dir); len(left) > 0 {
				t.Errorf("%s after %d: %q is left", name, after, left)
			}
		}
	}
}

func TestProgress(t *testing.T) {
	m := openStory(t)
	for _, name := range []string{"safetensors-bf16", "safetensors-f16", "mlx-8", "gguf-q4_0"} {
		var last convert.Progress
		write(t, filepath.Join(t.TempDir(), "out"), m, &convert.Options{Format: format(t, name), Progress: func(p convert.Progress) {
			if p.Done < last.Done || p.Total != m.Config().Parameters() {
				t.Errorf("%s: %+v after %+v", name, p, last)
			}
			last = p
		}})
		if last.Done != last.Total {
			t.Errorf("%s: ends at %+v", name, last)
		}
	}
}

// TestUnfit: a weight that the format cannot hold is named.
func TestUnfit(t *testing.T) {
	m := openStory(t)
	parts := openelm.Parts{Config: *m.Config(), Weights: *m.Weights(), Backend: m.Backend()}
	buf, err := m.Backend().NewBuffer(4 * m.Weights().Embedding.Rows * m.Weights().Embedding.Cols)
	if err != nil {
		t.Fatal(err)
	}
	defer buf.Release()
	e := &parts.Weights.Embedding
	*e = kernels.Matrix{Rows: e.Rows, Cols: e.Cols, Format: kernels.F32, Data: kernels.Whole(buf)}
	e.Data.Floats()[3*e.Cols+7] = 1e5
	big, err := openelm.New(parts)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"safetensors-f16", "gguf-f16", "mlx-4-f16"} {
		dir := t.TempDir()
		err := convert.Write(t.Context(), filepath.Join(dir, "out"), big, &convert.Options{Format: format(t, name)})
		if err == nil || !strings.Contains(err.Error(), "row 3") || !strings.Contains(err.Error(), "column 7") || !strings.Contains(err.Error(), "emb") {
			t.Errorf("%s: %v", name, err)
		}
		if left := listing(t, dir); len(left) > 0 {
			t.Errorf("%s: %q is left", name, left)
		}
	}
}

func TestParseFormat(t *testing.T) {
	for _, name := range append(convert.Names(), "mlx-4-g32", "mlx-8-g128-bf16", "mlx-4-f16") {
		f, err := convert.ParseFormat(strings.ToUpper(name))
		if err != nil || f.String() != name {
			t.Errorf("%s is %v, %v", name, f, err)
		}
	}
	for name, want := range map[string]string{"Q4_K_M": "gguf-q4_k_m", "q8_0": "gguf-q8_0", "MLX-4-G64": "mlx-4"} {
		if f, err := convert.ParseFormat(name); err != nil || f.String() != want {
			t.Errorf("%s is %v, %v", name, f, err)
		}
	}
	for _, name := range []string{"", "f16", "bf16", "gguf", "gguf-", "gguf-q2_k", "mlx", "mlx-3", "mlx-4-g48", "mlx-4-g32-g64", "mlx-4-f16-f32", "mlx-4-", "safetensors-q8_0", "q4_k"} {
		if f, err := convert.ParseFormat(name); !errors.Is(err, convert.ErrFormat) || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%q is %v, %v", name, f, err)
		}
	}
}

// TestCalibrate: the first layer's input is what follows from the tokens, and the
// importance lowers the error of what the model computes.
func TestCalibrate(t *testing.T) {
	m := openStory(t)
	tokens, err := m.Encode(strings.Repeat("Once upon a time, there was a little fox. It lived in the forest and liked to sing. ", 40))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	imp, err := convert.Calibrate(t.Context(), m, tokens, func(done, total int) { seen = done })
	if err != nil {
		t.Fatal(err)
	}
	if imp.Tokens() != len(tokens) || seen != len(tokens) || len(tokens) <= m.Config().MaxContext {
		t.Errorf("%d tokens of %d in a context of %d", seen, len(tokens), m.Config().MaxContext)
	}
	w := m.Weights()
	row, norm := make([]float32, w.Embedding.Cols), w.Layers[0].AttnNorm.Floats()
	want := make([]float64, len(row))
	for _, id := range tokens {
		w.Embedding.ReadRow(row, int(id))
		squares := 0.0
		for _, v := range row {
			squares += float64(v) * float64(v)
		}
		scale := 1 / (squares/float64(len(row)) + float64(m.Config().NormEps))
		for c, v := range row {
			want[c] += float64(v) * float64(v) * float64(norm[c]) * float64(norm[c]) * scale / float64(len(tokens))
		}
	}
	for c, got := range imp.FirstLayer() {
		if math.Abs(float64(got)-want[c]) > 1e-5*want[c]+1e-3*slices.Max(want) {
			t.Errorf("column %d: %g, want %g", c, got, want[c])
		}
	}
	if testing.Short() {
		return
	}
	var divergence [2]float64
	for i, use := range []*convert.Importance{nil, imp} {
		path := filepath.Join(t.TempDir(), "model.gguf")
		write(t, path, m, &convert.Options{Format: format(t, "gguf-q4_k_m"), Importance: use})
		divergence[i] = kl(t, m, open(t, path, ""), tokens[:200])
	}
	t.Logf("KL divergence of Q4_K_M: %.5f, with importance %.5f", divergence[0], divergence[1])
	if divergence[1] >= divergence[0] {
		t.Errorf("importance makes it worse")
	}
	if _, err := convert.Calibrate(t.Context(), m, nil, nil); !errors.Is(err, openelm.ErrEmpty) {
		t.Errorf("no text: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := convert.Calibrate(ctx, m, tokens, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// kl is the mean Kullback-Leibler divergence of b's predictions from a's.
func kl(t *testing.T, a, b *openelm.Model, tokens []int32) (mean float64) {
	t.Helper()
	var all [2][][]float64
	for i, m := range []*openelm.Model{a, b} {
		s, err := m.NewSession(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		err = s.AppendEach(t.Context(), func(_ int, logits []float32) error {
			sum := 0.0
			for _, v := range logits {
				sum += math.Exp(float64(v))
			}
			row := make([]float64, len(logits))
			for c, v := range logits {
				row[c] = float64(v) - math.Log(sum)
			}
			all[i] = append(all[i], row)
			return nil
		}, tokens...)
		if err != nil {
			t.Fatal(err)
		}
	}
	for r, p := range all[0] {
		for c, lp := range p {
			mean += math.Exp(lp) * (lp - all[1][r][c]) / float64(len(all[0]))
		}
	}
	return mean
}
