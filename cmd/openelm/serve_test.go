//go:build unix

package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestServe: the address is the first line; requests under way outlive a SIGTERM.
func TestServe(t *testing.T) {
	p := start(t, nil, "serve", "--addr", "127.0.0.1:0", "--quiet")
	address, err := bufio.NewReader(p.out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address = strings.TrimSpace(address)
	for { // while it loads
		r, err := http.Get(address + "/health")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode == 200 {
			break
		}
	}
	_, _, err = try(t, "", "serve", "--addr", strings.TrimPrefix(address, "http://"))
	if err == nil || !strings.Contains(err.Error(), "another program listens on 127.0.0.1:") {
		t.Errorf("a port in use: %v", err)
	}
	body := `{"model":"story","prompt":"Once","max_tokens":300,"ignore_eos":true,"stream":true,"logprobs":1}`
	r, err := http.Post(address+"/v1/completions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r.Body)
	if err != nil || !strings.HasSuffix(string(text), "data: [DONE]\n\n") {
		t.Errorf("the stream ended with %v: …%.200s", err, text[max(0, len(text)-200):])
	}
	if status := p.status(t); status != 0 {
		t.Errorf("status %d: %s", status, p.errs.String())
	}
}

// TestPageOf: a browser is sent to this machine, whatever the server listens on.
func TestPageOf(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:80": "http://127.0.0.1:80/", "0.0.0.0:80": "http://127.0.0.1:80/", "[::]:80": "http://127.0.0.1:80/", "[::1]:80": "http://[::1]:80/",
	} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := pageOf(a); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

func TestServeRefuses(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv(keyVariable, "")
	for args, want := range map[string]string{
		"--addr 0.0.0.0:0":                     "give a key",
		"--addr nowhere":                       "write address:port",
		"--adapter folder":                     "write name=folder",
		"--also checkpoint":                    "write name=checkpoint",
		"--also x=/nowhere --addr 127.0.0.1:0": "--also x: ",
		"--open --unix x":                      "leave --unix out",
		"--cache-disk 5":                       "--cache-dir",
		"--cache-disk 0":                       "makes no sense",
		"--idle 0":                             "makes no sense",
		"--idle 1m":                            "--also",
		"--memory -1":                          "makes no sense",
		"--memory 1 --addr 127.0.0.1:0":        "the limit is",
		"--unix " + socket:                     "another program listens",
		"--unix x --addr 127.0.0.1:0":          "choose one",
		"--parallel 0":                         "makes no sense",
		"--key-file /nowhere":                  "--key-file",
		"--template x":                         "no template",
	} {
		if _, _, err := try(t, "", append([]string{"serve"}, strings.Fields(args)...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("serve %s: %v, want %q", args, err, want)
		}
	}
}
