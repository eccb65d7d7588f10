package tuning

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-openelm/go-openelm/internal/filewrite"
	"github.com/go-openelm/go-openelm/kernels/gpu"
)

// file is a tuning with what it is for.
type file struct {
	Device  string      `json:"device"`
	System  string      `json:"system"`
	Kernels string      `json:"kernels"` // gpu.SourceDigest
	Tuning  *gpu.Tuning `json:"tuning"`
}

// maxSize is far beyond any tuning, in bytes.
const maxSize = 1 << 20

// Path is the file of a backend's device on this system.
func Path(b *gpu.Backend) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("tuning: %w", err)
	}
	return filepath.Join(dir, "openelm", "tuning", slug(b.Name())+"-"+slug(system())+".json"), nil
}

// slug is a name as a part of a file's name.
func slug(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}, name)
}

// Save keeps t for b's device, and returns where.
func Save(ctx context.Context, b *gpu.Backend, t *gpu.Tuning) (path string, err error) {
	if path, err = Path(b); err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(file{b.Name(), system(), gpu.SourceDigest(), t}, "", "\t")
	if err != nil {
		return "", fmt.Errorf("tuning: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("tuning: %w", err)
	}
	err = filewrite.Atomic(ctx, path, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("tuning: %w", err)
	}
	return path, nil
}

// Use gives b what was kept for its device, if there is any. A file that cannot be
// used is no failure: log says why.
func Use(b *gpu.Backend, log *slog.Logger) {
	path, err := Path(b)
	if err == nil {
		err = use(b, path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("the GPU's tuning is not used; openelm tune makes another", "file", path, "reason", err)
	}
}

func use(b *gpu.Backend, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return err
	}
	t, err := parse(text, b.Name())
	if err != nil {
		return err
	}
	return b.SetTuning(t)
}

// parse is the tuning that text holds for a device of this system.
func parse(text []byte, device string) (*gpu.Tuning, error) {
	if len(text) > maxSize {
		return nil, fmt.Errorf("it has more than %d bytes", maxSize)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var f file
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	for _, is := range [...]struct{ what, got, want string }{
		{"device", f.Device, device}, {"system", f.System, system()}, {"kernels", f.Kernels, gpu.SourceDigest()},
	} {
		if is.got != is.want {
			return nil, fmt.Errorf("it is for the %s %q, not %q", is.what, is.got, is.want)
		}
	}
	if f.Tuning == nil {
		return nil, errors.New("it holds no tuning")
	}
	return f.Tuning, nil
}
