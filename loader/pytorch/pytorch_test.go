package pytorch

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// described is a tensor as PyTorch itself describes it; see testdata/make.py.
type described struct {
	DType string
	Shape []int
	Dense bool
	Bytes string
}

func describe(t *testing.T, file []byte, list []Tensor) map[string]described {
	t.Helper()
	all := map[string]described{}
	for _, x := range list {
		d := described{DType: string(x.DType), Shape: x.Shape, Dense: x.Dense}
		if x.Dense {
			d.Bytes = hex.EncodeToString(file[x.Offset:][:x.Size])
		}
		all[x.Name] = d
	}
	return all
}

// TestFiles reads files of torch.save and compares with what torch says is in
// them.
func TestFiles(t *testing.T) {
	text, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var files map[string]struct {
		Tensors map[string]described
		Dicts   map[string]map[string]described
	}
	if err := json.Unmarshal(text, &files); err != nil {
		t.Fatal(err)
	}
	if len(files) < 4 {
		t.Fatalf("%d files", len(files))
	}
	for name, want := range files {
		t.Run(name, func(t *testing.T) {
			file, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			if !Is(bytes.NewReader(file)) {
				t.Error("not recognised")
			}
			f, err := Read(bytes.NewReader(file), int64(len(file)))
			if err != nil {
				t.Fatal(err)
			}
			compare := func(where string, want map[string]described, list []Tensor) {
				for n, d := range want {
					if !d.Dense {
						d.Bytes = "" // not to be had at one place
						want[n] = d
					}
				}
				if diff := cmp.Diff(want, describe(t, file, list)); diff != "" {
					t.Errorf("%s (-torch +here):\n%s", where, diff)
				}
			}
			compare("tensors", want.Tensors, f.Tensors)
			if len(f.Dicts) != len(want.Dicts) {
				t.Errorf("%d dictionaries, want %d", len(f.Dicts), len(want.Dicts))
			}
			for key, list := range f.Dicts {
				compare(key, want.Dicts[key], list)
			}
		})
	}
}

// TestOtherFiles are files of PyTorch that hold no plain tensors.
func TestOtherFiles(t *testing.T) {
	for name, reason := range map[string]string{
		"legacy.bin": "before 1.6",
		"module.bin": "__main__.Block",
		"script.bin": "TorchScript",
	} {
		file, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Read(bytes.NewReader(file), int64(len(file)))
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v, want %q", name, err, reason)
		}
	}
}
