package loader_test

import (
	"errors"
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
)

// TestPlaces: what people name to open a model opens it.
func TestPlaces(t *testing.T) {
	dir := makeDir(t, checkpoint.Spec{Format: kernels.BF16, Shards: 2})
	want := weights(open(t, dir, noTokenizer))
	alone := t.TempDir()
	write(t, alone, "README.md", "")
	write(t, alone, "model.gguf", string(must(os.ReadFile(makeGGUF(t, checkpoint.Spec{Format: kernels.BF16})))))
	s, client := serve(t,
		hubtest.Repo{ID: "apple/OpenELM-270M", Files: contents(t, dir)},
		hubtest.Repo{ID: "o/gguf", Files: contents(t, alone)})
	o := &loader.Options{NoTokenizer: true, Hub: client}
	for _, name := range []string{
		dir, dir + string(filepath.Separator), filepath.Join(dir, "config.json"), filepath.Join(dir, "model.safetensors.index.json"),
		alone, filepath.Join(alone, "model.gguf"),
		"apple/OpenELM-270M", "apple/OpenELM-270M/", "apple/OpenELM-270M@main", "hf://apple/OpenELM-270M",
		s.URL + "/apple/OpenELM-270M", s.URL + "/apple/OpenELM-270M/tree/main", "https://huggingface.co/apple/OpenELM-270M",
		"https://huggingface.co/apple/OpenELM-270M/?library=transformers#usage", "https://hf.co/apple/OpenELM-270M/blob/main/config.json",
		"https://huggingface.co/apple/OpenELM-270M/resolve/main/model-00001-of-00002.safetensors?download=true",
		"o/gguf", "o/gguf/model.gguf", "https://huggingface.co/o/gguf", "https://huggingface.co/o/gguf/blob/main/model.gguf",
	} {
		if got := weights(open(t, name, o)); !slices.Equal(got, want) && !strings.Contains(name, "gguf") && name != alone {
			t.Errorf("%s: other weights", name)
		}
	}
	for name, hint := range map[string]string{
		"OpenELM-270M":                            "apple/OpenELM-270M",
		"openelm-1.1b-instruct":                   "apple/OpenELM-1_1B-Instruct",
		"some-model":                              "its owner's",
		"apple/OpenELM-270N":                      "repository not found",
		"https://example.com/a/b":                 "not an address of the hub",
		"https://huggingface.co/datasets/apple/x": "not the address of a model",
		"https://huggingface.co/apple":            "not the address of a model",
		"https://huggingface.co/apple/OpenELM-270M/commits/main": "not the address of a model",
		"https://huggingface.co/o/gguf/blob/main/other.gguf":     "other.gguf",
		"https://user:secret@huggingface.co/o/gguf":              "not an address",
	} {
		_, err := loader.Open(t.Context(), name, o)
		if err == nil || !strings.Contains(err.Error(), hint) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v, want one with %q", name, err, hint)
		}
	}
}

