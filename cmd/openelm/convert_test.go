package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/loader/convert"
)

func TestConvert(t *testing.T) {
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "story.gguf"), filepath.Join(dir, "story")
	if out := mustRun(t, "", "convert", "-q", "--to", "q8_0", "--out", file); !strings.Contains(out, "gguf-q8_0, 4.4 MiB") {
		t.Errorf("said %q", out)
	}
	mustRun(t, "", "convert", "-q", "-m", file, "--to", "safetensors-bf16", "-o", folder)
	for _, name := range []string{file, folder} {
		if out := mustRun(t, "", "generate", "-q", "-m", name, "-t", "0", "-n", "8"); !strings.HasPrefix(tale, strings.TrimSuffix(out, "\n")) {
			t.Errorf("%s tells %q", name, out)
		}
	}
	if out, errs, err := try(t, "", "convert", "-m", folder, "--to", "mlx-4", "-o", filepath.Join(dir, "mlx")); err != nil || errs != "" || strings.Contains(out, "\r") {
		t.Errorf("%v, %q, %q", err, out, errs)
	}
	for _, c := range []struct {
		args []string
		want string
		is   error
	}{
		{[]string{"--to", "q8_0"}, "--to and --out", nil},
		{[]string{"--to", "q9", "-o", "x"}, "safetensors-f32", convert.ErrFormat},
		{[]string{"--to", "q8_0", "-o", file}, "--force", convert.ErrExists},
		{[]string{"--to", "q8_0", "-o", file, "-m", file, "--force"}, file, convert.ErrSource},
		{[]string{"--to", "mlx-8", "-o", folder, "-m", folder, "--force"}, folder, convert.ErrSource},
		{[]string{"--to", "mlx-8", "-o", filepath.Join(dir, "a", "b")}, "a", os.ErrNotExist},
		{[]string{"--to", "q8_0", "-o", filepath.Join(dir, "x"), "--calibrate", "y"}, "K type", nil},
		{[]string{"--to", "q6_k", "-o", filepath.Join(dir, "x"), "--calibrate", filepath.Join(dir, "none")}, "none", os.ErrNotExist},
		{[]string{"--to", "q6_k", "-o", filepath.Join(dir, "x"), "--calibrate", os.DevNull}, "no text", errEmptyFile},
		{[]string{"--to", "q6_k", "-o", filepath.Join(dir, "x"), "-m", filepath.Join(dir, "none")}, "none", os.ErrNotExist},
	} {
		out, _, err := try(t, "", append([]string{"convert"}, c.args...)...)
		if err == nil || out != "" || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%q: %v, printed %q", c.args, err, out)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("%v are left, %v", entries, err)
	}
}
