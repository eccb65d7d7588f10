package server_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/server"
)

// TestDisk: another server finds what one has left, for the same model and adapter
// only; the answer is the same. Files keep to their budget, and damaged ones are
// left alone.
func TestDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	serve := func(budget int64, o server.Options) *fixture {
		t.Helper()
		f := newFixture(t, o, openelm.BatchOptions{})
		if err := f.KeepOnDisk(dir, budget); err != nil {
			t.Fatal(err)
		}
		return f
	}
	ask := func(f *fixture, model string, cached bool, want string) string {
		t.Helper()
		a := complete(t, f, object{"model": model, "prompt": longPrompt, "max_tokens": 12, "seed": 1})
		n := a.Usage.PromptTokensDetails.CachedTokens
		if text := a.Choices[0].Text; (n > 0) != cached || want != "" && text != want {
			t.Errorf("%s says %q, of %d cached tokens; want %q, cached %v", model, text, n, want, cached)
		}
		return a.Choices[0].Text
	}
	files := func() []string {
		t.Helper()
		list, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	const much = 1 << 30
	f := serve(much, server.Options{})
	want := ask(f, "story", false, "")
	ask(f, "story", true, want)
	if len(files()) != 0 {
		t.Errorf("it is written already: %v", files())
	}
	f.Close()
	list := files()
	if len(list) != 1 {
		t.Fatalf("%v", list)
	}
	info, err := os.Stat(list[0])
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}

	f = serve(much, server.Options{CacheBytes: -1}) // nothing in memory: to the disk at once
	ask(f, "other", false, "")
	ask(f, "story", true, want)
	ask(f, "chatty", true, "")
	if n := len(files()); n != 2 {
		t.Errorf("%d files, for a model and an adapter", n)
	}
	f.Close()

	if err := os.WriteFile(filepath.Join(dir, "prefix-bad.safetensors"), []byte("no session"), 0o600); err != nil {
		t.Fatal(err)
	}
	f = serve(info.Size()+100, server.Options{})
	if n := len(files()); n != 2 { // the bad one, and the one used last
		t.Errorf("%d files", n)
	}
	ask(f, "story", true, want)
	f.Close()
}
