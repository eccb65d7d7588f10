package randommodel

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"testing"
)

// TestOLMoShape: as many parameters, layers alike.
func TestOLMoShape(t *testing.T) {
	for name := range presets {
		c, err := Shape(name)
		if err != nil {
			t.Fatal(err)
		}
		o, err := Shape("olmo-" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if off := math.Abs(float64(o.Parameters())/float64(c.Parameters()) - 1); off > 0.003 {
			t.Errorf("%s: %d parameters for %d, %.2f%% off", name, o.Parameters(), c.Parameters(), 100*off)
		}
		for _, l := range o.Layers {
			if l != o.Layers[0] || l.QueryHeads != l.KVHeads || l.QueryHeads*o.HeadDim != o.ModelDim || l.FFNDim%32 != 0 {
				t.Errorf("%s: layer %+v of a model of %d", name, l, o.ModelDim)
			}
		}
	}
}

func TestParse(t *testing.T) {
	for _, bad := range []string{"", "270M:bf16", "random:270M", "random:7T:bf16", "random:270M:int3"} {
		if n, err := Parse(bad); err == nil {
			t.Errorf("%q is %v", bad, n)
		}
	}
	for _, shape := range Shapes() {
		for _, format := range Formats() {
			name := Prefix + shape + ":" + format
			if n, err := Parse(name); err != nil || n.String() != name || !n.Safetensors() && !n.GGUF() {
				t.Errorf("%s is %v, %v", name, n, err)
			}
		}
	}
}

// TestStore: a random checkpoint is made once, kept, and removed when asked.
func TestStore(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 150 MB")
	}
	dir := t.TempDir()
	s := NewStore(dir)
	n := Name{"270M", "q4_0"}
	path, err := s.GGUF(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	again := NewStore(dir)
	if p, err := again.GGUF(t.Context(), n); err != nil || p != path || len(again.made) != 0 {
		t.Errorf("made again: %v, %v", again.made, err)
	}
	if err := s.Remove(); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "models", "openelm-*")); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.GGUF(ctx, n); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is done: %v", err)
	}
}
