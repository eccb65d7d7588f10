package loader_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/internal/checkpoint"
	"github.com/go-openelm/go-openelm/internal/filewrite"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/safetensors"
	"github.com/go-openelm/go-openelm/openelm"
)

// array is a matrix or vector of an adapter.
type array struct {
	shape []int
	data  []float32
}

// dense makes a random array.
func dense(rng *rand.Rand, shape ...int) array {
	n := 1
	for _, d := range shape {
		n *= d
	}
	a := array{shape, make([]float32, n)}
	for i := range a.data {
		a.data[i] = float32(rng.NormFloat64())
	}
	return a
}

func (a array) transposed() array {
	t := array{[]int{a.shape[1], a.shape[0]}, make([]float32, len(a.data))}
	for r := range a.shape[0] {
		for c := range a.shape[1] {
			t.data[c*a.shape[0]+r] = a.data[r*a.shape[1]+c]
		}
	}
	return t
}

// writeAdapter makes an adapter directory.
func writeAdapter(t *testing.T, config, file string, arrays map[string]array) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "adapter_config.json"), []byte(config), 0o666); err != nil {
		t.Fatal(err)
	}
	var list []safetensors.Source
	for name, a := range arrays {
		data := make([]byte, 4*len(a.data))
		for i, v := range a.data {
			checkpoint.Encode(data[4*i:], []float32{v}, kernels.F32)
		}
		list = append(list, safetensors.Source{Name: name, DType: safetensors.F32, Shape: a.shape, Data: func(w io.Writer) error {
			_, err := w.Write(data)
			return err
		}})
	}
	err := filewrite.Atomic(t.Context(), filepath.Join(dir, file), func(w io.Writer) error { return safetensors.Write(w, nil, list) })
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

const (
	peftFile, mlxFile = "adapter_model.safetensors", "adapters.safetensors"
	peftPrefix        = "base_model.model.transformer.layers.0."
	mlxPrefix         = "transformer.layers.0."
)

// TestAdapterValues: both dialects of one update, on the two matrices that are
// stored as one, with the scale in B and DoRA's row scale by its definition.
func TestAdapterValues(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	a, b, mag := dense(rng, 3, 32), dense(rng, 64, 3), dense(rng, 64)
	base := open(t, makeDir(t, checkpoint.Spec{Format: kernels.Affine4, Group: 32}), noTokenizer)
	for name, dir := range map[string]string{
		"PEFT": writeAdapter(t, `{"peft_type": "LORA", "r": 3, "lora_alpha": 6, "use_dora": true}`, peftFile, map[string]array{
			peftPrefix + "ffn.proj_1.lora_A.weight": a, peftPrefix + "ffn.proj_1.lora_B.weight": b,
			peftPrefix + "ffn.proj_1.lora_magnitude_vector": mag,
		}),
		"MLX": writeAdapter(t, `{"fine_tune_type": "dora", "lora_parameters": {"rank": 3, "scale": 2.0}}`, mlxFile, map[string]array{
			mlxPrefix + "ffn.proj_1.lora_a": a.transposed(), mlxPrefix + "ffn.proj_1.lora_b": b.transposed(),
			mlxPrefix + "ffn.proj_1.m": mag,
		}),
	} {
		ad, err := loader.OpenAdapter(t.Context(), dir, base, nil)
		if err != nil {
			t.Fatal(err)
		}
		l := ad.Layers[0]
		if l.QKV != nil || l.Out != nil || l.Down != nil || ad.Head != nil || ad.Layers[1] != (openelm.LayerAdapter{}) {
			t.Errorf("%s: updates of other matrices", name)
		}
		w := base.Weights().Layers[0]
		checkUpdate(t, name+" gate", &w.Gate, l.Gate, a.data, b.data[:32*3], mag.data[:32])
		checkUpdate(t, name+" up", &w.Up, l.Up, a.data, b.data[32*3:], mag.data[32:])
		ad.Release()
	}
}

