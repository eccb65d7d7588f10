package loader_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
	"github.com/go-openelm/go-openelm/internal/testing/torchfile"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

func torchFloats(name string, a array) torchfile.Tensor {
	t := torchfile.Tensor{Name: name, Class: "FloatStorage", Shape: a.shape}
	for _, v := range a.data {
		t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(v))
	}
	return t
}

// logitsOf evaluates tokens and returns every prediction.
func logitsOf(t *testing.T, m *openelm.Model, a *openelm.Adapter, tokens []int32) []float32 {
	t.Helper()
	s, err := m.NewSession(&openelm.SessionOptions{Capacity: len(tokens), Adapter: a})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var all []float32
	err = s.AppendEach(t.Context(), func(_ int, logits []float32) error {
		all = append(all, logits...)
		return nil
	}, tokens...)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func largestDifference(a, b []float32) (d float64) {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	for i := range a {
		d = max(d, math.Abs(float64(a[i])-float64(b[i])))
	}
	return d
}

const packs = "../testdata/golden/"

// TestPyTorchModels: a golden pack's weights, as CoreNet saves weights and as it
// saves training checkpoints, are the same model, and all that config.json says
// but the context length follows from the shapes.
func TestPyTorchModels(t *testing.T) {
	tokens := []int32{1, 5, 200, 3, 77, 12, 9, 250, 2, 30}
	for _, pack := range []string{"tiny-f32", "tiny-f16", "tiny-bf16", "tiny-mha", "tiny-hd128", "tiny-noglu", "tiny-untied"} {
		t.Run(pack, func(t *testing.T) {
			want := open(t, packs+pack, noTokenizer)
			reference := logitsOf(t, want, nil, tokens)
			list := torchfile.Model(t, packs+pack)
			plain := torchfile.Save(t, filepath.Join(t.TempDir(), "model.pt"), list)
			var entries [][]byte
			training := "}" + torchfile.String("iterations") + "K\x07s" + torchfile.String("model_state_dict") + torchfile.Dict(&entries, list) + "s" +
				torchfile.String("optim_state_dict") + "}s"
			checkpoint := torchfile.Write(t, filepath.Join(t.TempDir(), "training_checkpoint_last.pt"), training, entries)
			for _, path := range []string{plain, checkpoint, filepath.Dir(plain)} {
				m := open(t, path, noTokenizer)
				if d := largestDifference(logitsOf(t, m, nil, tokens), reference); d != 0 {
					t.Errorf("%s: logits differ by %g", filepath.Base(path), d)
				}
				got, config := *m.Config(), *want.Config()
				config.MaxContext = 2048
				if fmt.Sprint(got) != fmt.Sprint(config) {
					t.Errorf("%s: configuration\n%v, want\n%v", filepath.Base(path), got, config)
				}
			}
		})
	}
}

// TestPyTorchInRepository: a .pt file is named as a GGUF file is.
func TestPyTorchInRepository(t *testing.T) {
	path := torchfile.Save(t, filepath.Join(t.TempDir(), "model.pt"), torchfile.Model(t, packs+"tiny-f32"))
	_, client := serve(t, hubtest.Repo{ID: "o/torch", Files: fstest.MapFS{"270M/model.pt": {Data: must(os.ReadFile(path))}}})
	m := open(t, "o/torch/270M/model.pt", &loader.Options{Hub: client, NoTokenizer: true})
	tokens := []int32{1, 5, 200}
	if d := largestDifference(logitsOf(t, m, nil, tokens), logitsOf(t, open(t, packs+"tiny-f32", noTokenizer), nil, tokens)); d != 0 {
		t.Errorf("logits differ by %g", d)
	}
}

// TestPyTorchConfig: a config.json beside the file has the last word.
func TestPyTorchConfig(t *testing.T) {
	dir := t.TempDir()
	config, err := os.ReadFile(packs + "tiny-noqknorm/config.json")
	if err != nil {
		t.Fatal(err)
	}
	path := torchfile.Save(t, filepath.Join(dir, "model.pt"), torchfile.Model(t, packs+"tiny-noqknorm"))
	if _, err := loader.Open(t.Context(), path, noTokenizer); !errors.Is(err, loader.ErrCorrupt) || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("without head norms and config.json: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o666); err != nil {
		t.Fatal(err)
	}
	m := open(t, path, noTokenizer)
	if m.Config().MaxContext != 512 || m.Config().QKNorm {
		t.Errorf("configuration %v", *m.Config())
	}
}

// TestPyTorchPadding: rows that CoreNet's rounding added to Llama's vocabulary
// are no tokens.
func TestPyTorchPadding(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	list := torchfile.Model(t, packs+"tiny-f32")
	i := slices.IndexFunc(list, func(x torchfile.Tensor) bool { return x.Name == "token_embeddings.weight" })
	table := dense(rng, 32128, 64)
	for r := 32000 * 64; r < len(table.data); r++ {
		table.data[r] = 1000 // would win every choice
	}
	list[i] = torchFloats("token_embeddings.weight", table)
	path := torchfile.Save(t, filepath.Join(t.TempDir(), "model.pt"), list)
	m := open(t, path, noTokenizer)
	if n := m.Config().VocabSize; n != 32000 {
		t.Fatalf("a vocabulary of %d", n)
	}
	if got := len(logitsOf(t, m, nil, []int32{1, 31999})); got != 2*32000 {
		t.Errorf("%d logits", got)
	}
	s, err := m.NewSession(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Append(t.Context(), 32000); !errors.Is(err, openelm.ErrToken) {
		t.Errorf("a padding token: %v", err)
	}
}

// coreNetAdapter makes the tensors of a model that was trained with an adapter,
// and the same updates as arrays by matrix.
func coreNetAdapter(rng *rand.Rand, list []torchfile.Tensor, dora bool) (with []torchfile.Tensor, updates map[string][3]array) {
	updates = map[string][3]array{}
	for _, x := range list {
		path, isMatrix := strings.CutSuffix(x.Name, ".weight")
		if len(x.Shape) != 2 || !isMatrix || path == "token_embeddings" {
			with = append(with, x)
			continue
		}
		small := func(shape ...int) array {
			a := dense(rng, shape...)
			for i := range a.data {
				a.data[i] *= 0.05
			}
			return a
		}
		u := [3]array{small(32, x.Shape[1]), small(x.Shape[0], 32), {}}
		x.Name = path + ".base_layer.weight"
		with = append(with, x, torchFloats(path+".lora_A.lora.weight", u[0]), torchFloats(path+".lora_B.lora.weight", u[1]))
		if dora {
			u[2] = dense(rng, x.Shape[0])
			with = append(with, torchFloats(path+".lora_magnitude_vector.lora", u[2]))
		}
		updates[path] = u
	}
	return with, updates
}

// TestCoreNetAdapter: the adapter of a CoreNet file is the one that PEFT would
// have stored, whether the file is opened as a model or as an adapter.
func TestCoreNetAdapter(t *testing.T) {
	tokens := []int32{1, 5, 400, 3, 77, 12, 9}
	for _, dora := range []bool{false, true} {
		rng := rand.New(rand.NewPCG(3, 4))
		with, updates := coreNetAdapter(rng, torchfile.Model(t, packs+"tiny-untied"), dora)
		arrays := map[string]array{}
		for path, u := range updates {
			name := peftBase + strings.Replace("transformer."+path, "transformer.classifier", "lm_head", 1)
			arrays[name+".lora_A.weight"], arrays[name+".lora_B.weight"] = u[0], u[1]
			if dora {
				arrays[name+".lora_magnitude_vector"] = u[2]
			}
		}
		base := open(t, packs+"tiny-untied", noTokenizer)
		config := fmt.Sprintf(`{"peft_type": "LORA", "r": 32, "lora_alpha": 32, "use_dora": %v}`, dora)
		peft, err := loader.OpenAdapter(t.Context(), writeAdapter(t, config, peftFile, arrays), base, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := logitsOf(t, base, peft, tokens)
		peft.Release()
		path := torchfile.Save(t, filepath.Join(t.TempDir(), "openelm_lora.pt"), with)
		model := open(t, path, noTokenizer)
		if d := largestDifference(logitsOf(t, model, nil, tokens), want); d != 0 {
			t.Errorf("DoRA %v: opened as a model: logits differ by %g", dora, d)
		}
		adapter, err := loader.OpenAdapter(t.Context(), path, base, nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := largestDifference(logitsOf(t, base, adapter, tokens), want); d != 0 {
			t.Errorf("DoRA %v: opened as an adapter: logits differ by %g", dora, d)
		}
		adapter.Release()
		if bare := logitsOf(t, base, nil, tokens); largestDifference(bare, want) < 0.01 {
			t.Error("the adapter changes nothing")
		}
	}
}

const peftBase = "base_model.model."

// TestCoreNetEmbedding: an adapter of the embedding changes what tokens are
// looked up in and leaves a tied output matrix alone, which is a model whose
// two matrices differ by the update.
func TestCoreNetEmbedding(t *testing.T) {
	tokens := []int32{1, 5, 400, 3, 77, 511}
	rng := rand.New(rand.NewPCG(5, 6))
	list := torchfile.Model(t, packs+"tiny-f32")
	i := slices.IndexFunc(list, func(x torchfile.Tensor) bool { return x.Name == "token_embeddings.weight" })
	table := make([]float32, 512*64)
	kernels.Widen(table, list[i].Data, kernels.F32)
	a, b := dense(rng, 32, 512), dense(rng, 64, 32) // as corenet.third_party.modeling.lora.Embedding has them
	sum := array{[]int{512, 64}, make([]float32, len(table))}
	for id := range 512 {
		for c := range 64 {
			v := float64(table[id*64+c])
			for k := range 32 {
				v += float64(a.data[k*512+id]) * float64(b.data[c*32+k])
			}
			sum.data[id*64+c] = float32(v)
		}
	}
	lora := slices.Clone(list)
	lora[i].Name = "token_embeddings.base_layer.weight"
	lora = append(lora, torchFloats("token_embeddings.lora_embedding_A.lora", a), torchFloats("token_embeddings.lora_embedding_B.lora", b))
	untied := append(slices.Clone(list), torchFloats("token_embeddings.weight", sum))
	untied[i].Name = "classifier.weight"
	dir := t.TempDir()
	got := open(t, torchfile.Save(t, filepath.Join(dir, "lora.pt"), lora), noTokenizer)
	want := open(t, torchfile.Save(t, filepath.Join(dir, "untied.pt"), untied), noTokenizer)
	reference := logitsOf(t, want, nil, tokens)
	if d := largestDifference(logitsOf(t, got, nil, tokens), reference); d > 1e-4 {
		t.Errorf("logits differ by %g", d)
	}
	// PEFT's adapter of the embedding means and looks the same.
	base := open(t, packs+"tiny-f32", noTokenizer)
	peft, err := loader.OpenAdapter(t.Context(), writeAdapter(t, `{"peft_type": "LORA", "r": 32, "lora_alpha": 32}`, peftFile, map[string]array{
		peftBase + "transformer.token_embeddings.lora_embedding_A": a, peftBase + "transformer.token_embeddings.lora_embedding_B": b,
	}), base, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer peft.Release()
	if d := largestDifference(logitsOf(t, base, peft, tokens), reference); d > 1e-4 {
		t.Errorf("PEFT's adapter: logits differ by %g", d)
	}
}

func TestPyTorchErrors(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	list := torchfile.Model(t, packs+"tiny-f32")
	without := func(name string) []torchfile.Tensor {
		return slices.DeleteFunc(slices.Clone(list), func(x torchfile.Tensor) bool { return x.Name == name })
	}
	half := slices.Clone(list)
	half[0].Class, half[0].Shape = "ByteStorage", []int{len(half[0].Data)}
	rank := append(slices.Clone(list), torchFloats("layers.0.attn.qkv_proj.lora_A.lora.weight", dense(rng, 8, 64)),
		torchFloats("layers.0.attn.qkv_proj.lora_B.lora.weight", dense(rng, 64, 8)))
	other := append(slices.Clone(list), torchFloats("layers.0.attn.qkv_proj.lora_C.lora.weight", dense(rng, 8, 64)))
	for name, test := range map[string]struct {
		list   []torchfile.Tensor
		kind   error
		reason string
	}{
		"no tensors":       {nil, loader.ErrCorrupt, "token_embeddings"},
		"no embedding":     {without("token_embeddings.weight"), loader.ErrCorrupt, "token_embeddings"},
		"no matrix":        {without("layers.1.attn.out_proj.weight"), loader.ErrCorrupt, "layers.1.attn.out_proj"},
		"no norm":          {without("norm.weight"), loader.ErrCorrupt, "norm"},
		"bytes":            {half, loader.ErrCorrupt, list[0].Name},
		"another rank":     {rank, loader.ErrCorrupt, "rank 8"},
		"unknown LoRA":     {other, loader.ErrUnsupported, "lora_C"},
		"tensor with bias": {append(slices.Clone(list), torchFloats("layers.0.attn.qkv_proj.bias", dense(rng, 64))), loader.ErrUnsupported, "bias"},
	} {
		path := torchfile.Save(t, filepath.Join(t.TempDir(), "model.pt"), test.list)
		_, err := loader.Open(t.Context(), path, noTokenizer)
		if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%s: %v, want %v with %q", name, err, test.kind, test.reason)
		}
	}
	path := torchfile.Save(t, filepath.Join(t.TempDir(), "model.pt"), list)
	base := open(t, packs+"tiny-f32", noTokenizer)
	if _, err := loader.OpenAdapter(t.Context(), path, base, nil); !errors.Is(err, loader.ErrCorrupt) || !strings.Contains(err.Error(), "no LoRA") {
		t.Errorf("a model for an adapter: %v", err)
	}
	info, err := loader.Inspect(t.Context(), path, nil)
	if err != nil || info.Kind != "CoreNet" || info.Problem != nil {
		t.Errorf("inspected: %+v, %v", info, err)
	}
}
