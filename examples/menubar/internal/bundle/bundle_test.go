package bundle_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/bundle"
	"github.com/go-openelm/go-openelm/internal/testing/pyenv"
)

// program makes a file to be the program.
func program(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "openelm-menubar")
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func write(t *testing.T, dir, text string) string {
	t.Helper()
	app, err := bundle.Write(t.Context(), dir, program(t, text), "v1.2.3-0.20260504030201-0123456789ab", nil)
	if err != nil {
		t.Fatal(err)
	}
	if app != filepath.Join(dir, "OpenELM.app") {
		t.Errorf("it is %s", app)
	}
	return app
}

// only wants dir to hold these names and no others.
func only(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(names, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", dir, diff)
	}
}

// TestInfo has Python read the property list.
func TestInfo(t *testing.T) {
	app := write(t, filepath.Join(t.TempDir(), "Applications"), "program")
	out, err := exec.CommandContext(t.Context(), "python3", "-c", "import json, plistlib, sys; json.dump(plistlib.load(open(sys.argv[1], 'rb')), sys.stdout)", filepath.Join(app, "Contents", "Info.plist")).Output()
	if err != nil {
		t.Fatal(err)
	}
	var info map[string]any
	if err := json.Unmarshal(out, &info); err != nil {
		t.Fatal(err)
	}
	text := []any{"public.utf8-plain-text", "NSStringPboardType"}
	service := func(title, message string) any {
		return map[string]any{
			"NSMenuItem": map[string]any{"default": title}, "NSMessage": message, "NSPortName": "OpenELM",
			"NSSendTypes": text, "NSReturnTypes": text, "NSRequiredContext": map[string]any{}, "NSTimeout": "120000",
		}
	}
	for key, want := range map[string]any{
		"CFBundlePackageType": "APPL", "CFBundleIdentifier": bundle.ID, "CFBundleName": "OpenELM", "CFBundleExecutable": "OpenELM",
		"CFBundleIconFile": "OpenELM", "CFBundleShortVersionString": "1.2.3", "CFBundleVersion": "1.2.3",
		"LSUIElement": true, "NSHighResolutionCapable": true,
		"NSServices": []any{service("Rewrite with OpenELM", "rewrite"), service("Summarise with OpenELM", "summarise")},
	} {
		if diff := cmp.Diff(want, info[key]); diff != "" {
			t.Errorf("%s (-want +got)\n%s", key, diff)
		}
	}
	name := info["CFBundleExecutable"].(string)
	if file, err := os.Stat(filepath.Join(app, "Contents", "MacOS", name)); err != nil || file.Mode().Perm()&0o111 == 0 {
		t.Errorf("the program: %v, error %v", file, err)
	}
	only(t, app, "Contents")
	only(t, filepath.Join(app, "Contents"), "Info.plist", "MacOS", "Resources")
	only(t, filepath.Join(app, "Contents", "MacOS"), "OpenELM")
	only(t, filepath.Join(app, "Contents", "Resources"), "OpenELM.icns")
}

