package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/internal/hubtest"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/story"
)

// run executes the command as a shell would.
func run(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := newCommand()
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	err = cmd.Execute()
	return out.String(), errs.String(), err
}

func mustRun(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, errs, err := run(t, stdin, args...)
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
	out, errs, err := run(t, "", "generate", "--temperature", "0", "Once upon a time")
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

func TestTokenize(t *testing.T) {
	ids := mustRun(t, "", "tokenize", "--ids", "Hello, wörld 🙂")
	if text := mustRun(t, ids, "tokenize", "--decode", "-"); text != "Hello, wörld 🙂\n" {
		t.Errorf("%s decodes as %q", ids, text)
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
	if out := mustRun(t, "", "score", "--per-token", "--logprobs", "1", "The capital of France is Paris."); strings.Count(out, "\n") != 11 {
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
	first, progress, err := run(t, "", args...)
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
		{[]string{"generate", "a", "b"}, "at most 1", nil},
		{[]string{"generate", "--adapter", empty}, "adapter_config.json", nil},
		{[]string{"tokenize"}, "1 arg", nil},
		{[]string{"tokenize", "--decode", "12 x"}, `"x" is no token`, nil},
		{[]string{"score", ""}, "too short", nil},
		{[]string{"chat", "--template", "x"}, "auto, instruct and plain", nil},
		{[]string{"generate", "-m", "org/nothing-here"}, "org/nothing-here", nil},
	} {
		_, _, err := run(t, "", c.args...)
		if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%v: got error %v, want one about %q (%v)", c.args, err, c.want, c.is)
		}
	}
}
