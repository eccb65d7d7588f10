package assistant

import (
	"context"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/loader/hub"
)

func newAssistant(t *testing.T) *Assistant {
	a, err := New(Options{Dir: t.TempDir(), Hub: &hub.Client{
		Endpoint: "http://127.0.0.1:1", CacheDir: t.TempDir(), Getenv: func(string) string { return "" },
		Backoff: func(int) (time.Duration, bool) { return 0, false },
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return a
}

// TestChangeLoadsNothing: how long a model stays may change just when it goes.
func TestChangeLoadsNothing(t *testing.T) {
	a := newAssistant(t)
	if _, err := a.Do(t.Context(), desktop.Continue, "Once upon a time"); err != nil {
		t.Fatal(err)
	}
	src, err := a.source(chosen(a.Settings()))
	if err != nil {
		t.Fatal(err)
	}
	a.Unload()
	for a.State().MemoryBytes > 0 {
		time.Sleep(time.Millisecond)
	}
	a.mu.Lock()
	src.bytes = 1 // as it is known until the model is closed
	a.mu.Unlock()
	if err := a.Change(func(s *desktop.Settings) { s.KeepLoaded = true }); err != nil {
		t.Fatal(err)
	}
	if n := src.bytes; n != 1 {
		t.Errorf("the model was loaded again: %d bytes", n)
	}
}

// TestLateSwitch: a model that is asked just before another one is chosen does not
// stay.
func TestLateSwitch(t *testing.T) {
	a := newAssistant(t)
	if d := a.stays(choice{model: "apple/OpenELM-270M"}); d != 0 {
		t.Errorf("it stays for %v", d)
	}
	if d := a.stays(choice{}); d != defaultIdle {
		t.Errorf("the one that is chosen stays for %v", d)
	}
}

// TestForgotten: a download that is forgotten before it has begun is not asked about
// again.
func TestForgotten(t *testing.T) {
	a := newAssistant(t)
	d := &download{name: "apple/OpenELM-270M"}
	a.download = d
	if err := a.ForgetDownload(); err != nil {
		t.Fatal(err)
	}
	if err := a.fetch(t.Context(), d); err == nil {
		t.Error("it is there")
	}
	if a.settings.Download != "" {
		t.Errorf("the settings want %s", a.settings.Download)
	}
	// One that is wanted is.
	next := &download{name: "apple/OpenELM-450M"}
	a.download = next
	if err := a.fetch(t.Context(), next); err == nil {
		t.Error("it is there")
	}
	if a.settings.Download != next.name {
		t.Errorf("the settings want %q", a.settings.Download)
	}
}
