package loader_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-openelm/go-openelm/internal/checkpoint"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/gguf"
	"github.com/go-openelm/go-openelm/openelm"
)

// tiny is the smallest model that has everything.
var tiny = openelm.Config{
	VocabSize: 32, ModelDim: 32, HeadDim: 8, QKNorm: true, GLU: true, TiedHead: false,
	Layers:   []openelm.LayerConfig{{QueryHeads: 4, KVHeads: 2, FFNDim: 32}, {QueryHeads: 4, KVHeads: 4, FFNDim: 64}},
	RopeBase: 10000, MaxContext: 16, NormEps: 1e-6, BOS: 1, EOS: []int32{2},
}

// makeDir makes a checkpoint directory of the tiny model.
func makeDir(t testing.TB, s checkpoint.Spec) string {
	t.Helper()
	dir := t.TempDir()
	if s.Config.VocabSize == 0 {
		s.Config = tiny
	}
	if err := checkpoint.WriteDir(t.Context(), dir, s); err != nil {
		t.Fatal(err)
	}
	return dir
}

func makeGGUF(t testing.TB, s checkpoint.Spec) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.gguf")
	if s.Config.VocabSize == 0 {
		s.Config = tiny
	}
	if err := checkpoint.WriteGGUF(t.Context(), path, s); err != nil {
		t.Fatal(err)
	}
	return path
}

// weights is every weight of a model in float32.
func weights(m *openelm.Model) []float32 {
	var all []float32
	matrix := func(w *kernels.Matrix) {
		row := make([]float32, w.Cols)
		for r := range w.Rows {
			w.ReadRow(row, r)
			all = append(all, row...)
		}
	}
	vector := func(v kernels.View) { all = append(all, v.Floats()...) }
	w := m.Weights()
	matrix(&w.Embedding)
	matrix(&w.Head)
	vector(w.Norm)
	for i := range w.Layers {
		l := &w.Layers[i]
		for _, m := range []*kernels.Matrix{&l.QKV, &l.Out, &l.Gate, &l.Up, &l.Down} {
			matrix(m)
		}
		for _, v := range []kernels.View{l.AttnNorm, l.QNorm, l.KNorm, l.FFNNorm} {
			vector(v)
		}
	}
	return all
}

// TestSameModel opens one model from every kind of place: all must have the
// same weights.
func TestSameModel(t *testing.T) {
	want := weights(open(t, makeDir(t, checkpoint.Spec{Format: kernels.F32}), noTokenizer))
	check := func(what string, m *openelm.Model) {
		t.Helper()
		if got := weights(m); !slices.Equal(got, want) {
			t.Errorf("%s: other weights", what)
		}
		if !reflect.DeepEqual(*m.Config(), tiny) {
			t.Errorf("%s: configuration %+v, want %+v", what, *m.Config(), tiny)
		}
	}
	dir := makeDir(t, checkpoint.Spec{Format: kernels.F32})
	check("a file", open(t, filepath.Join(dir, "model.safetensors"), noTokenizer))
	check("shards", open(t, makeDir(t, checkpoint.Spec{Format: kernels.F32, Shards: 4}), noTokenizer))
	check("GGUF", open(t, makeGGUF(t, checkpoint.Spec{Format: kernels.F32}), noTokenizer))

	m, err := loader.OpenFS(t.Context(), os.DirFS(dir), noTokenizer)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	check("a file system", m)

	rename(t, dir, "model.safetensors", "weights.safetensors")
	check("corenet's file name", open(t, dir, noTokenizer))
	rewriteHeader(t, filepath.Join(dir, "weights.safetensors"), func(text string) string {
		return strings.ReplaceAll(strings.ReplaceAll(text, `"transformer.`, `"`), "lm_head", "classifier")
	})
	check("corenet's names", open(t, dir, noTokenizer))
	rewriteHeader(t, filepath.Join(dir, "weights.safetensors"), misaligned)
	check("misaligned", open(t, dir, noTokenizer))

	// In the hub's cache, files are links into another folder, by hash.
	snapshot := filepath.Join(t.TempDir(), "snapshots", "main")
	if err := os.MkdirAll(snapshot, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"config.json", "weights.safetensors"} {
		symlink(t, filepath.Join(dir, name), filepath.Join(snapshot, name))
	}
	check("links", open(t, snapshot, noTokenizer))
}

