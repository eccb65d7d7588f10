package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestHAProxy: the example's configuration spreads requests over two servers and
// passes streams on as they come; when a server is killed, the other one answers.
func TestHAProxy(t *testing.T) {
	servers := []*process{serve(t), serve(t)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	config, err := os.ReadFile("../../examples/haproxy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	for old, new := range map[string]string{
		"bind 127.0.0.1:8650":       "bind " + address,
		"server one 127.0.0.1:8651": "server one " + strings.TrimPrefix(servers[0].url, "http://"),
		"server two 127.0.0.1:8652": "server two " + strings.TrimPrefix(servers[1].url, "http://"),
	} {
		if bytes.Count(config, []byte(old)) != 1 {
			t.Fatalf("the example has no %q", old)
		}
		config = bytes.Replace(config, []byte(old), []byte(new), 1)
	}
	name := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(name, config, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	program, err := exec.LookPath("haproxy")
	if err != nil {
		program = "/usr/sbin/haproxy" // which not everybody's PATH has
	}
	proxy := exec.Command(program, "-db", "-f", name)
	proxy.Stdout, proxy.Stderr = &log, &log
	if err := proxy.Start(); err != nil {
		t.Fatalf("%v; make tools installs it", err)
	}
	defer func() {
		proxy.Process.Kill()
		proxy.Wait()
		if t.Failed() {
			t.Logf("HAProxy:\n%s", &log)
		}
	}()
	url := "http://" + address
	waitFor(t, url+"/health")
	post := func(body string) *http.Response {
		t.Helper()
		r, err := http.Post(url+"/v1/completions", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(r.Body)
			t.Fatalf("%d: %s", r.StatusCode, text)
		}
		return r
	}
	const request = `{"model":"story","prompt":"Once upon a time","max_tokens":20,"seed":1}`
	complete := func() string {
		t.Helper()
		r := post(request)
		defer r.Body.Close()
		var a struct{ Choices []struct{ Text string } }
		if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
			t.Fatal(err)
		}
		return a.Choices[0].Text
	}
	want := complete()
	r := post(strings.Replace(request, "{", `{"stream":true,`, 1))
	text := ""
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: {")
		var part struct{ Choices []struct{ Text string } }
		if ok && json.Unmarshal([]byte("{"+data), &part) == nil {
			text += part.Choices[0].Text
		}
	}
	r.Body.Close()
	if text != want {
		t.Errorf("the stream is %q, the whole %q", text, want)
	}

	// A stream for each server: it comes while it is generated.
	const long = `{"model":"story","prompt":"Once upon a time","n":60,"max_tokens":400,"ignore_eos":true,"stream":true}`
	var streams []*http.Response
	for range servers {
		r := post(long)
		streams = append(streams, r)
		body := bufio.NewReader(r.Body)
		if line, err := body.ReadString('\n'); err != nil || !strings.HasPrefix(line, "data: {") {
			t.Fatalf("%q, %v", line, err)
		}
		go io.Copy(io.Discard, body) // one that is not read would be ended
	}
	for i, s := range servers {
		if !strings.Contains(get(t, s.url+"/metrics"), "\nopenelm_requests_processing 1\n") {
			t.Errorf("server %d has no stream, of two", i)
		}
	}
	servers[0].kill()
	for _, r := range streams {
		r.Body.Close()
	}
	for range 10 {
		if got := complete(); got != want {
			t.Errorf("after a server was killed: %q, want %q", got, want)
		}
	}
	const served = `openelm_requests_total{endpoint="/v1/completions",status="200"} `
	if text := get(t, servers[1].url+"/metrics"); !strings.Contains(text, served+"1") { // 10 to 12
		t.Errorf("the other server's metrics:\n%s", text)
	}
}
