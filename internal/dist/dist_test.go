package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const root = "../.."

var tested = release{version: "v1.2.3", commit: "0123456789abcdef with changes", time: time.Date(2026, 5, 4, 3, 2, 2, 0, time.UTC)}

// copySource makes a folder of the repository's files as they are now, without git.
func copySource(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if strings.HasPrefix(name, "testdata/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // removed since the last commit
		}
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o777)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestArchives builds programs. "make cross" has compiled nearly all of them already,
// or needs it later.
func TestArchives(t *testing.T) {
	source := copySource(t, filepath.Join(t.TempDir(), "a"))
	t.Setenv("GOFLAGS", "-tags=builder") // is the builder's own
	sums := map[platform]string{}
	for _, p := range []platform{{"darwin", "arm64"}, {"linux", "arm64"}} {
		out := t.TempDir()
		name, sum, err := tested.archive(t.Context(), source, out, p)
		if err != nil {
			t.Fatal(err)
		}
		sums[p] = sum
		contents := unpack(t, filepath.Join(out, name), out)
		folder := "openelm-1.2.3-" + p.String() + "/"
		want := []string{folder + "LICENSE", folder + "README.md"}
		for _, program := range programs {
			want = append(want, folder+program.name)
		}
		slices.Sort(want)
		if !slices.Equal(contents, want) {
			t.Errorf("%s holds %q, want %q", name, contents, want)
		}
		for _, program := range programs {
			runArchived(t, p, filepath.Join(out, folder, program.name), program.name)
		}
	}
	p := platform{"darwin", "arm64"}
	elsewhere := copySource(t, filepath.Join(t.TempDir(), "another", "folder"))
	if _, again, err := tested.archive(t.Context(), elsewhere, t.TempDir(), p); err != nil || again != sums[p] {
		t.Errorf("builds in two folders have the sums %s and %s, error %v", sums[p], again, err)
	}
}

// TestPack packs the same files in another order.
func TestPack(t *testing.T) {
	files := []file{{"openelm", []byte("program"), true}, {"LICENSE", nil, false}}
	for _, p := range platforms {
		var first, second bytes.Buffer
		if err := p.pack(&first, "f", tested.time, files); err != nil {
			t.Fatal(err)
		}
		if err := p.pack(&second, "f", tested.time, []file{files[1], files[0]}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%s: the order of files changes an archive", p)
		}
		dir := t.TempDir()
		name := filepath.Join(dir, "a"+p.suffix())
		if err := os.WriteFile(name, first.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		if got := unpack(t, name, dir); !slices.Equal(got, []string{"f/LICENSE", "f/openelm"}) {
			t.Errorf("%s: %q", p, got)
		}
		if text, err := os.ReadFile(filepath.Join(dir, "f", "openelm")); err != nil || string(text) != "program" {
			t.Errorf("%s: %q, %v", p, text, err)
		}
		for name, mode := range map[string]os.FileMode{"openelm": 0o755, "LICENSE": 0o644} {
			if info, err := os.Stat(filepath.Join(dir, "f", name)); err != nil || info.Mode()&^0o022 != mode&^0o022 {
				t.Errorf("%s: %s has mode %v, %v", p, name, info.Mode(), err)
			}
		}
	}
}

// unpack unpacks an archive to dir and returns its files in their order.
func unpack(t *testing.T, name, dir string) (contents []string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	save := func(name string, mode os.FileMode, when time.Time, r io.Reader) {
		contents = append(contents, name)
		if !when.Equal(tested.time) {
			t.Errorf("%s is of %v, not of the commit's time", name, when)
		}
		data, err := io.ReadAll(r)
		if err == nil {
			err = os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o777)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if strings.HasSuffix(name, ".zip") {
		z, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			save(f.Name, f.Mode(), f.Modified, r)
		}
		return contents
	}
	z, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return contents
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" {
			t.Errorf("%s belongs to somebody", h.Name)
		}
		save(h.Name, h.FileInfo().Mode(), h.ModTime, r)
	}
}

// runArchived runs what this machine, or an emulator on it, can run.
func runArchived(t *testing.T, p platform, program, name string) {
	t.Helper()
	args := []string{program, "--version"}
	switch {
	case p.os != runtime.GOOS:
		return
	case p.arch != runtime.GOARCH && runtime.GOOS == "linux":
		args = append([]string{"qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"}, args...)
	case p.arch != runtime.GOARCH:
		return
	}
	out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
	if want := name + " v1.2.3, commit 0123456789abcdef with changes, " + runtime.Version() + ", " + p.os + "/" + p.arch + "\n"; err != nil || string(out) != want {
		t.Errorf("it says %q (%v), want %q", out, err, want)
	}
}

// TestCheckout asks git for a commit's version, tagged and not.
func TestCheckout(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "")
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@b.example"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_COMMITTER_DATE=2026-05-04T03:02:01Z", "GIT_CONFIG_GLOBAL=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	if _, err := checkout(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "not a git repository") {
		t.Errorf("of no repository: %v", err)
	}
	git("init", "-q")
	name := filepath.Join(dir, "file")
	if err := os.WriteFile(name, []byte("a"), 0o666); err != nil {
		t.Fatal(err)
	}
	git("add", "file")
	git("commit", "-q", "-m", "first")
	is := func(version string, when int64) {
		t.Helper()
		r, err := checkout(t.Context(), dir)
		if err != nil || r.time.Unix() != when {
			t.Errorf("time %v, error %v", r.time, err)
		}
		if version = strings.Replace(version, "COMMIT", r.commit[:12], 1); r.version != version {
			t.Errorf("version %s, want %s", r.version, version)
		}
		if dirty := strings.HasSuffix(r.version, "+dirty"); dirty != strings.HasSuffix(r.commit, " with changes") {
			t.Errorf("commit %s of version %s", r.commit, r.version)
		}
	}
	const committed = 1777863721
	is("v0.0.0-20260504030201-COMMIT", committed)
	git("tag", "stable")
	is("v0.0.0-20260504030201-COMMIT", committed)
	git("tag", "v0.9.0")
	git("tag", "v0.10.0")
	is("v0.10.0", committed)
	if err := os.WriteFile(name, []byte("b"), 0o666); err != nil {
		t.Fatal(err)
	}
	is("v0.10.0+dirty", committed)
	git("commit", "-q", "-a", "-m", "second")
	git("tag", "v0.11.0")
	is("v0.11.0", committed)
	git("config", "status.showUntrackedFiles", "no") // is the builder's own
	for _, c := range []struct{ folder, version string }{{"ignored", "v0.11.0"}, {"new", "v0.11.0+dirty"}} {
		if err := os.Mkdir(filepath.Join(dir, c.folder), 0o777); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{".git/info/exclude": "/ignored/\n", c.folder + "/a.go": "package a\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		is(c.version, committed)
	}
	if err := os.RemoveAll(filepath.Join(dir, "new")); err != nil {
		t.Fatal(err)
	}
	git("tag", "-d", "v0.11.0")
	t.Setenv("SOURCE_DATE_EPOCH", "86400")
	is("v0.0.0-19700102000000-COMMIT", 86400)
	t.Setenv("SOURCE_DATE_EPOCH", "noon")
	if _, err := checkout(t.Context(), dir); err == nil || !strings.Contains(err.Error(), `"noon"`) {
		t.Errorf("of noon: %v", err)
	}
}
