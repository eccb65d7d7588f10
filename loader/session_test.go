package loader_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

func sessionModel(t testing.TB, pack string) *openelm.Model {
	t.Helper()
	m, err := loader.Open(t.Context(), filepath.Join("..", "testdata", "golden", pack), &loader.Options{NoTokenizer: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// savedSession is a session of n tokens, and its file.
func savedSession(t testing.TB, m *openelm.Model, o openelm.SessionOptions, n int) (*openelm.Session, string) {
	t.Helper()
	o.Capacity = 64
	s, err := m.NewSession(&o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = int32(7 * i % 250)
	}
	if err := s.Append(t.Context(), tokens...); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "session.safetensors")
	if err := loader.SaveSession(t.Context(), path, s); err != nil {
		t.Fatal(err)
	}
	return s, path
}

// TestSessionFile: a session goes on where it was saved, with the same bits.
func TestSessionFile(t *testing.T) {
	m := sessionModel(t, "tiny-f32")
	for _, format := range cacheFormats(t, m) {
		for _, n := range []int{0, 1, 5, 40} {
			s, path := savedSession(t, m, openelm.SessionOptions{CacheFormat: format}, n)
			logits := slices.Clone(s.Logits())
			if err := s.Push(9); err != nil { // one that is not evaluated, and not in the first file
				t.Fatal(err)
			}
			for _, pushed := range []bool{false, true} {
				if pushed {
					if err := loader.SaveSession(t.Context(), path, s); err != nil {
						t.Fatal(err)
					}
				}
				// Restored by a model of its own, as by another process.
				got, err := loader.OpenSession(path, sessionModel(t, "tiny-f32"), &openelm.SessionOptions{Capacity: 50})
				if err != nil {
					t.Fatal(err)
				}
				defer got.Close()
				if !pushed {
					if !slices.Equal(got.Logits(), logits) {
						t.Errorf("%s, %d tokens: the restored session predicts something else", format, n)
					}
					if err := got.Push(9); err != nil {
						t.Fatal(err)
					}
				}
				fork, err := s.Fork(nil)
				if err != nil {
					t.Fatal(err)
				}
				defer fork.Close()
				if err := errors.Join(got.Append(t.Context(), 3, 4), fork.Append(t.Context(), 3, 4)); err != nil {
					t.Fatal(err)
				}
				if got.Capacity() != 50 || !slices.Equal(got.Tokens(), fork.Tokens()) || !slices.Equal(got.Logits(), fork.Logits()) {
					t.Errorf("%s, %d tokens, pushed %v: the restored session goes on in another way", format, n, pushed)
				}
			}
		}
	}
}

// cacheFormats are those that the model's backend has.
func cacheFormats(t *testing.T, m *openelm.Model) []kernels.Format {
	list := []kernels.Format{kernels.F32}
	s, err := m.NewSession(&openelm.SessionOptions{Capacity: 1, CacheFormat: kernels.F16})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	switch err := s.Append(t.Context(), 1); {
	case err == nil:
		list = append(list, kernels.F16)
	case !errors.Is(err, errors.ErrUnsupported):
		t.Error(err)
	}
	return list
}

// TestInspectSession: what a file says is what the session's snapshot does.
func TestInspectSession(t *testing.T) {
	m := sessionModel(t, "tiny-f32")
	s, path := savedSession(t, m, openelm.SessionOptions{}, 20)
	got, err := loader.InspectSession(path)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Snapshot(func(want *openelm.Snapshot) error {
		if got.Model != want.Model || got.Adapter != want.Adapter || got.Backend != want.Backend || !slices.Equal(got.Tokens, want.Tokens) ||
			got.Evaluated != want.Evaluated || got.Exact != want.Exact || !slices.Equal(got.Logits, want.Logits) || got.Format != want.Format || got.Layers != nil {
			t.Errorf("%+v, want %+v", got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSessionFileOfAnother: what was saved with other weights is refused.
func TestSessionFileOfAnother(t *testing.T) {
	m := sessionModel(t, "tiny-f32")
	adapters := make([]*openelm.Adapter, 2)
	for i, pack := range []string{"lora-peft", "dora-peft"} {
		a, err := loader.OpenAdapter(t.Context(), filepath.Join("..", "testdata", "golden", pack, "adapter"), m, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.Release)
		adapters[i] = a
	}
	_, bare := savedSession(t, m, openelm.SessionOptions{}, 20)
	_, adapted := savedSession(t, m, openelm.SessionOptions{Adapter: adapters[0]}, 20)
	for name, c := range map[string]struct {
		path string
		m    *openelm.Model
		o    openelm.SessionOptions
		ok   bool
	}{
		"the same":          {bare, m, openelm.SessionOptions{}, true},
		"the same adapter":  {adapted, m, openelm.SessionOptions{Adapter: adapters[0]}, true},
		"another adapter":   {adapted, m, openelm.SessionOptions{Adapter: adapters[1]}, false},
		"no adapter":        {adapted, m, openelm.SessionOptions{}, false},
		"an adapter":        {bare, m, openelm.SessionOptions{Adapter: adapters[0]}, false},
		"another model":     {bare, sessionModel(t, "tiny-bf16"), openelm.SessionOptions{}, false},
		"another shape":     {bare, sessionModel(t, "tiny-mha"), openelm.SessionOptions{}, false},
		"another format":    {bare, m, openelm.SessionOptions{CacheFormat: kernels.F16}, false},
		"too many for room": {bare, m, openelm.SessionOptions{Capacity: 19}, false},
	} {
		s, err := loader.OpenSession(c.path, c.m, &c.o)
		if err == nil {
			s.Close()
		}
		var file *loader.FileError
		if c.ok != (err == nil) || !c.ok && (!errors.Is(err, openelm.ErrSnapshot) || !errors.As(err, &file) || file.File != c.path) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	if _, err := loader.OpenSession(filepath.Join(t.TempDir(), "none"), m, nil); !errors.Is(err, loader.ErrNotFound) {
		t.Errorf("no file: got error %v, want ErrNotFound", err)
	}
}

// TestSessionFileCut: a file cut anywhere is corrupt, and leaves nothing behind.
func TestSessionFileCut(t *testing.T) {
	m := sessionModel(t, "tiny-f32")
	_, path := savedSession(t, m, openelm.SessionOptions{}, 3)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	step := 1
	if testing.Short() {
		step = 97
	}
	for n := 0; n < len(whole); n += step {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loader.OpenSession(path, m, nil); !errors.Is(err, loader.ErrCorrupt) {
			t.Fatalf("cut to %d of %d bytes: got error %v, want ErrCorrupt", n, len(whole), err)
		}
		if n%64 != 0 {
			continue
		}
		if _, err := loader.InspectSession(path); !errors.Is(err, loader.ErrCorrupt) {
			t.Fatalf("cut to %d of %d bytes, inspected: got error %v, want ErrCorrupt", n, len(whole), err)
		}
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v (error %v): others can read the text", info.Mode(), err)
	}
	// A save that fails leaves the file as it was, and nothing beside it.
	s, err := m.NewSession(&openelm.SessionOptions{Capacity: 4})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := loader.SaveSession(t.Context(), path, s); !errors.Is(err, openelm.ErrClosed) {
		t.Errorf("got error %v, want ErrClosed", err)
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("%d files, want 1", len(files))
	}
}

// FuzzOpenSession: whatever the file says, the result is an error or a session
// that works.
func FuzzOpenSession(f *testing.F) {
	m := sessionModel(f, "tiny-f32")
	_, path := savedSession(f, m, openelm.SessionOptions{}, 3)
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "s")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := loader.OpenSession(path, m, &openelm.SessionOptions{Capacity: 8})
		if err != nil {
			var file *loader.FileError
			if !errors.As(err, &file) {
				t.Errorf("got error %v, want a FileError", err)
			}
			return
		}
		defer s.Close()
		if err := s.Append(t.Context(), 1); err != nil && !errors.Is(err, openelm.ErrContextFull) && !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
	})
}