// symlink makes a symbolic link. Windows lets only some users do that.
func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); runtime.GOOS == "windows" && err != nil {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, dir, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		t.Fatal(err)
	}
}

// rewriteHeader changes the header of a safetensors file; the data moves.
func rewriteHeader(t *testing.T, path string, change func(string) string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(data)
	text := change(string(data[8 : 8+n]))
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	out = append(append(out, text...), data[8+n:]...)
	if err := os.WriteFile(path, out, 0o666); err != nil {
		t.Fatal(err)
	}
}

// misaligned makes a header one of odd length.
func misaligned(text string) string {
	if text = strings.TrimRight(text, " "); len(text)%2 == 0 {
		text += " "
	}
	return text
}

// rewrite changes a file's contents.
func rewrite(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(data), 0o666); err != nil {
		t.Fatal(err)
	}
}

// watcher is a backend that notes what it is given.
type watcher struct {
	kernels.Backend
	mu                  sync.Mutex
	wrapped, made, live int
	noSharing, fail     bool
}

type watched struct {
	kernels.Buffer
	w    *watcher
	once sync.Once
}

func (b *watched) Release() {
	b.once.Do(func() {
		b.w.mu.Lock()
		b.w.live--
		b.w.mu.Unlock()
	})
	b.Buffer.Release()
}

func (w *watcher) watch(b kernels.Buffer, err error) (kernels.Buffer, error) {
	if err != nil {
		return nil, err
	}
	w.live++
	return &watched{Buffer: b, w: w}, nil
}

var errDevice = errors.New("device lost")

func (w *watcher) NewBuffer(size int) (kernels.Buffer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail && w.made > 0 {
		return nil, errDevice
	}
	w.made += size
	return w.watch(w.Backend.NewBuffer(size))
}

func (w *watcher) WrapBuffer(mem []byte) (kernels.Buffer, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrapped += len(mem)
	if w.noSharing {
		b, err := w.watch(w.Backend.NewBuffer(len(mem)))
		copy(b.Bytes(), mem)
		return b, false, err
	}
	b, shared, err := w.Backend.WrapBuffer(mem)
	b, err = w.watch(b, err)
	return b, shared, err
}

func newWatcher(t *testing.T) *watcher {
	b := cpu.New(cpu.Options{Threads: 1})
	t.Cleanup(func() { b.Close() })
	return &watcher{Backend: b}
}

// TestMapped: an aligned file becomes one buffer, whole pages of it, and only
// norms are copied; Close gives everything back.
func TestMapped(t *testing.T) {
	big := tiny
	big.VocabSize = 4096
	norms := 2*(2*32+2*8) + 32
	for _, s := range []checkpoint.Spec{{Format: kernels.F32}, {Format: kernels.BF16}, {Format: kernels.Affine4, Group: 32}} {
		s.Config = big
		w := newWatcher(t)
		dir := makeDir(t, s)
		m, err := loader.Open(t.Context(), dir, &loader.Options{NoTokenizer: true, Backend: w})
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		if page := os.Getpagesize(); w.wrapped < int(info.Size()) || w.wrapped >= int(info.Size())+page || w.wrapped%page != 0 {
			t.Errorf("%s: %d bytes wrapped of a file of %d", s.Format, w.wrapped, info.Size())
		}
		if w.made < 4*norms || w.made > 64*norms {
			t.Errorf("%s: %d bytes copied, the norms take %d", s.Format, w.made, 4*norms)
		}
		if err := m.Close(); err != nil || w.live != 0 {
			t.Errorf("%s: %d buffers are not released (error %v)", s.Format, w.live, err)
		}
	}
}

// TestNotRead: opening a model costs memory for its headers alone.
func TestNotRead(t *testing.T) {
	big := tiny
	big.VocabSize = 1 << 18
	for _, path := range []string{
		makeDir(t, checkpoint.Spec{Config: big, Format: kernels.BF16}), makeGGUF(t, checkpoint.Spec{Config: big, Format: kernels.Q8_0}),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		open(t, path, noTokenizer)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
			t.Errorf("%d bytes allocated to open %s, whose weights take more than 17 MB", got, path)
		}
	}
}