// checkUpdate compares r with A, B (to be scaled by 2) and DoRA's magnitudes.
func checkUpdate(t *testing.T, name string, w *kernels.Matrix, r *kernels.LowRank, a, b, mag []float32) {
	t.Helper()
	if r == nil {
		t.Fatalf("%s: no update", name)
	}
	gotA, gotB, scale := r.A.Data.Floats(), r.B.Data.Floats(), r.RowScale.Floats()
	for i, v := range a {
		if gotA[i] != v {
			t.Fatalf("%s: A[%d] is %g, want %g", name, i, gotA[i], v)
		}
	}
	row := make([]float32, w.Cols)
	for i := range w.Rows {
		w.ReadRow(row, i)
		squares := 0.0
		for c, x := range row {
			v := float64(x)
			for k := range r.A.Rows {
				if gotB[i*r.A.Rows+k] != 2*b[i*r.A.Rows+k] {
					t.Fatalf("%s: B[%d,%d] is %g, want twice %g", name, i, k, gotB[i*r.A.Rows+k], b[i*r.A.Rows+k])
				}
				v += 2 * float64(b[i*r.A.Rows+k]) * float64(a[k*w.Cols+c])
			}
			squares += v * v
		}
		if want := float64(mag[i]) / math.Sqrt(squares); math.Abs(float64(scale[i])-want) > 1e-6*math.Abs(want) {
			t.Fatalf("%s: row scale %d is %g, want %g", name, i, scale[i], want)
		}
	}
}

// TestAdapterScales goes through PEFT's ways to give rank and alpha.
func TestAdapterScales(t *testing.T) {
	const path = "transformer.layers.1.attn.qkv_proj"
	for text, want := range map[string]struct {
		rank  int
		scale float64
	}{
		`{"peft_type": "LORA", "r": 4, "lora_alpha": 16}`:                     {4, 4},
		`{"peft_type": "LORA", "r": 4, "lora_alpha": 16, "use_rslora": true}`: {4, 8},
		`{"peft_type": "LORA"}`: {8, 1},
		`{"peft_type": "LORA", "rank_pattern": {"qkv_proj": 2}, "alpha_pattern": {"qkv_proj": 3}}`:                      {2, 1.5},
		`{"peft_type": "LORA", "r": 4, "rank_pattern": {"layers.1.attn.qkv_proj": 16}, "use_rslora": true}`:             {16, 2},
		`{"peft_type": "LORA", "r": 4, "lora_alpha": 4, "alpha_pattern": {"kv_proj": 9, "^transformer.*qkv_proj": 10}}`: {4, 2.5},
		`{"peft_type": "LORA", "r": 4, "lora_alpha": 4, "alpha_pattern": {"layers.[01].attn.qkv_proj": 2, ".*": 100}}`:  {4, 0.5},
		`{"fine_tune_type": "lora", "lora_parameters": {"rank": 8, "scale": 20.0, "dropout": 0}}`:                       {8, 20},
		`{"lora_parameters": {"rank": 8, "scale": 10}, "lora_layers": 4}`:                                               {8, 10},
	} {
		rank, scale, err := loader.ParseAdapterConfig([]byte(text), path)
		if err != nil || rank != want.rank || scale != want.scale {
			t.Errorf("%s: rank %d, scale %g, error %v; want %d and %g", text, rank, scale, err, want.rank, want.scale)
		}
	}
}

