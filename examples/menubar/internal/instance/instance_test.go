package instance_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/instance"
)

// TestMain is also another process that holds the place and waits to be killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("OPENELM_TEST_INSTANCE"); dir != "" {
		_, err := instance.Claim(context.Background(), dir, func() bool { os.Stdout.WriteString("shown\n"); return true })
		if err != nil {
			os.Stdout.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Stdout.WriteString("claimed\n")
		select {}
	}
	goleak.VerifyTestMain(m)
}

func claim(t *testing.T, dir string, show func() bool) *instance.Instance {
	t.Helper()
	i, err := instance.Claim(t.Context(), dir, show)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestClaim(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	var shown atomic.Int32
	for range 2 { // the place is free again
		i := claim(t, dir, func() bool { shown.Add(1); return true })
		if info, err := os.Stat(dir); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
			t.Errorf("the folder has mode %v, error %v", info.Mode(), err)
		}
		shown.Store(0)
		var others sync.WaitGroup
		for range 5 {
			others.Go(func() {
				if _, err := instance.Claim(t.Context(), dir, nil); err != instance.ErrRunning {
					t.Errorf("a second one: %v", err)
				}
			})
		}
		others.Wait()
		if n := shown.Load(); n != 5 {
			t.Errorf("five asked, it was shown %d times", n)
		}
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRace starts many at a time: one wins, the others make it show itself.
func TestRace(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var shown, won atomic.Int32
	var winner *instance.Instance
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			i, err := instance.Claim(t.Context(), dir, func() bool { shown.Add(1); return true })
			switch {
			case err == nil:
				won.Add(1)
				winner = i
			case err != instance.ErrRunning:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || shown.Load() != 19 {
		t.Fatalf("%d won, the others were shown %d times", won.Load(), shown.Load())
	}
	if err := winner.Close(); err != nil {
		t.Error(err)
	}
}

// TestKilled kills the process that holds the place.
func TestKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "OPENELM_TEST_INSTANCE="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	says := func(want string) {
		t.Helper()
		text := make([]byte, 100)
		if n, err := out.Read(text); err != nil || string(text[:n]) != want+"\n" {
			t.Fatalf("it says %q (%v), want %q", text[:n], err, want)
		}
	}
	says("claimed")
	if _, err := instance.Claim(t.Context(), dir, nil); err != instance.ErrRunning {
		t.Errorf("beside it: %v", err)
	}
	says("shown")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if _, err := os.Stat(filepath.Join(dir, "socket")); err != nil {
		t.Fatalf("it left no socket: %v", err)
	}
	if err := claim(t, dir, yes).Close(); err != nil {
		t.Error(err)
	}
}

// TestStrangers: who says something else is not answered, and holds up nobody.
func TestStrangers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	var shown atomic.Int32
	i := claim(t, dir, func() bool { shown.Add(1); return true })
	defer i.Close()
	for _, text := range []string{"hello\n", "show", "show\nshow\n", strings.Repeat("x", 1<<16)} {
		before := shown.Load()
		c, err := net.Dial("unix", filepath.Join(dir, "socket"))
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte(text))
		c.(*net.UnixConn).CloseWrite()
		answer := make([]byte, 10)
		n, _ := c.Read(answer)
		c.Close()
		if asked := strings.HasPrefix(text, "show\n"); asked != (n > 0) || asked != (shown.Load() > before) {
			t.Errorf("%.10q is answered %q", text, answer[:n])
		}
	}
	if _, err := instance.Claim(t.Context(), dir, nil); err != instance.ErrRunning {
		t.Errorf("after strangers: %v", err)
	}
}

func TestRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("folders have no modes")
	}
	temp := t.TempDir()
	file, open, link, foreign := filepath.Join(temp, "file"), filepath.Join(temp, "open"), filepath.Join(temp, "link"), filepath.Join(temp, "foreign")
	for _, err := range []error{
		os.WriteFile(file, nil, 0o600), os.Mkdir(open, 0o700), os.Chmod(open, 0o777), os.Symlink(temp, link), os.Mkdir(foreign, 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	wants := map[string]string{filepath.Join(temp, strings.Repeat("long", 50)): "at most 103 bytes", file: "not a directory", open: "others can write to", link: "is no folder"}
	if os.Getuid() == 0 {
		if err := os.Chown(foreign, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		wants[foreign] = "belongs to user 12345"
	}
	for dir, want := range wants {
		i, err := instance.Claim(t.Context(), dir, nil)
		if err == nil {
			i.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want that it %s", dir, err, want)
		}
	}
}

// TestNoAnswer: a process that holds the lock and does not listen.
func TestNoAnswer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	i := claim(t, dir, yes)
	defer i.Close()
	if err := os.Remove(filepath.Join(dir, "socket")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := instance.Claim(ctx, dir, nil); !errors.Is(err, instance.ErrRunning) || err == instance.ErrRunning {
		t.Errorf("error %v", err)
	}
}

func yes() bool { return true }

// TestQuitting: a process that is about to end is waited for.
func TestQuitting(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	var first *instance.Instance
	var ending sync.WaitGroup
	asked := 0
	first = claim(t, dir, func() bool {
		if asked++; asked == 3 {
			ending.Go(func() {
				if err := first.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		return false
	})
	second := claim(t, dir, yes)
	ending.Wait()
	if err := second.Close(); err != nil || asked < 3 {
		t.Errorf("asked %d times, error %v", asked, err)
	}
}

// TestEnding: a process that ends meanwhile leaves its place.
func TestEnding(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	for range 20 {
		i := claim(t, dir, yes)
		ended := make(chan error)
		go func() { ended <- i.Close() }()
		next, err := instance.Claim(t.Context(), dir, yes)
		if err == nil {
			err = next.Close()
		} else if err == instance.ErrRunning {
			err = nil // the first answered before it ended
		}
		if err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