// TestDevices: a device that cannot share memory gets a copy, and one that
// fails leaves nothing behind.
func TestDevices(t *testing.T) {
	dir := makeDir(t, checkpoint.Spec{Format: kernels.F32})
	want := weights(open(t, dir, noTokenizer))
	w := newWatcher(t)
	w.noSharing = true
	m, err := loader.Open(t.Context(), dir, &loader.Options{NoTokenizer: true, Backend: w})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(weights(m), want) {
		t.Error("other weights after a copy")
	}
	if m.Close(); w.live != 0 {
		t.Errorf("%d buffers are not released", w.live)
	}

	rewriteHeader(t, filepath.Join(dir, "model.safetensors"), misaligned)
	w = newWatcher(t)
	w.fail = true
	if _, err := loader.Open(t.Context(), dir, &loader.Options{NoTokenizer: true, Backend: w}); !errors.Is(err, errDevice) || w.live != 0 {
		t.Errorf("error %v, %d buffers are not released", err, w.live)
	}
}

// TestTiedUnlessHead: without share_input_output_layers it is the checkpoint
// that says whether the head is the embedding, unless the configuration does.
func TestTiedUnlessHead(t *testing.T) {
	config := func(dir, tie string) {
		rewrite(t, filepath.Join(dir, "config.json"), func(text []byte) []byte {
			return bytes.Replace(text, []byte(`"tie_word_embeddings": false`), []byte(tie), 1)
		})
	}
	for _, tie := range []string{`"x": 0`, `"tie_word_embeddings": true`} {
		dir := makeDir(t, checkpoint.Spec{Format: kernels.F32})
		config(dir, tie)
		if open(t, dir, noTokenizer).Config().TiedHead {
			t.Errorf("%s: the checkpoint's own head is not used", tie)
		}
		tied := tiny
		tied.TiedHead = true
		dir = makeDir(t, checkpoint.Spec{Config: tied, Format: kernels.F32})
		rewrite(t, filepath.Join(dir, "config.json"), func(text []byte) []byte {
			text = bytes.Replace(text, []byte(`"share_input_output_layers": true`), []byte(`"share_input_output_layers": false`), 1)
			return bytes.Replace(text, []byte(`"tie_word_embeddings": true`), []byte(tie), 1)
		})
		if !open(t, dir, noTokenizer).Config().TiedHead {
			t.Errorf("%s: a checkpoint without a head is not tied", tie)
		}
		rewrite(t, filepath.Join(dir, "config.json"), func(text []byte) []byte {
			return bytes.Replace(text, []byte(tie), []byte(`"tie_word_embeddings": false`), 1)
		})
		_, err := loader.Open(t.Context(), dir, noTokenizer)
		checkFileError(t, "untied without a head", err, loader.ErrCorrupt, "lm_head.weight", "does not have it")
	}
}

// TestMixed opens a checkpoint whose matrices are quantised differently, or not.
func TestMixed(t *testing.T) {
	m := open(t, filepath.Join("..", "testdata", "golden", "mlx-mixed"), noTokenizer)
	w := m.Weights()
	for name, want := range map[string]struct {
		got    kernels.Matrix
		format kernels.Format
		group  int
	}{
		"embedding": {w.Embedding, kernels.Affine8, 64},
		"qkv":       {w.Layers[0].QKV, kernels.Affine4, 64},
		"out":       {w.Layers[0].Out, kernels.BF16, 0},
		"up":        {w.Layers[1].Up, kernels.Affine4, 64},
		"down":      {w.Layers[2].Down, kernels.Affine8, 32},
	} {
		if want.got.Format != want.format || want.got.Group != want.group {
			t.Errorf("%s is %s in groups of %d, want %s in groups of %d", name, want.got.Format, want.got.Group, want.format, want.group)
		}
	}
}

