package clients

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// openelm is the command under test.
var openelm string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "clients")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	openelm = filepath.Join(dir, "openelm")
	build := exec.Command("go", "build", "-C", "../..", "-o", openelm, "./cmd/openelm")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// process is a server that runs until the test ends.
type process struct {
	*exec.Cmd
	url    string // without a slash
	stderr bytes.Buffer
	ended  chan error
}

// serve starts openelm serve on a free port and waits until it is ready.
func serve(t testing.TB, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(openelm, append([]string{"serve", "--addr", "127.0.0.1:0", "--quiet"}, args...)...), ended: make(chan error, 1)}
	p.Stderr = &p.stderr
	out, err := p.StdoutPipe()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	go func() { p.ended <- p.Wait() }()
	t.Cleanup(func() { p.stop(t) })
	if err != nil {
		t.Fatalf("no address: %v\n%s", err, &p.stderr)
	}
	p.url = strings.TrimSpace(line)
	waitFor(t, p.url+"/health")
	return p
}

// stop ends a server, unless it was killed.
func (p *process) stop(t testing.TB) {
	if p.ended == nil {
		return
	}
	p.Process.Signal(syscall.SIGTERM)
	if err := <-p.ended; err != nil {
		t.Errorf("the server ended with %v\n%s", err, &p.stderr)
	}
	p.ended = nil
}

// kill ends a server as a crash does.
func (p *process) kill() {
	p.Process.Kill()
	<-p.ended
	p.ended = nil
}

// waitFor waits until a page answers 200.
func waitFor(t testing.TB, url string) {
	t.Helper()
	for until := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		r, err := http.Get(url)
		if err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return
			}
			err = fmt.Errorf("status %d", r.StatusCode)
		}
		if time.Now().After(until) {
			t.Fatalf("%s: %v", url, err)
		}
	}
}

// output runs a program, which must succeed.
func output(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, &out, &errs)
	}
	return out.String()
}

func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1", "OPENAI_API_KEY=none", "PYTHONWARNINGS=error::UserWarning:pydantic",
		"HF_HUB_OFFLINE=1", "HF_DATASETS_OFFLINE=1", "TQDM_DISABLE=1", "TOKENIZERS_PARALLELISM=false")
	return cmd
}

func get(t testing.TB, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", url, r.StatusCode, err)
	}
	return string(text)
}
