//go:build !windows

package convert_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/go-openelm/go-openelm/loader/convert"
)

// TestDiskFull runs itself in a process whose files may not grow.
func TestDiskFull(t *testing.T) {
	const env = "OPENELM_CONVERT_TO"
	if path := os.Getenv(env); path != "" {
		m := openStory(t)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"gguf-q8_0", "mlx-8"} {
			if err := convert.Write(t.Context(), path, m, &convert.Options{Format: format(t, name)}); !errors.Is(err, convert.ErrDiskFull) {
				t.Errorf("%s: %v", name, err)
			}
		}
		return
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDiskFull$")
	cmd.Env = append(os.Environ(), env+"="+filepath.Join(dir, "out"))
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	if left := listing(t, dir); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
}
