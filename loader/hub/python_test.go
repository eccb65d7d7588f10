package hub_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
	"github.com/go-openelm/go-openelm/internal/testing/pyenv"
	"github.com/go-openelm/go-openelm/loader/hub"
)

// The releases of huggingface_hub that share a cache with this package: the
// newest known, and one from before it changed HTTP libraries and partial files.
var pythonReleases = []string{"2.4.0", "0.34.4"}

func TestPython(t *testing.T) {
	for _, release := range pythonReleases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			py := newPython(t, release)
			t.Run("PythonReadsOurs", func(t *testing.T) { pythonReadsOurs(t, py) })
			t.Run("WeReadPythons", func(t *testing.T) { weReadPythons(t, py) })
			t.Run("BothUpdateOne", func(t *testing.T) { bothUpdateOne(t, py) })
			t.Run("Remove", func(t *testing.T) { sameRemoval(t, py) })
			t.Run("Locks", func(t *testing.T) { shareLocks(t, py) })
			t.Run("NoSymlinks", func(t *testing.T) { pythonReadsCopies(t, py) })
			if release == pythonReleases[0] { // the older one lets é and a line break into an id
				t.Run("Rules", func(t *testing.T) { sameRules(t, py) })
			}
		})
	}
}

// python is an environment with huggingface_hub: a process that answers, and how
// to start others.
type python struct {
	program, script string
	ask             io.Writer
	answers         *bufio.Reader
	cache, endpoint string
}

// newPython has huggingface_hub from the package index.
func newPython(t *testing.T, release string) *python {
	t.Helper()
	py := &python{program: pyenv.New(t, "huggingface_hub=="+release)}
	var err error
	if py.script, err = filepath.Abs("testdata/interop.py"); err != nil {
		t.Fatal(err)
	}
	cmd := py.of(&hub.Client{CacheDir: t.TempDir()}).command(t)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // it may have been killed with the test
	})
	py.ask, py.answers = in, bufio.NewReader(out)
	return py
}

// of returns the environment with the cache and hub of a client.
func (py *python) of(c *hub.Client) *python {
	other := *py
	other.cache, other.endpoint = c.CacheDir, c.Endpoint
	return &other
}

// command starts a process of its own, with settings in its environment.
func (py *python) command(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), py.program, append([]string{py.script}, args...)...)
	cmd.Env = append(os.Environ(), "HF_HUB_CACHE="+py.cache, "HF_HOME="+filepath.Join(py.cache, "home"), "HF_ENDPOINT="+py.endpoint,
		"HF_HUB_DISABLE_XET=1", "HF_HUB_DISABLE_TELEMETRY=1", "HF_HUB_DISABLE_PROGRESS_BARS=1", "NO_PROXY=127.0.0.1")
	return cmd
}

