package loader_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-openelm/go-openelm/internal/checkpoint"
	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/gguf"
	"github.com/go-openelm/go-openelm/loader/hub"
	"github.com/go-openelm/go-openelm/loader/tokenizer"
	"github.com/go-openelm/go-openelm/openelm"
)

var tokenizerDir = filepath.Join("..", "testdata", "tokenizer")

// llamaSized is the tiny model with Llama 2's vocabulary.
func llamaSized() openelm.Config {
	c := tiny
	c.VocabSize, c.TiedHead = 32000, true
	return c
}

const public = "TinyLlama/TinyLlama-1.1B-Chat-v1.0"

// serve starts a hub with these repositories and returns a client of it.
func serve(t *testing.T, repos ...hubtest.Repo) (*hubtest.Server, *hub.Client) {
	t.Helper()
	s := hubtest.New(t, repos...)
	return s, &hub.Client{
		Endpoint: s.URL, Transport: s.Transport(), CacheDir: t.TempDir(),
		Getenv: func(string) string { return "" },
	}
}

// files reads a directory, and adds empty files that nothing asks for.
func files(t *testing.T, dir string, names ...string) fstest.MapFS {
	t.Helper()
	m := fstest.MapFS{"README.md": {}, "pytorch_model-00001-of-00002.bin": {}, "flax_model.msgpack": {}}
	for _, pattern := range names {
		list, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(list) == 0 {
			t.Fatalf("no %s in %s", pattern, dir)
		}
		for _, path := range list {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			m[filepath.Base(path)] = &fstest.MapFile{Data: data}
		}
	}
	return m
}