var badAdapterConfigs = []struct {
	text, field string
	kind        error
	reason      string
}{
	{``, "", loader.ErrCorrupt, "malformed JSON"},
	{`{"r": 8, "r": 9}`, "", loader.ErrCorrupt, "occurs twice"},
	{`{}`, "", loader.ErrUnsupported, "neither PEFT's nor mlx-lm's"},
	{`{"peft_type": "IA3"}`, "peft_type", loader.ErrUnsupported, "IA3"},
	{`{"peft_type": 5}`, "peft_type", loader.ErrCorrupt, "want a string"},
	{`{"peft_type": "LORA", "r": 0}`, "r", loader.ErrCorrupt, "is 0"},
	{`{"peft_type": "LORA", "r": -8}`, "r", loader.ErrCorrupt, "is -8"},
	{`{"peft_type": "LORA", "r": 1e12}`, "r", loader.ErrCorrupt, "want an integer"},
	{`{"peft_type": "LORA", "r": 8.5}`, "r", loader.ErrCorrupt, "want an integer"},
	{`{"peft_type": "LORA", "bias": "some"}`, "bias", loader.ErrCorrupt, "some"},
	{`{"peft_type": "LORA", "modules_to_save": ["lm_head"]}`, "modules_to_save", loader.ErrUnsupported, "lm_head"},
	{`{"peft_type": "LORA", "fan_in_fan_out": "yes"}`, "fan_in_fan_out", loader.ErrCorrupt, "true or false"},
	{`{"peft_type": "LORA", "layer_replication": [[0, 1]]}`, "layer_replication", loader.ErrUnsupported, "[[0, 1]]"},
	{`{"peft_type": "LORA", "lora_bias": true}`, "lora_bias", loader.ErrUnsupported, "true"},
	{`{"peft_type": "LORA", "init_lora_weights": "pissa_niter_4"}`, "init_lora_weights", loader.ErrUnsupported, "changes the base weights"},
	{`{"peft_type": "LORA", "use_dora": "yes"}`, "use_dora", loader.ErrCorrupt, "true or false"},
	{`{"peft_type": "LORA", "rank_pattern": {"(": 4}}`, "rank_pattern", loader.ErrUnsupported, "missing closing"},
	{`{"peft_type": "LORA", "rank_pattern": {"a": "4"}}`, "rank_pattern", loader.ErrCorrupt, "not a number"},
	{`{"peft_type": "LORA", "rank_pattern": {"a": 0}}`, "rank_pattern", loader.ErrCorrupt, "want 1 to"},
	{`{"peft_type": "LORA", "rank_pattern": {"a": 1.5}}`, "rank_pattern", loader.ErrCorrupt, "want 1 to"},
	{`{"peft_type": "LORA", "rank_pattern": []}`, "rank_pattern", loader.ErrCorrupt, "not an object"},
	{`{"fine_tune_type": "full"}`, "fine_tune_type", loader.ErrUnsupported, "full"},
	{`{"fine_tune_type": "lora"}`, "lora_parameters", loader.ErrCorrupt, "malformed"},
	{`{"fine_tune_type": "lora", "lora_parameters": {"rank": 8}}`, "lora_parameters.scale", loader.ErrCorrupt, "is missing"},
	{`{"fine_tune_type": "lora", "lora_parameters": {"scale": 8}}`, "lora_parameters.rank", loader.ErrCorrupt, "is missing"},
	{`{"fine_tune_type": "lora", "lora_parameters": {"rank": 0, "scale": 8}}`, "lora_parameters.rank", loader.ErrCorrupt, "is 0"},
}

func TestBadAdapterConfigs(t *testing.T) {
	for _, c := range badAdapterConfigs {
		_, _, err := loader.ParseAdapterConfig([]byte(c.text), "x")
		checkFileError(t, c.text, err, c.kind, c.field, c.reason)
	}
}

