package hub_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
	"github.com/go-openelm/go-openelm/loader/hub"
)

// helperEnv makes the test binary a program that downloads a file: restrictions on
// the process, endpoint, cache directory and file name, separated by spaces.
const helperEnv = "HUB_TEST_HELPER"

// helper prints the path or the error.
func helper() int {
	args := strings.Fields(os.Getenv(helperEnv))
	if err := restrict(args[0]); err != nil {
		fmt.Println("cannot restrict the process:", err)
		return 2
	}
	c := &hub.Client{
		Endpoint: args[1],
		CacheDir: args[2],
		Backoff:  func(int) (time.Duration, bool) { return 0, false },
		Getenv:   func(string) string { return "" },
	}
	path, err := c.File(context.Background(), testRepo, args[3])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(path)
	return 0
}

func helperCommand(t *testing.T, restriction string, srv *hubtest.Server, c *hub.Client, name string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), helperEnv+"="+strings.Join([]string{restriction, srv.URL, c.CacheDir, name}, " "))
	return cmd
}

// waitFor polls a condition that another process makes true.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no ", what)
		}
	}
}

// Three processes want the same file: one transfers it, the others wait.
func TestProcessesShareDownload(t *testing.T) {
	srv := hubtest.New(t, served())
	c := newClient(t, srv)
	var requests []hubtest.Request
	var helpers []*exec.Cmd
	c.Progress = func(p hub.Progress) {
		if len(helpers) > 0 {
			return
		}
		// The lock is held now.
		for range 2 {
			cmd := helperCommand(t, "none", srv, c, "model.safetensors")
			cmd.Stderr = os.Stderr
			if err := cmd.Start(); err != nil {
				t.Error(err)
			}
			helpers = append(helpers, cmd)
		}
		heads := 0
		waitFor(t, "request of the helpers", func() bool {
			for _, r := range srv.Requests() {
				requests = append(requests, r)
				if r.Method == "HEAD" {
					heads++
				}
			}
			return heads >= 3 // its own too
		})
	}
	path := mustFile(t, c, testRepo, "model.safetensors")
	for _, cmd := range helpers {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	checkContents(t, path, weights)
	if got := methods(append(requests, srv.Requests()...)); strings.Count(got, "GET") != 1 {
		t.Errorf("requests: %s", got)
	}
	for _, line := range tree(t, c.CacheDir) {
		if strings.Contains(line, "incomplete") || strings.Contains(line, ".tmp") {
			t.Errorf("%s is left", line)
		}
	}
}

// Goroutines with clients of their own do the same.
func TestGoroutinesShareDownload(t *testing.T) {
	srv := hubtest.New(t, served())
	c := newClient(t, srv)
	errs := make(chan error)
	for range 4 {
		go func() {
			own := *c
			_, err := own.File(t.Context(), testRepo, "model.safetensors")
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := methods(srv.Requests()); strings.Count(got, "GET") != 1 {
		t.Errorf("requests: %s", got)
	}
}

func TestKilledProcessIsResumed(t *testing.T) {
	srv := hubtest.New(t, served())
	srv.Set(hubtest.Knobs{Stall: 400_000})
	c := newClient(t, srv)
	cmd := helperCommand(t, "none", srv, c, "model.safetensors")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "partial file", func() bool {
		info, err := os.Stat(blobPath(c) + ".incomplete")
		return err == nil && info.Size() == 400_000
	})
	checkNothingVisible(t, c)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	srv.Set(hubtest.Knobs{})
	srv.Requests()
	checkContents(t, mustFile(t, c, testRepo, "model.safetensors"), weights)
	if got := ranges(srv.Requests()); len(got) != 1 || got[0] != "bytes=400000-" {
		t.Errorf("ranges %q", got)
	}
}

func TestWaitingForLockIsCancelled(t *testing.T) {
	srv := hubtest.New(t, served())
	srv.Set(hubtest.Knobs{Stall: 400_000})
	c := newClient(t, srv)
	cmd := helperCommand(t, "none", srv, c, "model.safetensors")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "partial file", func() bool { _, err := os.Stat(blobPath(c) + ".incomplete"); return err == nil })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := c.File(ctx, testRepo, "model.safetensors")
	wantError(t, err, context.DeadlineExceeded)
	if waited := time.Since(start); waited > 5*time.Second {
		t.Errorf("waited %v", waited)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
}

// Something in the way is an error that says where.
func TestUnusableCache(t *testing.T) {
	srv := hubtest.New(t, served())
	for _, inTheWay := range []string{"", "models--org--Tiny-Model", "models--org--Tiny-Model/blobs", ".locks"} {
		c := newClient(t, srv)
		c.CacheDir = filepath.Join(c.CacheDir, "hub")
		file := filepath.Join(c.CacheDir, inTheWay)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := c.File(t.Context(), testRepo, "config.json")
		wantError(t, err, hub.ErrCache, c.CacheDir)
	}
}

// A folder in the cache that leads elsewhere is not written through.
func TestStaysInCache(t *testing.T) {
	srv := hubtest.New(t, served())
	for _, folder := range []string{"blobs", "refs", "snapshots"} {
		c := newClient(t, srv)
		elsewhere := t.TempDir()
		dir := filepath.Join(c.CacheDir, "models--org--Tiny-Model")
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(elsewhere, filepath.Join(dir, folder)); err != nil {
			t.Fatal(err)
		}
		_, err := c.File(t.Context(), testRepo, "config.json")
		wantError(t, err, hub.ErrCache)
		if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) > 0 {
			t.Errorf("%s: wrote %v (%v)", folder, entries, err)
		}
	}
}
