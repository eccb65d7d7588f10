package assistant_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/assistant"
	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
	"github.com/go-openelm/go-openelm/loader/hub"
	"github.com/go-openelm/go-openelm/story"
)

func TestMain(m *testing.M) {
	code := m.Run()
	stopChromium()
	os.Exit(code)
}

// tiny is a repository of a fake hub with a model whose name says Instruct: the story
// model's, so that it answers nonsense.
const tiny = "apple/OpenELM-270M-Instruct"

func fakeHub(t testing.TB) *hubtest.Server {
	return hubtest.New(t, hubtest.Repo{ID: tiny, Files: story.FS()})
}

// options are for an assistant with folders of its own.
func options(t testing.TB, h *hubtest.Server) assistant.Options {
	endpoint := "http://127.0.0.1:1"
	if h != nil {
		endpoint = h.URL
	}
	return assistant.Options{
		Dir: t.TempDir(),
		Hub: &hub.Client{
			Endpoint: endpoint, CacheDir: t.TempDir(), Getenv: func(string) string { return "" },
			Backoff: func(int) (time.Duration, bool) { return 0, false },
		},
	}
}

func start(t testing.TB, o assistant.Options) *assistant.Assistant {
	t.Helper()
	a, err := assistant.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { quit(t, a) })
	return a
}

func quit(t testing.TB, a *assistant.Assistant) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := a.Close(ctx); err != nil {
		t.Error(err)
	}
}