// TestBadAdapters: everything in an adapter has a place in the model, or is an error.
func TestBadAdapters(t *testing.T) {
	base := open(t, makeDir(t, checkpoint.Spec{Format: kernels.F32}), noTokenizer)
	rng := rand.New(rand.NewPCG(7, 8))
	const lora, dora = `{"peft_type": "LORA", "r": 2}`, `{"peft_type": "LORA", "r": 2, "use_dora": true}`
	a, b, mag := dense(rng, 2, 32), dense(rng, 64, 2), dense(rng, 64)
	good := map[string]array{peftPrefix + "attn.qkv_proj.lora_A.weight": a, peftPrefix + "attn.qkv_proj.lora_B.weight": b}
	with := func(changes map[string]array) map[string]array {
		m := map[string]array{}
		for _, from := range []map[string]array{good, changes} {
			for k, v := range from {
				if m[k] = v; v.shape == nil {
					delete(m, k)
				}
			}
		}
		return m
	}
	zero := array{[]int{64, 2}, make([]float32, 128)}
	nan := array{[]int{64, 2}, make([]float32, 128)}
	nan.data[7] = float32(math.NaN())
	for name, c := range map[string]struct {
		config        string
		arrays        map[string]array
		kind          error
		field, reason string
	}{
		"only A": {lora, with(map[string]array{peftPrefix + "attn.qkv_proj.lora_B.weight": {}}),
			loader.ErrCorrupt, "transformer.layers.0.attn.qkv_proj", "only one of"},
		"nothing": {lora, nil, loader.ErrCorrupt, "", "no tensors"},
		"another rank": {`{"peft_type": "LORA", "r": 4}`, good,
			loader.ErrCorrupt, peftPrefix + "attn.qkv_proj.lora_A.weight", "has rank 2"},
		"a wide A": {lora, with(map[string]array{peftPrefix + "attn.qkv_proj.lora_A.weight": dense(rng, 2, 33)}),
			loader.ErrCorrupt, peftPrefix + "attn.qkv_proj.lora_A.weight", "has shape [2 33]"},
		"a high B": {lora, with(map[string]array{peftPrefix + "attn.qkv_proj.lora_B.weight": dense(rng, 65, 2)}),
			loader.ErrCorrupt, peftPrefix + "attn.qkv_proj.lora_B.weight", "has shape [65 2]"},
		"A is a vector": {lora, with(map[string]array{peftPrefix + "attn.qkv_proj.lora_A.weight": dense(rng, 64)}),
			loader.ErrCorrupt, peftPrefix + "attn.qkv_proj.lora_A.weight", "want a matrix"},
		"another layer": {lora, with(map[string]array{
			"base_model.model.transformer.layers.2.attn.qkv_proj.lora_A.weight": a,
			"base_model.model.transformer.layers.2.attn.qkv_proj.lora_B.weight": b,
		}), loader.ErrUnsupported, "transformer.layers.2.attn.qkv_proj", "no matrix of this name"},
		"the embedding": {lora, with(map[string]array{
			"base_model.model.transformer.token_embeddings.lora_A.weight": a, "base_model.model.transformer.token_embeddings.lora_B.weight": dense(rng, 32, 2),
		}), loader.ErrUnsupported, "transformer.token_embeddings", "no matrix of this name"},
		"a whole layer": {lora, with(map[string]array{peftPrefix + "attn.out_proj.base_layer.weight": b}),
			loader.ErrUnsupported, peftPrefix + "attn.out_proj.base_layer.weight", "no part of"},
		"a head of another size": {lora, with(map[string]array{"base_model.model.lm_head.weight": b}),
			loader.ErrCorrupt, "base_model.model.lm_head.weight", "has shape [64 2]"},
		"two heads": {lora, with(map[string]array{"base_model.model.lm_head.weight": b, "base_model.model.lm_head.base_layer.weight": b}),
			loader.ErrCorrupt, "base_model.model.lm_head.weight", "a second time"},
		"a name of MLX": {lora, with(map[string]array{mlxPrefix + "attn.out_proj.lora_a": a}),
			loader.ErrUnsupported, mlxPrefix + "attn.out_proj.lora_a", "no part of"},
		"DoRA without magnitude": {dora, good, loader.ErrCorrupt, "transformer.layers.0.attn.qkv_proj", "no magnitude"},
		"magnitude without DoRA": {lora, with(map[string]array{peftPrefix + "attn.qkv_proj.lora_magnitude_vector": mag}),
			loader.ErrCorrupt, "transformer.layers.0.attn.qkv_proj", "a magnitude"},
		"two magnitudes": {dora, with(map[string]array{
			peftPrefix + "attn.qkv_proj.lora_magnitude_vector": mag, peftPrefix + "attn.qkv_proj.lora_magnitude_vector.weight": mag,
		}), loader.ErrCorrupt, peftPrefix + "attn.qkv_proj.lora_magnitude_vector.weight", "a second time"},
		"a short magnitude": {dora, with(map[string]array{peftPrefix + "attn.qkv_proj.lora_magnitude_vector": dense(rng, 63)}),
			loader.ErrCorrupt, peftPrefix + "attn.qkv_proj.lora_magnitude_vector", "has shape [63]"},
		"no norm": {dora, with(map[string]array{peftPrefix + "attn.qkv_proj.lora_B.weight": nan, peftPrefix + "attn.qkv_proj.lora_magnitude_vector": mag}),
			loader.ErrCorrupt, peftPrefix + "attn.qkv_proj.lora_magnitude_vector", "row 3"},
	} {
		_, err := loader.OpenAdapter(t.Context(), writeAdapter(t, c.config, peftFile, c.arrays), base, nil)
		checkFileError(t, name, err, c.kind, c.field, c.reason)
	}
	if ad, err := loader.OpenAdapter(t.Context(), writeAdapter(t, lora, peftFile, with(map[string]array{peftPrefix + "attn.qkv_proj.lora_B.weight": zero})), base, nil); err != nil {
		t.Error("an update of nothing: ", err)
	} else {
		ad.Release()
	}
	dir := writeAdapter(t, lora, peftFile, good)
	if err := os.Remove(filepath.Join(dir, peftFile)); err != nil {
		t.Fatal(err)
	}
	_, err := loader.OpenAdapter(t.Context(), dir, base, nil)
	checkFileError(t, "without its tensors", err, loader.ErrNotFound, "", peftFile)
}

