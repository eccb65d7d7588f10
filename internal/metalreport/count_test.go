package main

import (
	"math"
	"testing"

	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/kernels"
)

func open(t *testing.T) *counter {
	t.Helper()
	if !metalsim.Start(t).Simulated() {
		t.Skip("counting needs the simulator")
	}
	c, err := newCounter()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Counts of products that were cut are those of whole ones.
func TestCut(t *testing.T) {
	c := open(t)
	config, err := readConfig("../../testdata/configs", "270M")
	if err != nil {
		t.Fatal(err)
	}
	config.Layers, config.VocabSize, config.ModelDim = append(config.Layers[:2:2], config.Layers[0]), 304, 256
	l := kernels.Layout{Format: kernels.BF16}
	attention, err := c.attention(config, l, 140)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.token(config, l, 140, attention)
	if err != nil {
		t.Fatal(err)
	}
	want, err := c.pass(config, l, 140, math.MaxInt)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.dispatches) != len(want.dispatches) {
		t.Fatalf("%d dispatches, want %d", len(got.dispatches), len(want.dispatches))
	}
	for i, d := range want.dispatches {
		d.InFlight, d.Stage = got.dispatches[i].InFlight, i // a mean, of what is loaded once, too
		if got.dispatches[i] != d {
			t.Errorf("dispatch %d: %+v, want %+v", i, got.dispatches[i], d)
		}
	}
	if b := got.bytes(); b < got.ideal || b > 1.2*got.ideal {
		t.Errorf("%g bytes for %g of weights and cache", b, got.ideal)
	}
}
