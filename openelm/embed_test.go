package openelm_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
)

// TestEmbed: an embedding has a length of 1, is the same bit by bit in company,
// and tells texts apart. The values are internal/testing/golden's matter.
func TestEmbed(t *testing.T) {
	m, err := story.Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	batch, err := openelm.NewBatch(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	long := make([]int32, m.Config().MaxContext)
	for i := range long {
		long[i] = int32(300 + i*7%1000)
	}
	var wg sync.WaitGroup
	var before []float32
	for _, n := range []int{1, 2, 15, 16, 17, 33, 34, 35, 100, len(long)} {
		want, err := m.Embed(t.Context(), long[:n], nil)
		if err != nil {
			t.Fatal(err)
		}
		squares := 0.0
		for _, v := range want {
			squares += float64(v) * float64(v)
		}
		if len(want) != m.Config().ModelDim || math.Abs(squares-1) > 1e-5 {
			t.Errorf("%d tokens: %d elements of length² %g", n, len(want), squares)
		}
		if slices.Equal(want, before) {
			t.Errorf("%d tokens are embedded as fewer are", n)
		}
		before = want
		wg.Go(func() {
			got, err := m.Embed(t.Context(), long[:n], &openelm.SessionOptions{Batch: batch})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%d tokens in a batch: %v", n, err)
			}
		})
	}
	wg.Wait()
}

func TestEmbedErrors(t *testing.T) {
	m := fakeModel(t, &fake{})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx    context.Context
		tokens []int32
		o      *openelm.SessionOptions
		want   error
	}{
		"no tokens":         {t.Context(), nil, nil, openelm.ErrEmpty},
		"an unknown token":  {t.Context(), []int32{fakeVocab}, nil, openelm.ErrToken},
		"too many":          {t.Context(), []int32{1, 2}, &openelm.SessionOptions{Capacity: 1}, openelm.ErrContextFull},
		"cancelled":         {cancelled, []int32{1}, nil, context.Canceled},
		"weights of nought": {t.Context(), []int32{1}, nil, openelm.ErrNoEmbedding},
	} {
		if _, err := m.Embed(c.ctx, c.tokens, c.o); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