// TestAdapterOfHead: an untied head can be updated, a tied one has no name.
func TestAdapterOfHead(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	dir := writeAdapter(t, `{"fine_tune_type": "lora", "lora_parameters": {"rank": 2, "scale": 1}}`, mlxFile, map[string]array{
		"lm_head.lora_a": dense(rng, 32, 2), "lm_head.lora_b": dense(rng, 2, 32),
	})
	ad, err := loader.OpenAdapter(t.Context(), dir, open(t, makeDir(t, checkpoint.Spec{Format: kernels.F32}), noTokenizer), nil)
	if err != nil || ad.Head == nil {
		t.Fatal("untied: ", err)
	}
	ad.Release()
	tied := tiny
	tied.TiedHead = true
	_, err = loader.OpenAdapter(t.Context(), dir, open(t, makeDir(t, checkpoint.Spec{Config: tied, Format: kernels.F32}), noTokenizer), nil)
	checkFileError(t, "tied", err, loader.ErrUnsupported, "lm_head", "no matrix of this name")
}

// rows is the values of a matrix.
func rows(w *kernels.Matrix) array {
	a := array{[]int{w.Rows, w.Cols}, make([]float32, w.Rows*w.Cols)}
	for r := range w.Rows {
		w.ReadRow(a.data[r*w.Cols:(r+1)*w.Cols], r)
	}
	return a
}

// predict returns the logits after a few tokens.
func predict(t *testing.T, m *openelm.Model, a *openelm.Adapter) []float32 {
	t.Helper()
	s, err := m.NewSession(&openelm.SessionOptions{Adapter: a})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Append(t.Context(), 1, 7, 30, 4); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(s.Logits())
}

