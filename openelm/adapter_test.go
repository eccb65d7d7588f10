package openelm_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

// TestAdapters attaches and detaches adapters, and uses several over one model
// at the same time.
func TestAdapters(t *testing.T) {
	m := openPack(t, "lora-peft")
	ctx := t.Context()
	text := []int32{1, 30, 77, 200}
	predict := func(s *openelm.Session) []float32 {
		t.Helper()
		if err := s.Append(ctx); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(s.Logits())
	}
	var adapters []*openelm.Adapter
	for _, pack := range []string{"lora-peft", "dora-peft"} { // models of the same shapes
		a, err := loader.OpenAdapter(ctx, filepath.Join("..", "testdata", "golden", pack, "adapter"), m, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.Release)
		adapters = append(adapters, a)
	}
	adapters = append(adapters, nil)

	alone := make([][]float32, len(adapters))
	sessions := make([]*openelm.Session, len(adapters))
	for i, a := range adapters {
		s, err := m.NewSession(&openelm.SessionOptions{Capacity: 8, Adapter: a})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		if err := s.Push(text...); err != nil {
			t.Fatal(err)
		}
		alone[i], sessions[i] = predict(s), s
	}
	for i := range alone {
		for j := range i {
			if d := near(alone[i], alone[j]); d < 0.1 {
				t.Errorf("adapters %d and %d predict the same within %g", i, j, d)
			}
		}
	}
	// Each session takes over the next one's adapter.
	for i, s := range sessions {
		next := (i + 1) % len(adapters)
		if err := s.SetAdapter(adapters[next]); err != nil {
			t.Fatal(err)
		}
		if d := near(predict(s), alone[next]); d > rounding {
			t.Errorf("session %d with adapter %d attached is off by %g", i, next, d)
		}
		f, err := s.Fork(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if d := near(predict(f), alone[next]); d > rounding {
			t.Errorf("a fork of session %d is off by %g", i, d)
		}
	}
	// One Step gives each what it gets alone, by its own adapter.
	want := make([]*openelm.Session, len(sessions))
	for i, s := range sessions {
		f, err := s.Fork(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Append(ctx, 1); err != nil {
			t.Fatal(err)
		}
		want[i] = f
	}
	if err := openelm.Step(ctx, sessions, []int32{1, 1, 1}); err != nil {
		t.Fatal(err)
	}
	for i, s := range sessions {
		if d := near(s.Logits(), want[i].Logits()); d > rounding {
			t.Errorf("session %d in one Step with other adapters is off by %g", i, d)
		}
	}
}

// TestAdapterAtLoad opens a model with an adapter that its sessions use.
func TestAdapterAtLoad(t *testing.T) {
	dir := filepath.Join("..", "testdata", "golden", "lora-mlx")
	m, err := loader.Open(t.Context(), dir, &loader.Options{NoTokenizer: true, Adapter: filepath.Join(dir, "adapter")})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s := newSession(t, m, 4)
	if err := s.Append(t.Context(), 1, 2, 3); err != nil {
		t.Fatal(err)
	}
	with := slices.Clone(s.Logits())
	if err := s.SetAdapter(nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context()); err != nil {
		t.Fatal(err)
	}
	bare := newSession(t, openPack(t, "lora-mlx"), 4)
	if err := bare.Append(t.Context(), 1, 2, 3); err != nil {
		t.Fatal(err)
	}
	if d := near(s.Logits(), bare.Logits()); d > rounding {
		t.Errorf("without its adapter the model is off by %g", d)
	}
	if d := near(with, bare.Logits()); d < 0.1 {
		t.Errorf("the adapter changes nothing: %g", d)
	}
}
