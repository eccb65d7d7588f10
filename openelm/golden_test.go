package openelm_test

import (
	"testing"

	"github.com/go-openelm/go-openelm/internal/golden"
	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

func TestGolden(t *testing.T) {
	b := cpu.New(cpu.Options{})
	defer b.Close()
	golden.Test(t, func(t *testing.T, p *golden.Pack) (*openelm.Model, *openelm.Adapter) {
		m, err := loader.Open(t.Context(), p.Path(), &loader.Options{Backend: b, NoTokenizer: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		if p.Adapter() == "" {
			return m, nil
		}
		a, err := loader.OpenAdapter(t.Context(), p.Adapter(), m, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.Release)
		return m, a
	})
}
