package filewrite_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-openelm/go-openelm/internal/filewrite"
)

func TestAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	check := func(want string) {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(path); err != nil || string(data) != want || len(entries) != 1 {
			t.Errorf("%q, error %v, %d files; want %q in one", data, err, len(entries), want)
		}
	}
	for _, text := range []string{"first", "second"} {
		if err := filewrite.Atomic(t.Context(), path, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
			t.Fatal(err)
		}
		check(text)
	}
	stop := errors.New("stop")
	if err := filewrite.Atomic(t.Context(), path, func(w io.Writer) error { io.WriteString(w, "third"); return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
	check("second")
	if err := filewrite.Atomic(t.Context(), filepath.Join(dir, "no", "such", "folder"), func(io.Writer) error { return nil }); err == nil {
		t.Error("no error")
	}
}

func TestExactly(t *testing.T) {
	write := func(n int) func(io.Writer) error {
		return func(w io.Writer) error {
			for range n {
				if _, err := w.Write([]byte{0}); err != nil {
					return err
				}
			}
			return nil
		}
	}
	if err := filewrite.Exactly(io.Discard, 3, write(3)); err != nil {
		t.Error(err)
	}
	for _, n := range []int{0, 2, 4} {
		if err := filewrite.Exactly(io.Discard, 3, write(n)); err == nil {
			t.Errorf("%d bytes for 3", n)
		}
	}
}
