package loader_test

import (
	"archive/zip"
	"bytes"
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
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/safetensors"
	"github.com/go-openelm/go-openelm/openelm"
)

// torchTensor is a tensor of a file of torch.save made for a test. Package
// loader/pytorch is held to files that torch itself wrote.
type torchTensor struct {
	name, class string // such as FloatStorage
	shape       []int
	data        []byte
}

func torchFloats(name string, a array) torchTensor {
	t := torchTensor{name: name, class: "FloatStorage", shape: a.shape}
	for _, v := range a.data {
		t.data = binary.LittleEndian.AppendUint32(t.data, math.Float32bits(v))
	}
	return t
}

func pickleString(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

func pickleInts(list ...int) string {
	s := "("
	for _, n := range list {
		s += "\x8a\x08" + string(binary.LittleEndian.AppendUint64(nil, uint64(n)))
	}
	return s + "t"
}

// torchDict is the pickle of a dictionary of tensors, whose data get the next
// keys of entries.
func torchDict(entries *[][]byte, list []torchTensor) string {
	pickle := "}"
	for _, t := range list {
		n, stride := 1, make([]int, len(t.shape))
		for i := len(t.shape) - 1; i >= 0; i-- {
			stride[i] = n
			n *= t.shape[i]
		}
		count := pickleInts(n)
		pickle += pickleString(t.name) + "ctorch._utils\n_rebuild_tensor_v2\n((" + pickleString("storage") + "ctorch\n" + t.class + "\n" +
			pickleString(fmt.Sprint(len(*entries))) + pickleString("cpu") + count[1:len(count)-1] + "tQK\x00" +
			pickleInts(t.shape...) + pickleInts(stride...) + "\x89ccollections\nOrderedDict\n)RtRs"
		*entries = append(*entries, t.data)
	}
	return pickle
}

// writeTorch writes a file of torch.save with that pickle.
func writeTorch(t *testing.T, path, pickle string, entries [][]byte) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	add := func(name string, data []byte) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: "archive/" + name})
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	add("data.pkl", []byte("\x80\x02"+pickle+"."))
	for i, data := range entries {
		add(fmt.Sprintf("data/%d", i), data)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// torchModel is the tensors of a Hugging Face directory under CoreNet's names.
func torchModel(t *testing.T, dir string) []torchTensor {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := safetensors.ReadHeader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	classes := map[safetensors.DType]string{safetensors.F32: "FloatStorage", safetensors.F16: "HalfStorage", safetensors.BF16: "BFloat16Storage"}
	var list []torchTensor
	for _, x := range h.Tensors {
		name := strings.TrimPrefix(x.Name, "transformer.")
		if name == "lm_head.weight" {
			name = "classifier.weight"
		}
		list = append(list, torchTensor{name, classes[x.DType], x.Shape, file[x.Offset:][:x.Size]})
	}
	return list
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
			list := torchModel(t, packs+pack)
			var entries [][]byte
			plain := writeTorch(t, filepath.Join(t.TempDir(), "model.pt"), torchDict(&entries, list), entries)
			entries = nil
			training := "}" + pickleString("iterations") + "K\x07s" + pickleString("model_state_dict") + torchDict(&entries, list) + "s" +
				pickleString("optim_state_dict") + "}s"
			checkpoint := writeTorch(t, filepath.Join(t.TempDir(), "training_checkpoint_last.pt"), training, entries)
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
	var entries [][]byte
	path := writeTorch(t, filepath.Join(t.TempDir(), "model.pt"), torchDict(&entries, torchModel(t, packs+"tiny-f32")), entries)
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
	var entries [][]byte
	path := writeTorch(t, filepath.Join(dir, "model.pt"), torchDict(&entries, torchModel(t, packs+"tiny-noqknorm")), entries)
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
	list := torchModel(t, packs+"tiny-f32")
	i := slices.IndexFunc(list, func(x torchTensor) bool { return x.name == "token_embeddings.weight" })
	table := dense(rng, 32128, 64)
	for r := 32000 * 64; r < len(table.data); r++ {
		table.data[r] = 1000 // would win every choice
	}
	list[i] = torchFloats("token_embeddings.weight", table)
	var entries [][]byte
	path := writeTorch(t, filepath.Join(t.TempDir(), "model.pt"), torchDict(&entries, list), entries)
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
func coreNetAdapter(rng *rand.Rand, list []torchTensor, dora bool) (with []torchTensor, updates map[string][3]array) {
	updates = map[string][3]array{}
	for _, x := range list {
		path, isMatrix := strings.CutSuffix(x.name, ".weight")
		if len(x.shape) != 2 || !isMatrix || path == "token_embeddings" {
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
		u := [3]array{small(32, x.shape[1]), small(x.shape[0], 32), {}}
		x.name = path + ".base_layer.weight"
		with = append(with, x, torchFloats(path+".lora_A.lora.weight", u[0]), torchFloats(path+".lora_B.lora.weight", u[1]))
		if dora {
			u[2] = dense(rng, x.shape[0])
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
		with, updates := coreNetAdapter(rng, torchModel(t, packs+"tiny-untied"), dora)
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
		var entries [][]byte
		path := writeTorch(t, filepath.Join(t.TempDir(), "openelm_lora.pt"), torchDict(&entries, with), entries)
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
	list := torchModel(t, packs+"tiny-f32")
	i := slices.IndexFunc(list, func(x torchTensor) bool { return x.name == "token_embeddings.weight" })
	table := make([]float32, 512*64)
	kernels.Widen(table, list[i].data, kernels.F32)
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
	lora[i].name = "token_embeddings.base_layer.weight"
	lora = append(lora, torchFloats("token_embeddings.lora_embedding_A.lora", a), torchFloats("token_embeddings.lora_embedding_B.lora", b))
	untied := append(slices.Clone(list), torchFloats("token_embeddings.weight", sum))
	untied[i].name = "classifier.weight"
	dir := t.TempDir()
	var entries [][]byte
	got := open(t, writeTorch(t, filepath.Join(dir, "lora.pt"), torchDict(&entries, lora), entries), noTokenizer)
	entries = nil
	want := open(t, writeTorch(t, filepath.Join(dir, "untied.pt"), torchDict(&entries, untied), entries), noTokenizer)
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
	list := torchModel(t, packs+"tiny-f32")
	without := func(name string) []torchTensor {
		return slices.DeleteFunc(slices.Clone(list), func(x torchTensor) bool { return x.name == name })
	}
	half := slices.Clone(list)
	half[0].class, half[0].shape = "ByteStorage", []int{len(half[0].data)}
	rank := append(slices.Clone(list), torchFloats("layers.0.attn.qkv_proj.lora_A.lora.weight", dense(rng, 8, 64)),
		torchFloats("layers.0.attn.qkv_proj.lora_B.lora.weight", dense(rng, 64, 8)))
	other := append(slices.Clone(list), torchFloats("layers.0.attn.qkv_proj.lora_C.lora.weight", dense(rng, 8, 64)))
	for name, test := range map[string]struct {
		list   []torchTensor
		kind   error
		reason string
	}{
		"no tensors":       {nil, loader.ErrCorrupt, "token_embeddings"},
		"no embedding":     {without("token_embeddings.weight"), loader.ErrCorrupt, "token_embeddings"},
		"no matrix":        {without("layers.1.attn.out_proj.weight"), loader.ErrCorrupt, "layers.1.attn.out_proj"},
		"no norm":          {without("norm.weight"), loader.ErrCorrupt, "norm"},
		"bytes":            {half, loader.ErrCorrupt, list[0].name},
		"another rank":     {rank, loader.ErrCorrupt, "rank 8"},
		"unknown LoRA":     {other, loader.ErrUnsupported, "lora_C"},
		"tensor with bias": {append(slices.Clone(list), torchFloats("layers.0.attn.qkv_proj.bias", dense(rng, 64))), loader.ErrUnsupported, "bias"},
	} {
		var entries [][]byte
		path := writeTorch(t, filepath.Join(t.TempDir(), "model.pt"), torchDict(&entries, test.list), entries)
		_, err := loader.Open(t.Context(), path, noTokenizer)
		if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%s: %v, want %v with %q", name, err, test.kind, test.reason)
		}
	}
	var entries [][]byte
	path := writeTorch(t, filepath.Join(t.TempDir(), "model.pt"), torchDict(&entries, list), entries)
	base := open(t, packs+"tiny-f32", noTokenizer)
	if _, err := loader.OpenAdapter(t.Context(), path, base, nil); !errors.Is(err, loader.ErrCorrupt) || !strings.Contains(err.Error(), "no LoRA") {
		t.Errorf("a model for an adapter: %v", err)
	}
	info, err := loader.Inspect(t.Context(), path, nil)
	if err != nil || info.Kind != "CoreNet" || info.Problem != nil {
		t.Errorf("inspected: %+v, %v", info, err)
	}
}
