//go:build unix || windows

package mmap_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/go-openelm/go-openelm/internal/mmap"
)

func TestMap(t *testing.T) {
	page := os.Getpagesize()
	for _, size := range []int{1, 100, page - 1, page, page + 1, 3 * page} {
		want := bytes.Repeat([]byte{7}, size)
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, want, 0o666); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		m, err := mmap.Map(f, int64(size))
		if err != nil {
			t.Fatal(err)
		}
		f.Close() // the mapping stays
		if len(m.Data)%page != 0 || len(m.Data) < size || len(m.Data) >= size+page {
			t.Errorf("%d bytes mapped of %d", len(m.Data), size)
		}
		if p := uintptr(unsafe.Pointer(&m.Data[0])); p%uintptr(page) != 0 {
			t.Errorf("mapped at %#x", p)
		}
		if !bytes.Equal(m.Data[:size], want) || !bytes.Equal(m.Data[size:], make([]byte, len(m.Data)-size)) {
			t.Errorf("a file of %d bytes: other contents", size)
		}
		if err := m.Close(); err != nil || m.Data != nil {
			t.Errorf("Close: %v", err)
		}
		if err := m.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if _, err := mmap.Map(f, int64(size)); err == nil {
			t.Error("a closed file was mapped")
		}
	}
}

// TestReplaced: a mapping keeps the file it was made of when another takes its name.
func TestReplaced(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for path, text := range map[string]string{a: "old", b: "new"} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(a)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := mmap.Map(f, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := os.Rename(b, a); err != nil {
		t.Skip("this system does not replace a mapped file: ", err)
	}
	if got := string(m.Data[:3]); got != "old" {
		t.Errorf("the mapping holds %q", got)
	}
}

func TestErrors(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "empty"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int64{0, -1, 1<<63 - 1} {
		if _, err := mmap.Map(f, size); err == nil {
			t.Errorf("%d bytes were mapped", size)
		}
	}
}