// TestIcon has two packages of Python read the icon.
func TestIcon(t *testing.T) {
	app := write(t, t.TempDir(), "program")
	python := pyenv.New(t, "icnsutil==1.1.0", "pillow==12.0.0")
	out, err := exec.CommandContext(t.Context(), python, "-c", `
import json, sys
import icnsutil
from PIL import Image
problems = [str(p) for p in icnsutil.IcnsFile.verify(sys.argv[1])]
kinds = sorted(icnsutil.IcnsFile(sys.argv[1]).media)
image = Image.open(sys.argv[1])
image.load() # the largest
colours = [image.getpixel(p) for p in [(0, 0), (512, 100), (430, 480)]]
print(json.dumps([problems, kinds, list(image.size), colours]))
`, filepath.Join(app, "Contents", "Resources", "OpenELM.icns")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got []any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", out)
	if problems := got[0].([]any); len(problems) > 0 {
		t.Errorf("icnsutil finds %v", problems)
	}
	kinds := []any{"ic07", "ic08", "ic09", "ic10", "ic11", "ic12", "ic13", "ic14", "icp4", "icp5"}
	if diff := cmp.Diff(kinds, got[1]); diff != "" {
		t.Errorf("kinds of pictures (-want +got)\n%s", diff)
	}
	if size := got[2].([]any); size[0] != 1024.0 || size[1] != 1024.0 {
		t.Errorf("the largest is %v", size)
	}
	colours := got[3].([]any)
	if corner := colours[0].([]any); corner[3] != 0.0 {
		t.Errorf("a corner is %v, not transparent", corner)
	}
	if square := colours[1].([]any); square[3] != 255.0 || square[1].(float64) < square[0].(float64)+50 {
		t.Errorf("the square is %v, not green", square)
	}
	if leaf := colours[2].([]any); leaf[0].(float64) < 200 {
		t.Errorf("the leaf is %v, not light", leaf)
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"first", "second"} {
		app := write(t, dir, text)
		if got, err := os.ReadFile(filepath.Join(app, "Contents", "MacOS", "OpenELM")); err != nil || string(got) != text {
			t.Errorf("the program is %q, error %v", got, err)
		}
		if text == "first" { // a file that the next one does not have
			if err := os.WriteFile(filepath.Join(app, "Contents", "old"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		only(t, dir, "OpenELM.app")
		only(t, filepath.Join(app, "Contents"), append([]string{"Info.plist", "MacOS", "Resources"}, map[string][]string{"first": {"old"}}[text]...)...)
	}
	if removed, err := bundle.Remove(dir); err != nil || !removed {
		t.Errorf("removed %t, error %v", removed, err)
	}
	only(t, dir)
	if removed, err := bundle.Remove(dir); err != nil || removed {
		t.Errorf("removed again: %t, error %v", removed, err)
	}
}

// TestFails: whatever goes wrong, there is what there was, and nothing else.
func TestFails(t *testing.T) {
	stop := errors.New("stop")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx     context.Context
		program string
		sign    func(context.Context, string) error
		want    error
	}{
		"no program":     {t.Context(), filepath.Join(t.TempDir(), "none"), nil, os.ErrNotExist},
		"not signed":     {t.Context(), program(t, "new"), func(context.Context, string) error { return stop }, stop},
		"no codesign":    {t.Context(), program(t, "new"), bundle.Sign, exec.ErrNotFound},
		"not waited for": {ended, program(t, "new"), nil, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", "")
			for _, old := range []bool{false, true} {
				dir := t.TempDir()
				if old {
					write(t, dir, "old")
				}
				if _, err := bundle.Write(c.ctx, dir, c.program, "v1.2.3", c.sign); !errors.Is(err, c.want) {
					t.Errorf("error %v, want %v", err, c.want)
				}
				if !old {
					only(t, dir)
					continue
				}
				only(t, dir, "OpenELM.app")
				if got, err := os.ReadFile(filepath.Join(dir, "OpenELM.app", "Contents", "MacOS", "OpenELM")); err != nil || string(got) != "old" {
					t.Errorf("the program is %q, error %v", got, err)
				}
			}
		})
	}
}

// TestForeign leaves alone what another has made.
func TestForeign(t *testing.T) {
	for name, make := range map[string]func(app string) error{
		"file":         func(app string) error { return os.WriteFile(app, []byte("theirs"), 0o600) },
		"empty folder": func(app string) error { return os.Mkdir(app, 0o700) },
		"link":         func(app string) error { return os.Symlink(write(t, t.TempDir(), "elsewhere"), app) },
		"bundle": func(app string) error {
			if err := os.MkdirAll(filepath.Join(app, "Contents"), 0o700); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(app, "Contents", "Info.plist"), []byte("<plist><dict><key>CFBundleIdentifier</key>\n\t<string>com.example.OpenELM</string></dict></plist>"), 0o600)
		},
	} {
		dir := t.TempDir()
		app := filepath.Join(dir, "OpenELM.app")
		if err := make(app); err != nil {
			t.Fatal(err)
		}
		before, err := os.Lstat(app)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bundle.Write(t.Context(), dir, program(t, "new"), "v1.2.3", nil); !errors.Is(err, bundle.ErrForeign) || !strings.Contains(err.Error(), app) {
			t.Errorf("%s, writing: %v", name, err)
		}
		if removed, err := bundle.Remove(dir); removed || !errors.Is(err, bundle.ErrForeign) {
			t.Errorf("%s, removing: %t, %v", name, removed, err)
		}
		if after, err := os.Lstat(app); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s is not there any more: %v", name, err)
		}
		only(t, dir, "OpenELM.app")
	}
}

// TestSign signs with a stand-in for codesign.
func TestSign(t *testing.T) {
	dir := t.TempDir()
	app := write(t, dir, "program")
	tools := t.TempDir()
	if err := os.WriteFile(filepath.Join(tools, "codesign"), []byte("#!/bin/sh\necho \"$@\" > \""+dir+"/signed\"\ntest ! -e \""+dir+"/refuse\" || { echo no identity found >&2; exit 1; }\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", tools+string(os.PathListSeparator)+os.Getenv("PATH"))
	if err := bundle.Sign(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	if args, err := os.ReadFile(filepath.Join(dir, "signed")); err != nil || string(args) != "--force --sign - "+app+"\n" {
		t.Errorf("codesign %q, error %v", args, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "refuse"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := bundle.Sign(t.Context(), app); err == nil || !strings.Contains(err.Error(), "no identity found") {
		t.Errorf("where codesign refuses: %v", err)
	}
}
