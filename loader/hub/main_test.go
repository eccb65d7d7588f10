package hub_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
	"github.com/go-openelm/go-openelm/loader/hub"
)

// TestMain is also the program that the tests about processes start.
func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		os.Exit(helper())
	}
	goleak.VerifyTestMain(m)
}

const testID = "org/Tiny-Model"

var testRepo = hub.Repo{ID: testID}

// weights are long enough for several pieces of a download.
var weights = bytes.Repeat([]byte("OpenELM weights "), 1<<16) // 1 MiB

func files() fstest.MapFS {
	return fstest.MapFS{
		"config.json":            {Data: []byte(`{"model_type":"openelm"}`)},
		"model.safetensors":      {Data: weights},
		"empty.txt":              {Data: nil},
		"sub/folder/ünï & co.md": {Data: []byte("nested")},
	}
}

func served() hubtest.Repo { return hubtest.Repo{ID: testID, Files: files()} }

// newClient returns a client of srv with a cache of its own that does not see the
// environment and retries at once.
func newClient(t testing.TB, srv *hubtest.Server) *hub.Client {
	return &hub.Client{
		Endpoint:  srv.URL,
		CacheDir:  t.TempDir(),
		Transport: srv.Transport(),
		Backoff:   func(attempt int) (time.Duration, bool) { return 0, attempt <= 3 },
		Getenv:    func(string) string { return "" },
	}
}

func mustFile(t testing.TB, c *hub.Client, repo hub.Repo, name string) string {
	t.Helper()
	path, err := c.File(t.Context(), repo, name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func checkContents(t testing.TB, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s has %d bytes that are not the %d expected", path, len(got), len(want))
	}
}

func wantError(t testing.TB, err, kind error, texts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error is %v, want %v", err, kind)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not contain %q", err, text)
		}
	}
}

func sha(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func gitBlobID(data string) string {
	sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(data), data))
	return hex.EncodeToString(sum[:])
}

// tree lists a folder: links with their targets, files with their sizes.
func tree(t testing.TB, dir string) (lines []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if target, err := os.Readlink(path); err == nil {
			lines = append(lines, name+" -> "+target)
			return nil
		}
		info, err := d.Info()
		lines = append(lines, fmt.Sprintf("%s %d", name, info.Size()))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

// methods are those of the requests, in order.
func methods(requests []hubtest.Request) string {
	var m []string
	for _, r := range requests {
		m = append(m, r.Method)
	}
	return strings.Join(m, " ")
}

func canceled(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}