// TestNothingToOpen: the error says what is there instead of a model.
func TestNothingToOpen(t *testing.T) {
	config := string(must(os.ReadFile(filepath.Join(makeDir(t, checkpoint.Spec{Format: kernels.BF16}), "config.json"))))
	split := func() string {
		return string(must(os.ReadFile(makeGGUF(t, checkpoint.Spec{Format: kernels.F16, Metadata: []gguf.KeyValue{
			{Key: "split.no", Value: uint16(0)}, {Key: "split.count", Value: uint16(2)},
		}}))))
	}()
	const lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
	for name, c := range map[string]struct {
		files map[string]string
		kind  error
		want  []string
	}{
		"nothing":            {map[string]string{"README.md": ""}, loader.ErrNotFound, []string{"config.json"}},
		"PyTorch":            {map[string]string{"config.json": config, "pytorch_model-00001-of-00002.bin": "PK\x03\x04"}, loader.ErrNotFound, []string{"pytorch_model-00001-of-00002.bin is PyTorch's", "safetensors"}},
		"NumPy":              {map[string]string{"config.json": config, "weights.npz": "PK\x03\x04"}, loader.ErrNotFound, []string{"weights.npz is a NumPy archive"}},
		"no configuration":   {map[string]string{"pytorch_model-00001-of-00002.bin": "PK\x03\x04"}, loader.ErrNotFound, []string{"config.json", "pytorch_model-00001-of-00002.bin"}},
		"several GGUF":       {map[string]string{"b.gguf": "GGUF", "a.gguf": "GGUF"}, loader.ErrNotFound, []string{"2 GGUF files", "a.gguf"}},
		"split GGUF":         {map[string]string{"m-00001-of-00002.gguf": split, "m-00002-of-00002.gguf": split}, loader.ErrUnsupported, []string{"part 1 of 2", "merge"}},
		"LFS weights":        {map[string]string{"config.json": config, "model.safetensors": lfs}, loader.ErrCorrupt, []string{"model.safetensors", "Git LFS pointer", "git lfs pull"}},
		"LFS index":          {map[string]string{"config.json": config, "model.safetensors.index.json": lfs}, loader.ErrCorrupt, []string{"Git LFS pointer"}},
		"HTML":               {map[string]string{"config.json": "\n<!DOCTYPE html><html>"}, loader.ErrCorrupt, []string{"config.json", "HTML page"}},
		"HTML weights":       {map[string]string{"config.json": config, "model.safetensors": "<html lang=\"en\">"}, loader.ErrCorrupt, []string{"HTML page"}},
		"zip weights":        {map[string]string{"config.json": config, "model.safetensors": "PK\x03\x04........"}, loader.ErrUnsupported, []string{"zip archive"}},
		"pickle weights":     {map[string]string{"config.json": config, "model.safetensors": "\x80\x02}q\x00"}, loader.ErrUnsupported, []string{"pickle"}},
		"a shard is missing": {map[string]string{"config.json": config, "model-00002-of-00003.safetensors": ""}, loader.ErrNotFound, []string{"1 of the 3 files"}},
	} {
		dir := t.TempDir()
		fsys := fstest.MapFS{}
		for file, text := range c.files {
			write(t, dir, file, text)
			fsys[file] = &fstest.MapFile{Data: []byte(text)}
		}
		_, local := loader.Open(t.Context(), dir, noTokenizer)
		_, embedded := loader.OpenFS(t.Context(), fsys, noTokenizer)
		_, client := serve(t, hubtest.Repo{ID: "o/model", Files: fsys})
		_, remote := loader.Open(t.Context(), "o/model", &loader.Options{NoTokenizer: true, Hub: client})
		for where, err := range map[string]error{"local": local, "embedded": embedded, "remote": remote} {
			checkFileError(t, name+", "+where, err, c.kind, errField(err), c.want[0])
			for _, text := range c.want {
				if err != nil && !strings.Contains(err.Error(), text) {
					t.Errorf("%s, %s: error %v, want one with %q", name, where, err, text)
				}
			}
		}
	}
	// Files that are named.
	for text, want := range map[string]string{"PK\x03\x04": "zip archive", "\x93NUMPY\x01\x00": "NumPy array", "\x89HDF\r\n\x1a\n": "HDF5", "\x1f\x8b\x08": "gzip", lfs: "git lfs pull"} {
		dir := t.TempDir()
		write(t, dir, "config.json", config)
		write(t, dir, "weights.npz", text)
		_, err := loader.Open(t.Context(), filepath.Join(dir, "weights.npz"), noTokenizer)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
	// A tokenizer.
	for _, file := range []string{"tokenizer.json", "tokenizer.model", "tokenizer_config.json"} {
		dir := makeMini(t, []string{"tokenizer.model"}, map[string]string{file: lfs})
		_, err := loader.Open(t.Context(), dir, nil)
		checkFileError(t, file, err, loader.ErrCorrupt, "", "git lfs pull")
	}
	// An adapter.
	base := open(t, makeDir(t, checkpoint.Spec{Format: kernels.F32}), noTokenizer)
	dir := t.TempDir()
	write(t, dir, "adapter_config.json", `{"peft_type": "LORA"}`)
	write(t, dir, "adapter_model.bin", "PK\x03\x04")
	_, err := loader.OpenAdapter(t.Context(), dir, base, nil)
	checkFileError(t, "adapter", err, loader.ErrNotFound, "", "adapter_model.bin is PyTorch's")
}

// errField is the field that err is about.
func errField(err error) string {
	if f, ok := errors.AsType[*loader.FileError](err); ok {
		return f.Field
	}
	return ""
}

// TestShards: transformers and mlx-lm take the tensors that are in the files,
// whatever the index says of them.
func TestShards(t *testing.T) {
	spec := checkpoint.Spec{Format: kernels.BF16, Shards: 2}
	dir := makeDir(t, spec)
	want := weights(open(t, dir, noTokenizer))
	index := filepath.Join(dir, "model.safetensors.index.json")
	for name, change := range map[string]func(string) string{
		"a tensor that is not listed": func(text string) string {
			return strings.Replace(text, `"lm_head.weight": "model-00002-of-00002.safetensors",`, "", 1)
		},
		"a tensor that is elsewhere": func(text string) string {
			return strings.Replace(text, `"lm_head.weight": "model-00002`, `"lm_head.weight": "model-00001`, 1)
		},
	} {
		text := string(must(os.ReadFile(index)))
		if change(text) == text {
			t.Fatal("the index is another")
		}
		rewrite(t, index, func(data []byte) []byte { return []byte(change(text)) })
		if !slices.Equal(weights(open(t, dir, noTokenizer)), want) {
			t.Errorf("%s: other weights", name)
		}
		rewrite(t, index, func([]byte) []byte { return []byte(text) })
	}
	remove(t, dir, "model.safetensors.index.json")
	if !slices.Equal(weights(open(t, dir, noTokenizer)), want) {
		t.Error("without an index: other weights")
	}
	_, client := serve(t, hubtest.Repo{ID: "o/model", Files: contents(t, dir)})
	if !slices.Equal(weights(open(t, "o/model", &loader.Options{NoTokenizer: true, Hub: client})), want) {
		t.Error("without an index, from the hub: other weights")
	}
	// The same tensors again are harmless, others are not.
	whole := makeDir(t, checkpoint.Spec{Format: kernels.BF16})
	rename(t, whole, "model.safetensors", "model-a.safetensors")
	again := string(must(os.ReadFile(filepath.Join(whole, "model-a.safetensors"))))
	write(t, whole, "model-b.safetensors", again)
	if !slices.Equal(weights(open(t, whole, noTokenizer)), want) {
		t.Error("twice: other weights")
	}
	rewrite(t, filepath.Join(whole, "model-b.safetensors"), func(data []byte) []byte {
		data[len(data)-1] ^= 1
		return data
	})
	_, err := loader.Open(t.Context(), whole, noTokenizer)
	checkFileError(t, "another one", err, loader.ErrCorrupt, errField(err), "another tensor of this name")
}

// TestRepeatedKeys: the very same entry again is harmless, as for the
// safetensors crate and for Python.
func TestRepeatedKeys(t *testing.T) {
	dir := makeDir(t, checkpoint.Spec{Format: kernels.BF16})
	want := weights(open(t, dir, noTokenizer))
	edit(`"vocab_size": 32`, `"vocab_size": 32, "vocab_size": 32`)(t, dir)
	rewriteHeader(t, filepath.Join(dir, "model.safetensors"), func(text string) string {
		entry := text[strings.Index(text, `"transformer.norm.weight":`):]
		entry = entry[:strings.Index(entry, "}")+1]
		return "{" + entry + "," + strings.TrimPrefix(text, "{")
	})
	if !slices.Equal(weights(open(t, dir, noTokenizer)), want) {
		t.Error("other weights")
	}
}

// TestURLs: the parts of an address.
func TestURLs(t *testing.T) {
	client := &hub.Client{Endpoint: "https://mirror.example/api/hf", CacheDir: t.TempDir(), Getenv: func(string) string { return "" }}
	for address, want := range map[string]struct {
		repo hub.Repo
		file string
	}{
		"https://huggingface.co/o/m":                            {hub.Repo{ID: "o/m"}, ""},
		"https://HuggingFace.co/models/o/m/":                    {hub.Repo{ID: "o/m"}, ""},
		"https://huggingface.co/o/m/tree/v1.0":                  {hub.Repo{ID: "o/m", Revision: "v1.0"}, ""},
		"https://huggingface.co/o/m/tree/refs%2Fpr%2F1":         {hub.Repo{ID: "o/m", Revision: "refs/pr/1"}, ""},
		"https://huggingface.co/o/m/blob/main/q/x%20y.gguf":     {hub.Repo{ID: "o/m", Revision: "main"}, "q/x y.gguf"},
		"https://mirror.example/api/hf/o/m/resolve/main/x.gguf": {hub.Repo{ID: "o/m", Revision: "main"}, "x.gguf"},
	} {
		repo, file, err := client.ParseURL(address)
		if err != nil || repo != want.repo || file != want.file {
			t.Errorf("%s: %v, %q, %v", address, repo, file, err)
		}
	}
	for _, address := range []string{"https://mirror.example/o/m", "https://mirror.example/other/hf/o/m", "https://huggingface.co/o/m/tree/a/b", "https://huggingface.co/o/m/blob/main", "https://huggingface.co/../m", "https://huggingface.co/o/m%zz", "https://"} {
		if repo, file, err := client.ParseURL(address); !errors.Is(err, hub.ErrInvalidName) {
			t.Errorf("%s: %v, %q, %v", address, repo, file, err)
		}
	}
}