// TestAdapterWithMatrices: PEFT saves the embedding, and the head it adapts,
// beside the updates. They are used where they differ from the model's: the
// model with the adapter then computes what a model with these weights does.
func TestAdapterWithMatrices(t *testing.T) {
	const lora = `{"peft_type": "LORA", "r": 2, "lora_alpha": 2, "bias": "lora_only", "fan_in_fan_out": true}`
	const table, head = "base_model.model.transformer.token_embeddings.weight", "base_model.model.lm_head."
	rng := rand.New(rand.NewPCG(11, 12))
	// As PEFT's target of all linear layers does; and of nothing but the head.
	update := map[string]array{head + "lora_A.weight": dense(rng, 2, 32), head + "lora_B.weight": dense(rng, 32, 2)}
	for _, tied := range []bool{false, true} {
		config := tiny
		config.TiedHead = tied
		dir := makeDir(t, checkpoint.Spec{Config: config, Format: kernels.F32})
		base := open(t, dir, noTokenizer)
		same, other := rows(&base.Weights().Embedding), dense(rng, 32, 32)
		sameHead, otherHead := rows(&base.Weights().Head), dense(rng, 32, 32)
		changed := func(tensors map[string]array) *openelm.Model {
			info, err := loader.Inspect(t.Context(), dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			copied := t.TempDir()
			for name, f := range contents(t, dir) {
				write(t, copied, name, string(f.Data))
			}
			rewrite(t, filepath.Join(copied, "model.safetensors"), func(data []byte) []byte {
				for _, e := range info.Tensors {
					if a, ok := tensors[e.Name]; ok {
						checkpoint.Encode(data[e.Offset:e.Offset+e.Size], a.data, kernels.F32)
					}
				}
				return data
			})
			return open(t, copied, noTokenizer)
		}
		type test struct {
			saved map[string]array
			want  *openelm.Model
			lora  bool
		}
		cases := map[string]test{
			"the same embedding": {map[string]array{table: same}, base, false},
			"another embedding":  {map[string]array{table: other}, changed(map[string]array{"transformer.token_embeddings.weight": other}), false},
		}
		if !tied {
			cases["the same head with an update"] = test{map[string]array{head + "base_layer.weight": sameHead}, base, true}
			cases["another head with an update"] = test{map[string]array{head + "base_layer.weight": otherHead}, changed(map[string]array{"lm_head.weight": otherHead}), true}
		}
		for name, c := range cases {
			saved, without := maps.Clone(c.saved), (*openelm.Adapter)(nil)
			if c.lora {
				maps.Copy(saved, update)
				var err error
				if without, err = loader.OpenAdapter(t.Context(), writeAdapter(t, lora, peftFile, update), c.want, nil); err != nil {
					t.Fatal(err)
				}
				defer without.Release()
			}
			with, err := loader.OpenAdapter(t.Context(), writeAdapter(t, lora, peftFile, saved), base, nil)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			defer with.Release()
			if got, want := predict(t, base, with), predict(t, c.want, without); !slices.Equal(got, want) {
				t.Errorf("tied %t, %s: other logits than a model with these weights", tied, name)
			}
			if differs := with.Table != nil || with.Output != nil; differs != (c.want != base) {
				t.Errorf("tied %t, %s: matrices replaced: %t", tied, name, differs)
			}
		}
	}
}

// TestOlderDoRA: mlx-lm 0.14 to 0.18 wrote use_dora. The tensors may be in a file
// of any name that is asked for.
func TestOlderDoRA(t *testing.T) {
	pack := filepath.Join("..", "testdata", "golden", "dora-mlx")
	base := open(t, pack, noTokenizer)
	want, err := loader.OpenAdapter(t.Context(), filepath.Join(pack, "adapter"), base, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer want.Release()
	dir := t.TempDir()
	for name, f := range contents(t, filepath.Join(pack, "adapter")) {
		text := string(f.Data)
		switch name {
		case "adapter_config.json":
			text = strings.Replace(text, `"fine_tune_type": "dora"`, `"use_dora": true, "lora_layers": -1`, 1)
			if text == string(f.Data) {
				t.Fatal("the pack's configuration says DoRA in another way")
			}
		case mlxFile:
			name = "0000100_adapters.safetensors"
		}
		write(t, dir, name, text)
	}
	got, err := loader.OpenAdapter(t.Context(), filepath.Join(dir, "0000100_adapters.safetensors"), base, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Release()
	if !slices.Equal(predict(t, base, got), predict(t, base, want)) {
		t.Error("other logits")
	}
}

// FuzzAdapterConfig: whatever is accepted gives a rank and a scale to use.
func FuzzAdapterConfig(f *testing.F) {
	for _, c := range badAdapterConfigs {
		f.Add([]byte(c.text))
	}
	configs, err := filepath.Glob(filepath.Join("..", "testdata", "golden", "*", "adapter", "adapter_config.json"))
	if err != nil || len(configs) == 0 {
		f.Fatal("no configurations: ", err)
	}
	for _, name := range configs {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		var short bytes.Buffer
		if err := json.Compact(&short, text); err != nil {
			f.Fatal(err)
		}
		f.Add(short.Bytes())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		rank, scale, err := loader.ParseAdapterConfig(text, "transformer.layers.1.attn.qkv_proj")
		if err != nil {
			var bad *loader.FileError
			if !errors.As(err, &bad) || bad.Kind == nil {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		if rank < 1 || math.IsNaN(scale) || math.IsInf(scale, 0) {
			t.Fatalf("rank %d and scale %g of %s", rank, scale, strings.TrimSpace(string(text)))
		}
	})
}