// broken are ways to break a checkpoint directory, with the field and the
// reason that the error gives.
var broken = map[string]struct {
	spec          checkpoint.Spec
	kind          error
	field, reason string
	do            func(t *testing.T, dir string)
}{
	"no config": {kind: loader.ErrNotFound, reason: "config.json", do: func(t *testing.T, dir string) { remove(t, dir, "config.json") }},
	"no weights": {kind: loader.ErrNotFound, reason: "model.safetensors.index.json",
		do: func(t *testing.T, dir string) { remove(t, dir, "model.safetensors") }},
	"weights are a directory": {kind: loader.ErrCorrupt, reason: "not a regular file", do: func(t *testing.T, dir string) {
		remove(t, dir, "model.safetensors")
		if err := os.Mkdir(filepath.Join(dir, "model.safetensors"), 0o777); err != nil {
			t.Fatal(err)
		}
	}},
	"a tensor is missing": {kind: loader.ErrCorrupt, field: "transformer.layers.0.attn.q_norm.weight", reason: "does not have it",
		do:   edit(`"normalize_qk_projections": false`, `"normalize_qk_projections": true`),
		spec: checkpoint.Spec{Config: func() openelm.Config { c := tiny; c.QKNorm = false; return c }()}},
	"a tensor too many": {kind: loader.ErrUnsupported, field: "transformer.layers.0.attn.k_norm.weight", reason: "no such tensor",
		do: edit(`"normalize_qk_projections": true`, `"normalize_qk_projections": false`)},
	"more layers than tensors": {kind: loader.ErrCorrupt, reason: "only 19 tensors", do: func(t *testing.T, dir string) {
		edit(`"num_transformer_layers": 2`, `"num_transformer_layers": 4096, "num_gqa_groups": 1`)(t, dir)
		edit(`"num_query_heads"`, `"x"`)(t, dir)
		edit(`"num_kv_heads"`, `"y"`)(t, dir)
		edit(`"ffn_multipliers"`, `"z"`)(t, dir)
	}},
	"another vocabulary": {kind: loader.ErrCorrupt, field: "transformer.token_embeddings.weight", reason: "has shape [32 32]",
		do: edit(`"vocab_size": 32`, `"vocab_size": 33`)},
	"another width": {kind: loader.ErrCorrupt, field: "transformer.layers.0.ffn.proj_1.weight", reason: "has shape [64 32]",
		do: edit(`"ffn_with_glu": true`, `"ffn_with_glu": false`)},
	"a norm of integers": {kind: loader.ErrUnsupported, field: "transformer.norm.weight", reason: "type I32",
		do: retype("transformer.norm.weight", "F32", "I32"), spec: checkpoint.Spec{Format: kernels.F32}},
	"a matrix of integers": {kind: loader.ErrUnsupported, field: "transformer.layers.0.attn.qkv_proj.weight", reason: "type I32",
		do: retype("transformer.layers.0.attn.qkv_proj.weight", "F32", "I32"), spec: checkpoint.Spec{Format: kernels.F32}},
	"a header broken": {kind: loader.ErrCorrupt, field: "lm_head.weight", reason: "unknown dtype",
		do: retype("lm_head.weight", "BF16", "BF17")},
	"scales without a quantization": {kind: loader.ErrCorrupt, field: "quantization", reason: "is missing",
		do: edit(`"quantization"`, `"none"`), spec: checkpoint.Spec{Format: kernels.Affine4, Group: 32}},
	"another group size": {kind: loader.ErrCorrupt, field: "transformer.token_embeddings.weight", reason: "groups of 64",
		do: edit(`"group_size": 32`, `"group_size": 64`), spec: checkpoint.Spec{Format: kernels.Affine4, Group: 32}},
	"other bits": {kind: loader.ErrCorrupt, field: "transformer.token_embeddings.weight", reason: "has shape [32 4]",
		do: edit(`"bits": 4`, `"bits": 8`), spec: checkpoint.Spec{Format: kernels.Affine4, Group: 32}},
	"scales of integers": {kind: loader.ErrUnsupported, field: "lm_head.scales", reason: "type I16",
		do: retype("lm_head.scales", "F16", "I16"), spec: checkpoint.Spec{Format: kernels.Affine4, Group: 32}},
	"scales and biases differ": {kind: loader.ErrUnsupported, field: "lm_head.biases", reason: "type BF16",
		do: retype("lm_head.biases", "F16", "BF16"), spec: checkpoint.Spec{Format: kernels.Affine4, Group: 32}},
	"packed floats": {kind: loader.ErrUnsupported, field: "lm_head.weight", reason: "type F32",
		do: retype("lm_head.weight", "U32", "F32"), spec: checkpoint.Spec{Format: kernels.Affine4, Group: 32}},
	"no biases": {kind: loader.ErrCorrupt, field: "lm_head.biases", reason: "does not have it",
		do: renamed("lm_head.biases", "lm_head.biasez"), spec: checkpoint.Spec{Format: kernels.Affine4, Group: 32}},
	"a shard is missing": {kind: loader.ErrNotFound, reason: "model-00002-of-00002.safetensors", spec: checkpoint.Spec{Shards: 2},
		do: func(t *testing.T, dir string) { remove(t, dir, "model-00002-of-00002.safetensors") }},
	"the index leads out": {kind: loader.ErrCorrupt, reason: "plain name", spec: checkpoint.Spec{Shards: 2}, field: "lm_head.weight",
		do: func(t *testing.T, dir string) {
			rewrite(t, filepath.Join(dir, "model.safetensors.index.json"), func([]byte) []byte {
				return []byte(`{"weight_map": {"lm_head.weight": "../../model-00002-of-00002.safetensors"}}`)
			})
		}},
	"the index has more": {kind: loader.ErrCorrupt, reason: "does not have this tensor", spec: checkpoint.Spec{Shards: 2}, field: "extra",
		do: func(t *testing.T, dir string) {
			rewrite(t, filepath.Join(dir, "model.safetensors.index.json"), func(text []byte) []byte {
				return bytes.Replace(text, []byte(`"lm_head.weight"`), []byte(`"extra": "model-00002-of-00002.safetensors", "lm_head.weight"`), 1)
			})
		}},
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// edit replaces text in config.json, which must be there.
func edit(from, to string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		rewrite(t, filepath.Join(dir, "config.json"), func(text []byte) []byte {
			if !bytes.Contains(text, []byte(from)) {
				t.Fatalf("config.json has no %s", from)
			}
			return bytes.Replace(text, []byte(from), []byte(to), 1)
		})
	}
}

