package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/hub"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

// try executes the command as a shell would.
func try(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	err = run(t.Context(), &signals{}, args, strings.NewReader(stdin), &out, &errs)
	return out.String(), errs.String(), err
}

func mustRun(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, errs, err := try(t, stdin, args...)
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, errs)
	}
	return out
}

// tale is the embedded model's most probable story, as mlx-lm and its
// MODEL_CARD.md tell it.
const tale = `Once upon a time, there was a little boy named Tim. He liked to sing and look at the clouds.

One day, Tim went into the forest to look for flowers. There was always one more, a little farther on. Then it grew dark. "Which way is home?" asked Tim. But no one answered.

He wanted to cry, but he took a deep breath. Then he saw a little light between the trees. He followed the light until he came to a warm little hut. There lived a young boy named Tim. "Come in, come in," said Tim. "Here is some hot soup. In the morning I will show you the way." Tim was so tired that he fell asleep at once.

In the morning, Tim showed him the way. When Tim came home, everyone hugged him. And Tim was very happy.
`

func TestGenerate(t *testing.T) {
	out, errs, err := try(t, "", "generate", "--temperature", "0", "Once upon a time")
	if err != nil {
		t.Fatal(err)
	}
	if out != tale {
		t.Errorf("the story is\n%s\nwant\n%s", out, tale)
	}
	if !strings.Contains(errs, "story model") || !strings.Contains(errs, "apple/OpenELM") {
		t.Errorf("the notice %q does not say what the model is and how to use Apple's", errs)
	}
	if out := mustRun(t, "Once upon a time\n", "generate", "-q", "-t", "0", "--stop", " Tim.", "-"); out != "Once upon a time, there was a little boy named\n" {
		t.Errorf("with a stop string: %q", out)
	}
	if out := mustRun(t, "", "generate", "-q", "-t", "0", "--stop", `\n\u004fne day`, "Once", "upon", "a", "time"); out != tale[:strings.Index(tale, "\nOne day")]+"\n" {
		t.Errorf("with escapes in the stop string: %q", out)
	}
	if out := mustRun(t, "Once upon a time\r\n", "generate", "-q", "-t", "0"); out != tale {
		t.Errorf("with a piped prompt: %q", out)
	}
	if out := mustRun(t, "", "generate", "-q", "-t", "0"); out != tale {
		t.Errorf("without a prompt: %q", out)
	}
	a := mustRun(t, "", "generate", "-n", "30", "--seed", "5", "The little fox")
	if b := mustRun(t, "", "generate", "-n", "30", "--seed", "5", "The little fox"); a != b {
		t.Errorf("seed 5 gave %q and %q", a, b)
	}
}

func TestGenerateJSON(t *testing.T) {
	out := mustRun(t, "", "generate", "--json", "--logprobs", "2", "-t", "0", "-n", "4", "The capital of France is")
	text := ""
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for i, line := range lines {
		var tok tokenJSON
		if err := json.Unmarshal([]byte(line), &tok); err != nil {
			t.Fatal(err)
		}
		text += tok.Text
		if len(tok.Top) != 2 || tok.Top[0].ID != tok.ID || tok.LogProb != tok.Top[0].LogProb {
			t.Errorf("token %d is not its own best alternative: %s", i, line)
		}
		if (tok.Stop == "length") != (i == 3) {
			t.Errorf("token %d stops for %q", i, tok.Stop)
		}
	}
	if len(lines) != 4 || text != " Paris." {
		t.Errorf("%d tokens spell %q", len(lines), text)
	}
}

func TestGenerateLogProbs(t *testing.T) {
	out := mustRun(t, "", "generate", "--logprobs", "2", "-t", "0", "-n", "2", "The capital of France is")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 || strings.Count(lines[0], "\t") != 4 || !strings.Contains(lines[0], "P") {
		t.Errorf("not one line a token, with two alternatives:\n%s", out)
	}
}