// call asks the process that answers.
func (py *python) call(t *testing.T, result any, name string, args map[string]any) {
	t.Helper()
	all := map[string]any{"cache_dir": py.cache, "endpoint": py.endpoint}
	maps.Copy(all, args)
	line, err := json.Marshal([]any{name, all})
	if err == nil {
		_, err = py.ask.Write(append(line, '\n'))
	}
	if err == nil {
		line, err = py.answers.ReadBytes('\n')
	}
	if err == nil {
		err = json.Unmarshal(line, result)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// offlineSnapshot is what snapshot_download finds with settings of its own.
func (py *python) offlineSnapshot(t *testing.T, settings ...string) (snapshot string) {
	t.Helper()
	cmd := py.command(t, "snapshot", `{"repo": "`+testID+`", "local_files_only": true}`)
	cmd.Env = append(cmd.Env, "HF_HUB_OFFLINE=1")
	cmd.Env = append(cmd.Env, settings...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(output, &snapshot)
	}
	if err != nil {
		t.Fatalf("snapshot: %v\n%s%s", err, output, &stderr)
	}
	return snapshot
}

type scanReport struct {
	Warnings []string
	Repos    map[string]struct {
		Type      string
		Size      int64
		Revisions map[string]struct{ Refs, Files []string }
	}
}

func (py *python) checkScan(t *testing.T, commit string) {
	t.Helper()
	var report scanReport
	py.call(t, &report, "scan", nil)
	repo := report.Repos[testID]
	if len(report.Warnings) > 0 || len(report.Repos) != 1 || repo.Type != "model" || repo.Size != int64(len(weights)+24+6) || len(repo.Revisions) != 1 {
		t.Errorf("scan_cache_dir: %+v", report)
	}
	if diff := cmp.Diff([]string{"main"}, repo.Revisions[commit].Refs); diff != "" {
		t.Errorf("refs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"config.json", "empty.txt", "model.safetensors", "ünï & co.md"}, repo.Revisions[commit].Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func names() []string { return slices.Sorted(maps.Keys(files())) }

func pythonReadsOurs(t *testing.T, py *python) {
	srv := hubtest.New(t)
	commit := srv.Push(t, served())
	c := newClient(t, srv)
	dir, err := c.Snapshot(t.Context(), testRepo)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.File(t.Context(), testRepo, "absent.json")
	wantError(t, err, hub.ErrFileNotFound)
	srv.Requests()

	offline := py.of(c)
	want := map[string]string{"absent.json": "no such file"}
	for _, name := range names() {
		want[name] = filepath.Join(dir, filepath.FromSlash(name))
	}
	var got map[string]string
	offline.call(t, &got, "cached", map[string]any{"repo": testID, "names": append(names(), "absent.json")})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("try_to_load_from_cache (-want +got):\n%s", diff)
	}
	if snapshot := offline.offlineSnapshot(t); snapshot != dir {
		t.Errorf("snapshot_download is %s, want %s", snapshot, dir)
	}
	offline.checkScan(t, commit)
	if requests := srv.Requests(); len(requests) > 0 {
		t.Errorf("offline Python asked %v", requests)
	}

	// Online it transfers nothing anew.
	delete(want, "absent.json")
	got = nil
	py.of(c).call(t, &got, "download", map[string]any{"repo": testID, "names": names()})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hf_hub_download (-want +got):\n%s", diff)
	}
	for _, r := range srv.Requests() {
		if r.Method == "GET" && strings.Contains(r.Path, "/resolve/") {
			t.Errorf("Python asked for %s again", r.Path)
		}
	}
}

func weReadPythons(t *testing.T, py *python) {
	for _, command := range []string{"download", "snapshot"} {
		srv := hubtest.New(t)
		commit := srv.Push(t, served())
		srv.Set(hubtest.Knobs{CDN: true, RelativeRedirect: true})
		c := newClient(t, srv)
		args, want := map[string]any{"repo": testID}, filepath.Join(c.CacheDir, "models--org--Tiny-Model", "snapshots", commit)
		if command == "download" {
			args["names"] = names()
		}
		var result any
		py.of(c).call(t, &result, command, args)
		before := tree(t, c.CacheDir)
		srv.Requests()

		offline := *c
		offline.Offline = true
		for _, name := range names() {
			path := mustFile(t, &offline, testRepo, name)
			if path != filepath.Join(want, filepath.FromSlash(name)) {
				t.Errorf("%s is %s", name, path)
			}
			checkContents(t, path, files()[name].Data)
		}
		if dir, err := offline.Snapshot(t.Context(), testRepo); err != nil || dir != want {
			t.Errorf("snapshot is %s, %v", dir, err)
		}
		if requests := srv.Requests(); len(requests) > 0 {
			t.Errorf("offline client asked %v", requests)
		}
		// Online too nothing is transferred or changed.
		for _, name := range names() {
			mustFile(t, c, testRepo, name)
		}
		if got := methods(srv.Requests()); strings.Contains(got, "GET") {
			t.Errorf("requests: %s", got)
		}
		if diff := cmp.Diff(before, tree(t, c.CacheDir)); diff != "" {
			t.Errorf("cache after %s (-Python +ours):\n%s", command, diff)
		}
		// And a cache of our own is the same.
		ours := newClient(t, srv)
		if command == "snapshot" {
			if _, err := ours.Snapshot(t.Context(), testRepo); err != nil {
				t.Fatal(err)
			}
		} else {
			for _, name := range names() {
				mustFile(t, ours, testRepo, name)
			}
		}
		if diff := cmp.Diff(comparable(before), comparable(tree(t, ours.CacheDir))); diff != "" {
			t.Errorf("caches after %s (-Python +ours):\n%s", command, diff)
		}
	}
}

// comparable leaves out what only some releases write, and what is not the cache's.
func comparable(tree []string) []string {
	return slices.DeleteFunc(slices.Clone(tree), func(line string) bool {
		return strings.HasPrefix(line, "CACHEDIR.TAG") || strings.Contains(line, "/trees/") || strings.HasPrefix(line, "home/")
	})
}

// A repository that changes is followed by both in one cache.
func bothUpdateOne(t *testing.T, py *python) {
	srv := hubtest.New(t, served())
	c := newClient(t, srv)
	var result map[string]string
	py.of(c).call(t, &result, "download", map[string]any{"repo": testID, "names": []string{"config.json"}})
	changed := files()
	changed["config.json"] = &fstest.MapFile{Data: []byte("second")}
	second := srv.Push(t, hubtest.Repo{ID: testID, Files: changed})
	path := mustFile(t, c, testRepo, "config.json")
	checkContents(t, path, []byte("second"))
	py.of(c).call(t, &result, "cached", map[string]any{"repo": testID, "names": []string{"config.json"}})
	if result["config.json"] != path || !strings.Contains(path, second) {
		t.Errorf("Python finds %s, we %s", result["config.json"], path)
	}
	srv.Push(t, served())
	py.of(c).call(t, &result, "download", map[string]any{"repo": testID, "names": []string{"config.json"}})
	c.Offline = true
	if path := mustFile(t, c, testRepo, "config.json"); path != result["config.json"] {
		t.Errorf("Python downloads %s, we find %s", result["config.json"], path)
	}
}

// A revision goes as Python's delete_revisions has it, and what Python leaves is
// listed and whole.
func sameRemoval(t *testing.T, py *python) {
	for _, last := range []bool{false, true} {
		c, first, second := twoRevisions(t)
		gone := first
		if last {
			gone = second
		}
		theirs := *c
		theirs.CacheDir = t.TempDir()
		if err := os.CopyFS(theirs.CacheDir, os.DirFS(c.CacheDir)); err != nil {
			t.Fatal(err)
		}
		r, err := c.Remove(t.Context(), hub.Repo{ID: testID, Revision: gone}, false)
		if err != nil {
			t.Fatal(err)
		}
		var freed int64
		py.of(&theirs).call(t, &freed, "delete", map[string]any{"commits": []string{gone}})
		if freed != r.Size {
			t.Errorf("Python frees %d bytes, we %d", freed, r.Size)
		}
		snapshots := func(dir string) []string {
			return slices.DeleteFunc(tree(t, filepath.Join(dir, "models--org--Tiny-Model")), func(line string) bool {
				return strings.HasPrefix(line, "trees/") || strings.HasPrefix(line, ".no_exist/")
			})
		}
		if diff := cmp.Diff(snapshots(theirs.CacheDir), snapshots(c.CacheDir)); diff != "" {
			t.Errorf("what is left (-Python +ours):\n%s", diff)
		}
		var report scanReport
		py.of(c).call(t, &report, "scan", nil)
		if len(report.Warnings) > 0 || len(report.Repos[testID].Revisions) != 1 {
			t.Errorf("scan_cache_dir: %+v", report)
		}
		if v, err := theirs.Verify(t.Context(), testRepo, nil); err != nil || len(v.Problems) > 0 || v.Files != len(files()) {
			t.Errorf("Python leaves %+v, %v", v, err)
		}
	}
}

func shareLocks(t *testing.T, py *python) {
	srv := hubtest.New(t, served())
	c := newClient(t, srv)
	lock := filepath.Join(c.CacheDir, ".locks", "models--org--Tiny-Model", sha(weights)+".lock")
	// Ours is respected.
	asked := false
	c.Progress = func(hub.Progress) {
		if asked {
			return
		}
		asked = true
		var locked bool
		py.of(c).call(t, &locked, "is_locked", map[string]any{"path": lock})
		if !locked {
			t.Error("Python does not see our lock")
		}
	}
	mustFile(t, c, testRepo, "model.safetensors")
	if !asked {
		t.Fatal("no progress")
	}
	var locked bool
	py.of(c).call(t, &locked, "is_locked", map[string]any{"path": lock})
	if locked {
		t.Error("our lock stays")
	}

	// Python's is respected.
	if err := os.RemoveAll(filepath.Join(c.CacheDir, "models--org--Tiny-Model")); err != nil {
		t.Fatal(err)
	}
	holder := py.of(c).command(t, "hold", fmt.Sprintf(`{"path": %q}`, lock))
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "locked\n" {
		t.Fatalf("%q, %v", line, err)
	}
	c.Progress = nil
	srv.Requests()
	done := make(chan error)
	go func() {
		_, err := c.File(t.Context(), testRepo, "model.safetensors")
		done <- err
	}()
	select {
	case err := <-done:
		t.Errorf("did not wait: %v", err)
	case <-time.After(300 * time.Millisecond):
		if got := methods(srv.Requests()); strings.Contains(got, "GET") {
			t.Errorf("requests: %s", got)
		}
		stdin.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	stdin.Close()
	if err := holder.Wait(); err != nil {
		t.Error(err)
	}
}

// pythonReadsCopies does without symbolic links, ours and Python's way.
func pythonReadsCopies(t *testing.T, py *python) {
	srv := hubtest.New(t)
	commit := srv.Push(t, served())
	c := newClient(t, srv)
	c.Getenv = func(name string) string {
		return map[string]string{"HF_HUB_DISABLE_SYMLINKS": "1"}[name]
	}
	for _, name := range names() {
		mustFile(t, c, testRepo, name)
	}
	py.of(c).checkScan(t, commit)
	snapshot := py.of(c).offlineSnapshot(t, "HF_HUB_DISABLE_SYMLINKS=1")
	checkContents(t, filepath.Join(snapshot, "model.safetensors"), weights)
}

// Repository ids and patterns mean the same in both.
func sameRules(t *testing.T, py *python) {
	ids := []string{
		"gpt2", "a/b", "apple/OpenELM-270M-Instruct", "a/b/c", "", "/", "a/", "/a", "a--b", "a-/b", "a/-b", "a/b-", ".a", "a.", "a..b", "a.b", "a/b.git",
		"a.git/b", "_a", "a_/_b", "foo bar", "é", "a/é", strings.Repeat("a", 96), strings.Repeat("a", 97), strings.Repeat("a", 96) + "/" + strings.Repeat("b", 96),
		"a\n", "123", "a@b", "a:b", `a\b`, "-", ".", "_", "a/..", "datasets/a/b",
	}
	var valid map[string]bool
	py.call(t, &valid, "valid", map[string]any{"ids": ids})
	for _, id := range ids {
		if _, err := (&hub.Client{Offline: true, CacheDir: t.TempDir()}).Files(t.Context(), hub.Repo{ID: id}); (err != nil && strings.Contains(err.Error(), hub.ErrInvalidName.Error())) == valid[id] {
			t.Errorf("%q: Python says %t, we %v", id, valid[id], err)
		}
	}

	repo := hubtest.Repo{ID: testID, Files: fstest.MapFS{}}
	patterns := []string{"*", "*.json", "?.json", "[ab].json", "[!ab].json", "sub/*", "*/x*", "[", "[a", "[]", "[]a]*", "[!]a]*", "[a-c]*", "[c-a]*", "[a-]*", "[-a]*", "**", "a?c", "*.*.*", "", "sub"}
	candidates := []string{"a.json", "b.json", "c.json", "sub/x.json", "sub/y/xz", "[", "[a", "]x", "-x", "abc", "sub", "x.y.z"}
	var cases [][2]string
	for _, p := range patterns {
		for _, name := range candidates {
			cases = append(cases, [2]string{p, name})
		}
	}
	var matches []bool
	py.call(t, &matches, "match", map[string]any{"cases": cases})
	srv := hubtest.New(t, repo)
	for i, c := range cases {
		srv.Push(t, hubtest.Repo{ID: testID, Files: fstest.MapFS{c[1]: {Data: []byte("x")}}})
		_, err := newClient(t, srv).Snapshot(t.Context(), testRepo, c[0])
		if (err == nil) != matches[i] {
			t.Errorf("pattern %q, file %q: Python says %t, we %v", c[0], c[1], matches[i], err)
		}
	}
}