// retype changes the type that the header gives a tensor.
func retype(tensor, from, to string) func(*testing.T, string) {
	return renamed(`"`+tensor+`":{"dtype":"`+from+`"`, `"`+tensor+`":{"dtype":"`+to+`"`)
}

// renamed replaces text in the header of model.safetensors.
func renamed(from, to string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		rewriteHeader(t, filepath.Join(dir, "model.safetensors"), func(text string) string {
			if !strings.Contains(text, from) {
				t.Fatalf("the header has no %s", from)
			}
			return strings.Replace(text, from, to, 1)
		})
	}
}

func TestBroken(t *testing.T) {
	for name, b := range broken {
		t.Run(name, func(t *testing.T) {
			if b.spec.Format == 0 {
				b.spec.Format = kernels.BF16
			}
			dir := makeDir(t, b.spec)
			b.do(t, dir)
			_, err := loader.Open(t.Context(), dir, noTokenizer)
			checkFileError(t, "Open", err, b.kind, b.field, b.reason)
			info, err := loader.Inspect(t.Context(), dir, noTokenizer)
			if err == nil { // then the headers are in order, and listed
				if err = info.Problem; len(info.Tensors) == 0 || info.WeightBytes != 0 {
					t.Errorf("%+v", info)
				}
			}
			checkFileError(t, "Inspect", err, b.kind, b.field, b.reason)
		})
	}
}

