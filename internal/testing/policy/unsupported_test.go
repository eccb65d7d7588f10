package policy

import (
	"errors"
	"testing"

	"github.com/go-openelm/go-openelm/bench"
	"github.com/go-openelm/go-openelm/internal/mmap"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/gguf"
	"github.com/go-openelm/go-openelm/loader/quantize"
	"github.com/go-openelm/go-openelm/loader/tokenizer"
	"github.com/go-openelm/go-openelm/metal"
)

// TestUnsupported: whatever is not supported is an errors.ErrUnsupported.
func TestUnsupported(t *testing.T) {
	for name, err := range map[string]error{
		"bench": bench.ErrUnsupported, "loader": loader.ErrUnsupported, "gguf": gguf.ErrUnsupported,
		"quantize": quantize.ErrUnsupported, "tokenizer": &tokenizer.FormatError{Unsupported: true},
		"metal": metal.ErrUnsupported, "metal, old system": &metal.UnavailableError{}, "mmap": mmap.ErrUnsupported,
	} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v is no errors.ErrUnsupported", name, err)
		}
	}
}