// TestInput: what is piped in is the text that a person typed.
func TestInput(t *testing.T) {
	ids := func(in string, args ...string) string {
		return mustRun(t, in, append([]string{"tokenize", "--ids"}, args...)...)
	}
	want := ids("", "Once upon a time\nthere was")
	for _, in := range []string{
		"Once upon a time\nthere was", "Once upon a time\nthere was\n", "Once upon a time\r\nthere was\r\n",
		"\ufeffOnce upon a time\nthere was\n", "\ufeffOnce upon a time\r\nthere was",
	} {
		if got := ids(in, "-"); got != want {
			t.Errorf("%q is %s, want %s", in, got, want)
		}
		if got := ids(in); got != want {
			t.Errorf("%q without an argument is %s, want %s", in, got, want)
		}
	}
	if got, want := ids("", "Once", "upon", "a", "time"), "1 494 548 261 447\n"; got != want {
		t.Errorf("four words are %s, want %s", got, want)
	}
	if got := ids("", "-"); got != "1\n" {
		t.Errorf("an empty text is %q", got)
	}
	for in, want := range map[string]string{
		"\xff\xfeO\x00n\x00": "UTF-16", "caf\xe9": "byte 4", "ab\x80": "byte 3", strings.Repeat("a", maxInput+1): "more than 64.0 MiB",
	} {
		if _, _, err := try(t, in, "tokenize", "-"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.10q: error %v, want one about %q", in, err, want)
		}
	}
}

// fullDisk takes some bytes and no more.
type fullDisk struct{ room int }

func (f *fullDisk) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, syscall.ENOSPC
	}
	return len(p), nil
}

// TestOutputFails: a command whose output is lost has failed.
func TestOutputFails(t *testing.T) {
	for _, args := range [][]string{
		{"generate", "-n", "3"}, {"generate", "--json", "-n", "3"}, {"generate", "--logprobs", "1", "-n", "3"}, {"tokenize", "--ids", "a"},
		{"tokenize", "a"}, {"tokenize", "--decode", "300"}, {"score", "a b"}, {"score", "--per-token", "a b"}, {"inspect"}, {"inspect", "--tensors"},
		{"chat", "-n", "3"}, {"--help"}, {"--version"}, {"generate", "--help"},
		{"bench", "story", "--prefill", "2", "--tokens", "1", "--reps", "1", "--warmup", "0", "--min-time", "1us"},
	} {
		err := run(t.Context(), &signals{}, args, strings.NewReader("Hi\n"), &fullDisk{}, io.Discard)
		if !errors.Is(err, syscall.ENOSPC) || exitStatus(t.Context(), err, io.Discard) != 1 {
			t.Errorf("%v: %v, want that there is no space", args, err)
		}
	}
}

func TestVersion(t *testing.T) {
	if out := mustRun(t, "", "--version"); !strings.HasPrefix(out, "openelm ") || !strings.Contains(out, runtime.Version()) {
		t.Errorf("the version is %q", out)
	}
}