// TestLeftovers: tensors without a place. What follows from the configuration
// passes in silence, what is outside of the model is told, what is inside of it
// would change the results.
func TestLeftovers(t *testing.T) {
	tied := tiny
	tied.TiedHead = true
	for name, c := range map[string]struct {
		tensor   string // that transformer.norm.weight is again
		spec     checkpoint.Spec
		warnings int
		refused  bool
	}{
		"a tied head":         {"lm_head.weight", checkpoint.Spec{Config: tied}, 0, false},
		"RoPE's frequencies":  {"transformer.layers.0.attn.pos_embedding.inv_freq", checkpoint.Spec{}, 0, false},
		"a mask":              {"transformer.causal_mask", checkpoint.Spec{}, 0, false},
		"a head for values":   {"value_head.weight", checkpoint.Spec{}, 1, false},
		"positions":           {"transformer.position_ids", checkpoint.Spec{}, 1, false},
		"a bias":              {"transformer.layers.1.attn.out_proj.bias", checkpoint.Spec{}, 0, true},
		"a norm":              {"transformer.layers.1.post_norm.weight", checkpoint.Spec{}, 0, true},
		"a layer":             {"transformer.layers.2.attn_norm.weight", checkpoint.Spec{}, 0, true},
		"a head's bias":       {"lm_head.bias", checkpoint.Spec{}, 0, true},
		"the embedding's":     {"transformer.token_embeddings.lora_A.weight", checkpoint.Spec{}, 0, true},
		"the last norm's":     {"transformer.norm.bias", checkpoint.Spec{}, 0, true},
		"corenet's leftovers": {"transformer.norm.weight_copy", checkpoint.Spec{}, 0, true},
	} {
		c.spec.Format = kernels.BF16
		dir := makeDir(t, c.spec)
		want := weights(open(t, dir, noTokenizer))
		rewrite(t, filepath.Join(dir, "model.safetensors"), func(data []byte) []byte {
			// 64 bytes more behind the others, for the tensor.
			n := binary.LittleEndian.Uint64(data)
			text := strings.TrimRight(string(data[8:8+n]), " ")
			rest := len(data) - 8 - int(n)
			text = strings.TrimSuffix(text, "}") + fmt.Sprintf(`,%q:{"dtype":"BF16","shape":[32],"data_offsets":[%d,%d]}}`, c.tensor, rest, rest+64)
			text += strings.Repeat(" ", (64-(8+len(text))%64)%64)
			out := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
			return append(append(out, data[8+n:]...), make([]byte, 64)...)
		})
		info, err := loader.Inspect(t.Context(), dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(info.Warnings) != c.warnings || (info.Problem != nil) != c.refused {
			t.Errorf("%s: warnings %q, problem %v", name, info.Warnings, info.Problem)
		}
		listed := slices.ContainsFunc(info.Tensors, func(e loader.TensorInfo) bool { return e.Name == c.tensor && e.Unused == !c.refused })
		if !listed {
			t.Errorf("%s: not listed as unused", name)
		}
		var log bytes.Buffer
		o := &loader.Options{NoTokenizer: true, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		m, err := loader.Open(t.Context(), dir, o)
		if c.refused {
			checkFileError(t, name, err, loader.ErrUnsupported, c.tensor, "no such tensor")
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Equal(weights(m), want) {
			t.Errorf("%s: other weights", name)
		}
		if m.Close(); strings.Contains(log.String(), c.tensor) != (c.warnings > 0) {
			t.Errorf("%s: logged %s", name, &log)
		}
		o.Strict = true
		_, err = loader.Open(t.Context(), dir, o)
		checkFileError(t, name+", strict", err, loader.ErrUnsupported, c.tensor, "no such tensor")
	}
}

// TestInspectProblem: what cannot be run is described, and why.
func TestInspectProblem(t *testing.T) {
	dir := makeDir(t, checkpoint.Spec{Format: kernels.BF16})
	edit(`"model_type": "openelm"`, `"model_type": "llama"`)(t, dir)
	other := makeGGUF(t, checkpoint.Spec{Format: kernels.Q8_0})
	rewrite(t, other, func(data []byte) []byte { return bytes.Replace(data, []byte("openelm"), []byte("opensea"), 1) })
	kind := makeGGUF(t, checkpoint.Spec{Format: kernels.Q8_0})
	rewrite(t, kind, func(data []byte) []byte {
		i := bytes.Index(data, []byte("blk.0.attn_output.weight"))
		data[i+len("blk.0.attn_output.weight")+20] = 39 // MXFP4
		return data
	})
	split := makeGGUF(t, checkpoint.Spec{Format: kernels.Q8_0, Metadata: []gguf.KeyValue{
		{Key: "split.no", Value: uint16(1)}, {Key: "split.count", Value: uint16(3)}}})
	for path, want := range map[string]struct{ field, reason string }{
		dir:   {"model_type", "llama"},
		other: {"general.architecture", "opensea"},
		kind:  {"blk.0.attn_output.weight", "MXFP4"},
		split: {"split.count", "part 2 of 3"},
	} {
		info, err := loader.Inspect(t.Context(), path, nil)
		if err != nil || len(info.Tensors) < 19 || len(info.Files) != 1 {
			t.Errorf("%s: %v, %+v", want.reason, err, info)
			continue
		}
		checkFileError(t, "Inspect", info.Problem, loader.ErrUnsupported, want.field, want.reason)
		if !errors.Is(info.Problem, errors.ErrUnsupported) {
			t.Errorf("%v is no errors.ErrUnsupported", info.Problem)
		}
		_, err = loader.Open(t.Context(), path, noTokenizer)
		checkFileError(t, "Open", err, loader.ErrUnsupported, want.field, want.reason)
	}
}

func TestLinkLoop(t *testing.T) {
	dir := makeDir(t, checkpoint.Spec{Format: kernels.BF16})
	remove(t, dir, "model.safetensors")
	symlink(t, "model.safetensors", filepath.Join(dir, "model.safetensors"))
	_, err := loader.Open(t.Context(), dir, noTokenizer)
	checkFileError(t, "a link to itself", err, loader.ErrCorrupt, "", "model.safetensors")
}

// TestCutFiles cuts every file of small checkpoints at every length, and opens
// what is left.
func TestCutFiles(t *testing.T) {
	w := newWatcher(t)
	o := &loader.Options{NoTokenizer: true, Backend: w}
	cut := func(path, file string, step int) {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for n := info.Size() - 1; n >= 0; n -= int64(step) {
			if err := os.Truncate(file, n); err != nil {
				t.Fatal(err)
			}
			_, err := loader.Open(context.Background(), path, o)
			var f *loader.FileError
			if !errors.As(err, &f) || f.Kind == nil {
				t.Fatalf("%s cut to %d bytes of %d: error %v", file, n, info.Size(), err)
			}
		}
		if err := os.WriteFile(file, whole, 0o666); err != nil {
			t.Fatal(err)
		}
		m, err := loader.Open(context.Background(), path, o)
		if err != nil {
			t.Fatal(err)
		}
		m.Close()
	}
	for _, s := range []checkpoint.Spec{{Format: kernels.F16, Shards: 2}, {Format: kernels.Affine4, Group: 32}} {
		dir := makeDir(t, s)
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			step := 1
			if strings.HasSuffix(file, ".safetensors") {
				step = 7 // the header's own test takes every length
			}
			cut(dir, file, step)
		}
	}
	path := makeGGUF(t, checkpoint.Spec{Format: kernels.Q4_0})
	cut(path, path, 7)
	if w.live != 0 {
		t.Errorf("%d buffers are not released", w.live)
	}
}

func TestGGUFErrors(t *testing.T) {
	kv := func(key string, value any) gguf.KeyValue { return gguf.KeyValue{Key: key, Value: value} }
	for name, c := range map[string]struct {
		extra         gguf.KeyValue
		kind          error
		field, reason string
	}{
		"scaled RoPE":             {kv("openelm.rope.scaling.type", "yarn"), loader.ErrUnsupported, "openelm.rope.scaling.type", "yarn"},
		"RoPE scaled by a factor": {kv("openelm.rope.scaling.factor", float32(4)), loader.ErrUnsupported, "openelm.rope.scaling.factor", "is 4"},
		"RoPE scaled, older key":  {kv("openelm.rope.scale_linear", float32(2)), loader.ErrUnsupported, "openelm.rope.scale_linear", "is 2"},
		"scaling of a number":     {kv("openelm.rope.scaling.type", uint8(1)), loader.ErrCorrupt, "openelm.rope.scaling.type", "uint8"},
	} {
		_, err := loader.Open(t.Context(), makeGGUF(t, checkpoint.Spec{Format: kernels.F16, Metadata: []gguf.KeyValue{c.extra}}), noTokenizer)
		checkFileError(t, name, err, c.kind, c.field, c.reason)
	}
	// Values of the converter's own keys, changed in place.
	i32 := func(v int32) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }
	for name, c := range map[string]struct {
		key           string
		skip          int // bytes from the end of the key to the value
		value         []byte
		kind          error
		field, reason string
	}{
		"another architecture": {"general.architecture", 12, []byte("opensea"), loader.ErrUnsupported, "general.architecture", "opensea"},
		"no layers":            {"openelm.block_count", 4, i32(0), loader.ErrCorrupt, "openelm.block_count", "below 1"},
		"too many layers":      {"openelm.block_count", 4, i32(1 << 30), loader.ErrCorrupt, "openelm.block_count", "at most"},
		"another layer":        {"openelm.block_count", 4, i32(3), loader.ErrCorrupt, "openelm.attention.head_count", "2 values for 3 layers"},
		"heads of 0":           {"openelm.attention.head_count", 16, i32(0), loader.ErrCorrupt, "openelm.attention.head_count", "has 0"},
		"negative heads":       {"openelm.attention.head_count_kv", 16, i32(-1), loader.ErrCorrupt, "openelm.attention.head_count_kv", "has -1"},
		"other value heads":    {"openelm.attention.value_length", 4, i32(16), loader.ErrUnsupported, "openelm.attention.value_length", "is 16"},
		"partial RoPE":         {"openelm.rope.dimension_count", 4, i32(4), loader.ErrUnsupported, "openelm.rope.dimension_count", "is 4"},
		"no context":           {"openelm.context_length", 4, i32(0), loader.ErrCorrupt, "", "context length"},
		"another width":        {"openelm.embedding_length", 4, i32(64), loader.ErrCorrupt, "token_embd.weight", "has shape"},
		"key of a wrong type":  {"openelm.embedding_length", 0, i32(6), loader.ErrCorrupt, "openelm.embedding_length", "float32"},
		"a type not supported": {"blk.0.attn_output.weight", 20, i32(39), loader.ErrUnsupported, "blk.0.attn_output.weight", "MXFP4"},
	} {
		path := makeGGUF(t, checkpoint.Spec{Format: kernels.Q8_0})
		rewrite(t, path, func(data []byte) []byte {
			i := bytes.Index(data, []byte(c.key))
			if i < 0 {
				t.Fatalf("no %s in the file", c.key)
			}
			copy(data[i+len(c.key)+c.skip:], c.value)
			return data
		})
		_, err := loader.Open(t.Context(), path, noTokenizer)
		checkFileError(t, name, err, c.kind, c.field, c.reason)
	}
}

// TestGGUFBesideConfig: repositories of GGUF files often have a config.json, too.
func TestGGUFBesideConfig(t *testing.T) {
	path := makeGGUF(t, checkpoint.Spec{Format: kernels.Q8_0})
	dir := filepath.Dir(path)
	config := must(os.ReadFile(filepath.Join(makeDir(t, checkpoint.Spec{Format: kernels.F32}), "config.json")))
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o666); err != nil {
		t.Fatal(err)
	}
	if info, err := loader.Inspect(t.Context(), dir, nil); err != nil || info.Kind != "GGUF" || info.Problem != nil {
		t.Errorf("%+v, %v", info, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "other.gguf"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := loader.Open(t.Context(), dir, noTokenizer)
	checkFileError(t, "two of them", err, loader.ErrNotFound, "", "2 GGUF files")
	// The name of a file is believed no more than its contents.
	for name, reason := range map[string]string{"other.gguf": ".gguf file", "page.gguf": "HTML", "page.pt": "HTML", "x.pt": ".pt file"} {
		junk := filepath.Join(dir, name)
		text := "junk"
		if strings.HasPrefix(name, "page") {
			text = "<!DOCTYPE html><html>"
		}
		if err := os.WriteFile(junk, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := loader.Open(t.Context(), junk, noTokenizer)
		checkFileError(t, name, err, loader.ErrCorrupt, "", reason)
	}
}

func TestByteOrder(t *testing.T) {
	if err := loader.CheckByteOrder(binary.LittleEndian); err != nil {
		t.Error(err)
	}
	if err := loader.CheckByteOrder(binary.BigEndian); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "big-endian") {
		t.Errorf("error %v", err)
	}
}

func TestNotFound(t *testing.T) {
	for _, name := range []string{
		filepath.Join(t.TempDir(), "nothing"), "./nothing/here", "../nothing", "~/nothing", "nothing", "a//b", "model.gguf", "models/model.gguf", "models/x/model.safetensors",
	} {
		_, err := loader.Open(t.Context(), name, nil)
		var f *loader.FileError
		if !errors.As(err, &f) || !errors.Is(err, loader.ErrNotFound) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestCancelled: opening ends with the context's error.
func TestCancelled(t *testing.T) {
	dir := makeDir(t, checkpoint.Spec{Format: kernels.F32})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := loader.OpenFS(ctx, os.DirFS(dir), noTokenizer); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
