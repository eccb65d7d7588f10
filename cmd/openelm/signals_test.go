//go:build unix

package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// asCommand makes this test program the openelm command.
const asCommand = "OPENELM_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// process is the command in a process of its own.
type process struct {
	*exec.Cmd
	in   io.WriteCloser // stays open
	out  io.ReadCloser
	errs bytes.Buffer

	requestsBefore int64
}

func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(program, args...)}
	p.Env = append(append(os.Environ(), asCommand+"=1"), env...)
	p.Stderr = &p.errs
	if p.in, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if p.out, err = p.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill() })
	return p
}

// status is the exit status, once the process has ended. A process that does not
// end ends with the tests' timeout, which shows where it waits.
func (p *process) status(t *testing.T) int {
	t.Helper()
	err := p.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

// silentHub counts requests and never answers them.
func silentHub(t *testing.T) (url string, requests *atomic.Int64) {
	requests = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

// TestSignals: wherever a command waits, ^C and SIGTERM end it.
func TestSignals(t *testing.T) {
	url, requests := silentHub(t)
	hub := []string{"HF_ENDPOINT=" + url, "HF_HOME=" + t.TempDir(), "HF_HUB_CACHE=", "HF_HUB_OFFLINE="}
	cache := t.TempDir()
	for _, c := range []struct {
		name string
		args []string
		env  []string
		// wait until the command does what it should be interrupted in.
		ready func(t *testing.T, p *process)
	}{
		{name: "input", args: []string{"generate", "-"}, ready: waitForRead},
		{name: "piped input", args: []string{"score"}, ready: waitForRead},
		{name: "prompt", args: []string{"chat", "-q"}, ready: waitForRead},
		{name: "generation", args: []string{"generate", "-q", "--ignore-eos", "-n", "0", "-t", "0", "Once"}, ready: waitForOutput},
		{name: "full pipe", args: []string{"tokenize", "-q", strings.Repeat("a ", 60000)}, ready: waitForOutput},
		{name: "download", args: []string{"inspect", "-m", "org/model"}, env: hub, ready: func(_ *testing.T, p *process) {
			waitFor(func() bool { return requests.Load() > p.requestsBefore })
		}},
		{name: "making a model", args: []string{"bench", "random:270M:f32", "--cache", cache}, ready: func(*testing.T, *process) {
			waitFor(func() bool {
				files, _ := filepath.Glob(filepath.Join(cache, "models", ".making", "*", "*", ".model.safetensors.*"))
				return len(files) > 0
			})
		}},
	} {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(c.name+"/"+sig.String(), func(t *testing.T) {
				before := requests.Load()
				p := start(t, c.env, c.args...)
				p.requestsBefore = before
				c.ready(t, p)
				if err := p.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				if got := p.status(t); got != 128+int(sig) {
					t.Errorf("status %d, want %d; it said %q", got, 128+int(sig), p.errs.String())
				}
			})
		}
	}
	left, err := filepath.Glob(filepath.Join(cache, "models", "*", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("bench left %v (%v)", left, err)
	}
}

func waitFor(done func() bool) {
	for !done() {
		time.Sleep(10 * time.Millisecond)
	}
}

func waitForOutput(t *testing.T, p *process) {
	t.Helper()
	if _, err := io.ReadFull(p.out, make([]byte, 4)); err != nil {
		t.Fatalf("%v: %s", err, p.errs.String())
	}
}

// waitForRead waits until the process reads its input: a pipe does not hold this
// much.
func waitForRead(t *testing.T, p *process) {
	t.Helper()
	if _, err := p.in.Write(bytes.Repeat([]byte("a"), 256<<10)); err != nil {
		t.Fatalf("%v: %s", err, p.errs.String())
	}
}