// asked is the names of the files that were transferred.
func asked(s *hubtest.Server) []string {
	var names []string
	for _, r := range s.Requests() {
		if _, name, ok := strings.Cut(r.Path, "/resolve/"); ok && r.Method == "GET" {
			names = append(names, name[strings.Index(name, "/")+1:])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TestOpenRepository: a model by its id, with the tokenizer that its repository
// lacks; only what is needed is downloaded, once, and then no network is needed.
func TestOpenRepository(t *testing.T) {
	dir := makeDir(t, checkpoint.Spec{Config: llamaSized(), Format: kernels.BF16, Shards: 2})
	s, client := serve(t,
		hubtest.Repo{ID: "apple/OpenELM-270M", Files: files(t, dir, "*")},
		hubtest.Repo{ID: public, Files: files(t, tokenizerDir, "tokenizer.model", "tokenizer_config.json")})
	var progress int
	client.Progress = func(hub.Progress) { progress++ }
	m := open(t, "apple/OpenELM-270M", &loader.Options{Hub: client})
	want := []string{"config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
		"model.safetensors.index.json", "tokenizer.model", "tokenizer_config.json"}
	if got := asked(s); !slices.Equal(got, want) {
		t.Errorf("downloaded %q, want %q", got, want)
	}
	if progress == 0 {
		t.Error("no progress was told")
	}
	ids := m.Tokenizer().Encode("Once upon a time")
	if got := m.Tokenizer().Decode(ids); got != "Once upon a time" {
		t.Errorf("%v decodes to %q", ids, got)
	}
	d := m.Tokenizer().NewDecoder()
	var text strings.Builder
	for _, id := range ids {
		text.WriteString(d.Next(id))
	}
	if text.WriteString(d.Flush()); strings.TrimPrefix(text.String(), " ") != "Once upon a time" {
		t.Errorf("streams %q", text.String())
	}
	// The tokenizer alone needs no weights.
	fresh := &hub.Client{Endpoint: client.Endpoint, Transport: client.Transport, CacheDir: t.TempDir(), Getenv: client.Getenv}
	before := len(s.Requests())
	if _, err := loader.OpenTokenizer(t.Context(), "apple/OpenELM-270M", &loader.Options{Hub: fresh}); err != nil {
		t.Error(err)
	}
	for _, r := range s.Requests()[before:] {
		if strings.Contains(r.Path, "model-") {
			t.Errorf("the tokenizer alone asked for %s", r.Path)
		}
	}
	s.Close()
	client.Offline = true
	open(t, "apple/OpenELM-270M", &loader.Options{Hub: client})
	info, err := loader.Inspect(t.Context(), "apple/OpenELM-270M@main", &loader.Options{Hub: client})
	if err != nil || info.Config.VocabSize != 32000 {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestOpenRepositoryErrors(t *testing.T) {
	dir := makeDir(t, checkpoint.Spec{Config: llamaSized(), Format: kernels.BF16})
	other := llamaSized()
	other.VocabSize = 31000
	model := files(t, dir, "*")
	_, client := serve(t,
		hubtest.Repo{ID: "o/model", Files: model},
		hubtest.Repo{ID: "o/gated", Files: model, Gated: true},
		hubtest.Repo{ID: "o/unconfigured", Files: files(t, dir, "model.safetensors")},
		hubtest.Repo{ID: "o/empty", Files: files(t, dir, "config.json")},
		hubtest.Repo{ID: "o/other", Files: files(t, makeDir(t, checkpoint.Spec{Config: other, Format: kernels.BF16}), "*")},
		hubtest.Repo{ID: "o/own", Files: merged(model, files(t, filepath.Join(tokenizerDir, "mini"), "tokenizer.model"))},
		// What claims to be Llama 2's tokenizer and is not is not taken for it.
		hubtest.Repo{ID: public, Files: files(t, filepath.Join(tokenizerDir, "mini"), "tokenizer.model")})
	o := &loader.Options{Hub: client}
	for name, want := range map[string]struct {
		kind   error
		reason string
	}{
		"o/missing":      {loader.ErrNotFound, "no such path, and"},
		"o/gated":        {hub.ErrGated, "o/gated"},
		"o/model@gone":   {hub.ErrRevisionNotFound, "gone"},
		"o/unconfigured": {loader.ErrNotFound, "config.json"},
		"o/empty":        {loader.ErrNotFound, "model.safetensors"},
		"o/model/x.gguf": {loader.ErrNotFound, "x.gguf"},
		"o/model":        {loader.ErrNoTokenizer, "not Llama 2's"},
		"o/other":        {loader.ErrNoTokenizer, "put tokenizer.model"},
		"o--o/model":     {hub.ErrInvalidName, `"--"`},
	} {
		if _, err := loader.Open(t.Context(), name, o); !errors.Is(err, want.kind) || !strings.Contains(err.Error(), want.reason) {
			t.Errorf("%s: error %v, want %v with %q", name, err, want.kind, want.reason)
		}
	}
	if m := open(t, "o/own", o); len(m.Tokenizer().Encode("a")) == 0 {
		t.Error("the repository's own tokenizer is not used")
	}
}

func merged(list ...fstest.MapFS) fstest.MapFS {
	all := fstest.MapFS{}
	for _, m := range list {
		for name, f := range m {
			all[name] = f
		}
	}
	return all
}

// llamaMetadata is the tokenizer of llama.cpp's Llama 2 vocabulary.
func llamaMetadata(t *testing.T) []gguf.KeyValue {
	t.Helper()
	f, err := os.Open(filepath.Join(tokenizerDir, "llama-spm-vocab.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	g, err := gguf.Read(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	var list []gguf.KeyValue
	for _, key := range []string{"model", "tokens", "scores", "token_type", "unknown_token_id", "add_bos_token", "add_eos_token"} {
		if v, ok := g.Metadata["tokenizer.ggml."+key]; ok {
			list = append(list, gguf.KeyValue{Key: "tokenizer.ggml." + key, Value: v})
		}
	}
	return list
}

// TestGGUFTokenizer: the tokenizer in a GGUF file is the one beside other files.
func TestGGUFTokenizer(t *testing.T) {
	path := makeGGUF(t, checkpoint.Spec{Config: llamaSized(), Format: kernels.Q8_0, Metadata: llamaMetadata(t)})
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, client := serve(t, hubtest.Repo{ID: "o/gguf", Files: fstest.MapFS{"q/model-q8_0.gguf": {Data: data}}})
	dir := makeDir(t, checkpoint.Spec{Config: llamaSized(), Format: kernels.F16})
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.model"), must(os.ReadFile(filepath.Join(tokenizerDir, "tokenizer.model"))), 0o666); err != nil {
		t.Fatal(err)
	}
	const text = "Été 👍 two  spaces"
	want := open(t, dir, nil).Tokenizer().Encode(text)
	for name, o := range map[string]*loader.Options{path: nil, "o/gguf/q/model-q8_0.gguf": {Hub: client}} {
		if got := open(t, name, o).Tokenizer().Encode(text); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		tok, err := loader.OpenTokenizer(t.Context(), name, o)
		if err != nil || !slices.Equal(tok.Encode(text), want) || tok.BOS() != 1 || tok.VocabSize() != 32000 {
			t.Errorf("%s: OpenTokenizer: %v", name, err)
		}
	}
	_, err = loader.Open(t.Context(), makeGGUF(t, checkpoint.Spec{Format: kernels.Q8_0}), nil)
	checkFileError(t, "no tokenizer", err, loader.ErrNoTokenizer, "", "Options.Tokenizer")
	_, err = loader.Open(t.Context(), makeGGUF(t, checkpoint.Spec{Format: kernels.Q8_0,
		Metadata: []gguf.KeyValue{{Key: "tokenizer.ggml.model", Value: "no_vocab"}}}), nil)
	checkFileError(t, "no vocabulary", err, loader.ErrNoTokenizer, "", "Options.Tokenizer")
	_, err = loader.Open(t.Context(), makeGGUF(t, checkpoint.Spec{Format: kernels.Q8_0, Metadata: llamaMetadata(t)}), nil)
	checkFileError(t, "too many tokens", err, loader.ErrCorrupt, "", "has 32000 tokens, the model only 32")
	_, err = loader.Open(t.Context(), makeGGUF(t, checkpoint.Spec{Format: kernels.Q8_0,
		Metadata: []gguf.KeyValue{{Key: "tokenizer.ggml.model", Value: "gpt2"}}}), nil)
	checkFileError(t, "another kind", err, loader.ErrUnsupported, "tokenizer.ggml.model", "gpt2")
	_, err = loader.Open(t.Context(), makeGGUF(t, checkpoint.Spec{Format: kernels.Q8_0,
		Metadata: []gguf.KeyValue{{Key: "tokenizer.ggml.model", Value: "llama"}}}), nil)
	checkFileError(t, "nothing in it", err, loader.ErrCorrupt, "", "vocabulary")
	_, err = loader.Open(t.Context(), makeGGUF(t, checkpoint.Spec{Format: kernels.Q8_0,
		Metadata: []gguf.KeyValue{{Key: "tokenizer.ggml.model", Value: "llama"}, {Key: "tokenizer.ggml.tokens", Value: []int32{1}}}}), nil)
	checkFileError(t, "pieces of a wrong type", err, loader.ErrCorrupt, "tokenizer.ggml.tokens", "[]int32")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestNoTokenizer: a local checkpoint gets no tokenizer from the network unless
// that is allowed.
func TestNoTokenizer(t *testing.T) {
	s, client := serve(t, hubtest.Repo{ID: public, Files: files(t, tokenizerDir, "tokenizer.json")})
	dir := makeDir(t, checkpoint.Spec{Config: llamaSized(), Format: kernels.BF16})
	_, err := loader.Open(t.Context(), dir, &loader.Options{Hub: client})
	checkFileError(t, "not allowed", err, loader.ErrNoTokenizer, "", "Options.DownloadTokenizer")
	if len(s.Requests()) != 0 {
		t.Errorf("the network was asked: %v", s.Requests())
	}
	m := open(t, dir, &loader.Options{Hub: client, DownloadTokenizer: true})
	if m.Tokenizer() == nil {
		t.Error("allowed, but there is none")
	}

	// One that is given is used, and no other looked for.
	tok, err := tokenizer.Load(os.DirFS(tokenizerDir), ".")
	if err != nil {
		t.Fatal(err)
	}
	given := loader.NewTokenizer(tok)
	if m := open(t, dir, &loader.Options{Tokenizer: given}); m.Tokenizer() != given {
		t.Error("the given tokenizer is not used")
	}

	// One that is damaged is an error, not a reason to take another.
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.model"), []byte("\x0a\xff"), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err = loader.Open(t.Context(), dir, &loader.Options{Hub: client, DownloadTokenizer: true})
	var f *loader.FileError
	if !errors.As(err, &f) || !errors.Is(err, loader.ErrCorrupt) {
		t.Errorf("damaged: error %v", err)
	}
}

// otherLibrary downloads as another library does.
type otherLibrary struct{ dir string }

func (o otherLibrary) DownloadFile(name string) (string, error) {
	path := filepath.Join(o.dir, name)
	if _, err := os.Stat(path); err != nil {
		return "", err
	}
	return path, nil
}

func (o otherLibrary) DownloadInfo(bool) error { return nil }

func (o otherLibrary) HasFile(name string) bool {
	_, err := os.Stat(filepath.Join(o.dir, name))
	return !errors.Is(err, fs.ErrNotExist)
}

func TestOpenSource(t *testing.T) {
	dir := makeDir(t, checkpoint.Spec{Format: kernels.BF16})
	m, err := loader.OpenSource(t.Context(), hub.From(otherLibrary{dir}), noTokenizer)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if !slices.Equal(weights(m), weights(open(t, dir, noTokenizer))) {
		t.Error("other weights")
	}
	// What it delivers is checked like everything else.
	rewrite(t, filepath.Join(dir, "model.safetensors"), func(data []byte) []byte { return bytes.TrimRight(data, "\x00")[:len(data)/2] })
	_, err = loader.OpenSource(t.Context(), hub.From(otherLibrary{dir}), noTokenizer)
	var f *loader.FileError
	if !errors.As(err, &f) || !errors.Is(err, loader.ErrCorrupt) {
		t.Errorf("cut: error %v", err)
	}
}