func TestExitStatus(t *testing.T) {
	var b strings.Builder
	if got := exitStatus(t.Context(), fmt.Errorf("%w: top-p 2", openelm.ErrArgument), &b); got != 1 || b.String() != "openelm: invalid argument: top-p 2\n" {
		t.Errorf("status %d, said %q", got, b.String())
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(signalError{syscall.SIGTERM})
	b.Reset()
	if got := exitStatus(ctx, context.Canceled, &b); got != 143 || b.String() != "" {
		t.Errorf("after SIGTERM: status %d, said %q", got, b.String())
	}
}

// TestDownloadLines: without a terminal a download has a line at its beginning,
// at its end, and every ten seconds.
func TestDownloadLines(t *testing.T) {
	var b strings.Builder
	now := time.Time{}
	show := downloadLines(&b, func() time.Time { return now })
	for _, name := range []string{"a.safetensors", "sub/b.json"} {
		for done := int64(0); done <= 300; done++ {
			show(hub.Progress{File: name, Done: done << 20, Total: 300 << 20})
			now = now.Add(100 * time.Millisecond)
		}
	}
	want := "a.safetensors: 0 B of 300.0 MiB\na.safetensors: 100.0 MiB of 300.0 MiB\na.safetensors: 200.0 MiB of 300.0 MiB\na.safetensors: 300.0 MiB of 300.0 MiB\n"
	if got := b.String(); got != want+strings.ReplaceAll(want, "a.safetensors", "b.json") {
		t.Errorf("the lines are\n%s", got)
	}
}

func TestTokenize(t *testing.T) {
	ids := mustRun(t, "", "tokenize", "--ids", "Hello, wörld 🙂")
	if text := mustRun(t, ids, "tokenize", "--decode", "-"); text != "Hello, wörld 🙂\n" {
		t.Errorf("%s decodes as %q", ids, text)
	}
	if text := mustRun(t, "", append([]string{"tokenize", "--decode"}, strings.Fields(ids)...)...); text != "Hello, wörld 🙂\n" {
		t.Errorf("as arguments %s decodes as %q", ids, text)
	}
	if table := mustRun(t, "", "tokenize", "Hello"); strings.Count(table, "\n") != len(strings.Fields(mustRun(t, "", "tokenize", "--ids", "Hello"))) {
		t.Errorf("not one line a token:\n%s", table)
	}
}

func TestScore(t *testing.T) {
	likely := mustRun(t, "", "score", "--json", "The capital of France is Paris.")
	unlikely := mustRun(t, "", "score", "--json", "The capital of France is Rome.")
	perplexity := func(out string) float64 {
		lines := strings.Split(strings.TrimSpace(out), "\n")
		var sum struct {
			Tokens     int
			Perplexity float64
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &sum); err != nil || sum.Tokens != len(lines)-1 {
			t.Fatalf("%v: %s", err, out)
		}
		return sum.Perplexity
	}
	if a, b := perplexity(likely), perplexity(unlikely); a >= b {
		t.Errorf("Paris has perplexity %v, Rome %v", a, b)
	}
	if out := mustRun(t, "", "score", "--logprobs", "1", "The capital of France is Paris."); strings.Count(out, "\n") != 11 {
		t.Errorf("not one line a token and a sum:\n%s", out)
	}
}

func TestInspect(t *testing.T) {
	out := mustRun(t, "", "inspect", "--layers", "--tensors")
	for _, want := range []string{"4,263,936", "BF16", "transformer.token_embeddings.weight", "5.5 KiB a token"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if out := mustRun(t, "", "inspect", "-m", "../../testdata/golden/gguf-q4_K_M/model.gguf"); !strings.Contains(out, "Q4_K") || !strings.Contains(out, "Q6_K") {
		t.Errorf("the formats of a GGUF file are missing in\n%s", out)
	}
}

func TestChat(t *testing.T) {
	out := mustRun(t, "Who are you?\n/undo\n/help\n\nWhat is the capital of France?\n/reset\n/bye\nnever read\n", "chat", "-t", "0", "-n", "40")
	if !strings.Contains(out, "I am a very small language model.") || !strings.Contains(out, "Paris") {
		t.Errorf("the replies are %q", out)
	}
	out, errs, err := try(t, "\ufeff"+strings.Repeat("a", 1200000)+"\r\nxyz\xe9\n/quit\n"+strings.Repeat("b ", 1000)+"\nWho are you?\r\n"+strings.Repeat("c", maxLine+3), "chat", "-q", "-t", "0", "-n", "40")
	if err != nil || !strings.Contains(out, "I am a very small language model.") {
		t.Errorf("after lines that are no messages: %v, %q", err, out)
	}
	for _, want := range []string{"longer than 1.0 MiB", "byte 4 is 0xe9", "no command /quit", "does not fit into the context"} {
		if !strings.Contains(errs, want) {
			t.Errorf("%q does not say %q", errs, want)
		}
	}
	if strings.Contains(errs, ">") || strings.Count(errs, "longer than") != 2 {
		t.Errorf("without a terminal chat says %q", errs)
	}
}

// TestHub downloads a model, and uses it again when the hub is gone.
func TestHub(t *testing.T) {
	server := hubtest.New(t, hubtest.Repo{ID: "org/story", Files: story.FS()})
	t.Setenv("HF_HOME", t.TempDir())
	t.Setenv("HF_ENDPOINT", server.URL)
	for _, name := range []string{"HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "HF_TOKEN_PATH"} {
		t.Setenv(name, "")
	}
	args := []string{"generate", "-m", "org/story", "-t", "0", "-n", "8", "Once upon a time"}
	first, progress, err := try(t, "", args...)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(tale, strings.TrimSuffix(first, "\n")) || !strings.Contains(progress, "model.safetensors") {
		t.Errorf("the model tells %q; progress %q", first, progress)
	}
	server.Close()
	if again := mustRun(t, "", args...); again != first {
		t.Errorf("offline it tells %q", again)
	}
}

func TestErrors(t *testing.T) {
	t.Setenv("HF_HOME", t.TempDir())
	t.Setenv("HF_HUB_OFFLINE", "1")
	empty := t.TempDir()
	for _, c := range []struct {
		args []string
		want string // in the message
		is   error
	}{
		{[]string{"generate", "-m", filepath.Join(empty, "nothing")}, "nothing", os.ErrNotExist},
		{[]string{"generate", "-m", empty}, "config.json", loader.ErrNotFound},
		{[]string{"generate", "--backend", "tpu"}, "auto, metal and cpu", nil},
		{[]string{"generate", "--threads", "-1"}, "--threads", nil},
		{[]string{"generate", "--top-p", "2"}, "top-p", nil},
		{[]string{"generate", "--tokens", "-1"}, "--tokens", nil},
		{[]string{"generate", "--logprobs", "-1"}, "--logprobs", nil},
		{[]string{"generate", "--stop", `\q`}, `\q is no escape`, nil},
		{[]string{"generate", "--stop", ""}, "empty", nil},
		{[]string{"generate", "--stop", `\xff`}, "not UTF-8", nil},
		{[]string{"generate", "caf\xe9"}, "byte 4 is 0xe9", nil},
		{[]string{"generate", "-n", "many"}, `"-n, --tokens" flag: invalid syntax`, nil},
		{[]string{"chat", "hello"}, "openelm chat takes no arguments", nil},
		{[]string{"generate", "--nonsense"}, "openelm generate --help", nil},
		{[]string{"generate", "--threads", "2", "--backend", "metal"}, "is for the CPU", nil},
		{[]string{"generate", "--activations", "bf16", "--backend", "metal"}, "is for the CPU", errors.ErrUnsupported},
		{[]string{"serve", "--activations", "fp8"}, "exact and bf16", nil},
		{[]string{"tokenize", "--activations", "bf16", "a"}, "no use for --activations", nil},
		{[]string{"tokenize", "--threads", "2", "a"}, "no use for --threads", nil},
		{[]string{"generate", "--adapter", empty}, "adapter_config.json", nil},
		{[]string{"tokenize"}, "no text", nil},
		{[]string{"tokenize", "--ids", "--decode", "1"}, "choose one", nil},
		{[]string{"score", "--logprobs", "-1", "a"}, "--logprobs", nil},
		{[]string{"score", strings.Repeat("a b c ", 400)}, "context 512", openelm.ErrContextFull},
		{[]string{"chat", "--context", "-1"}, "--context", nil},
		{[]string{"chat", "--top-k", "-1"}, "top-k", nil},
		{[]string{"tokenize", "--decode", "12 x"}, `"x" is no token`, nil},
		{[]string{"score", ""}, "too short", nil},
		{[]string{"chat", "--template", "x"}, "auto, instruct and plain", nil},
		{[]string{"generate", "-m", "org/nothing-here"}, "org/nothing-here", nil},
	} {
		out, _, err := try(t, "", c.args...)
		if out != "" {
			t.Errorf("%v: printed %q", c.args, out)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%v: got error %v, want one about %q (%v)", c.args, err, c.want, c.is)
		}
	}
}
