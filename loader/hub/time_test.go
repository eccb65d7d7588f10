package hub_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
	"github.com/go-openelm/go-openelm/loader/hub"
)

// inBubble runs f with a hub in memory and time that passes only when all wait.
func inBubble(t *testing.T, f func(t *testing.T, srv *hubtest.Server, c *hub.Client)) {
	synctest.Test(t, func(t *testing.T) {
		srv := hubtest.NewInMemory(t, served())
		c := newClient(t, srv)
		c.Backoff = nil
		f(t, srv, c)
	})
}

func TestDefaultBackoff(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *hubtest.Server, c *hub.Client) {
		srv.Set(hubtest.Knobs{Statuses: []int{503, 502, 429, 500}})
		start := time.Now()
		mustFile(t, c, testRepo, "empty.txt")
		if waited := time.Since(start); waited != (1+2+4+8)*time.Second {
			t.Errorf("waited %v", waited)
		}
	})
	inBubble(t, func(t *testing.T, srv *hubtest.Server, c *hub.Client) {
		srv.Set(hubtest.Knobs{Statuses: slices.Repeat([]int{503}, 5)})
		_, err := c.File(t.Context(), testRepo, "empty.txt")
		wantError(t, err, hub.ErrUnavailable, "503")
	})
}

func TestRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "86400": time.Minute, "-1": time.Second, "soon": time.Second} {
		inBubble(t, func(t *testing.T, srv *hubtest.Server, c *hub.Client) {
			next, refused := c.Transport, false
			c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				resp, err := next.RoundTrip(r)
				if err == nil && !refused {
					refused = true
					resp.StatusCode = http.StatusTooManyRequests
					resp.Header.Set("Retry-After", header)
				}
				return resp, err
			})
			start := time.Now()
			mustFile(t, c, testRepo, "empty.txt")
			if waited := time.Since(start); waited != want {
				t.Errorf("Retry-After: %s: waited %v, want %v", header, waited, want)
			}
		})
	}
}

// A connection that says nothing more is given up after 30 s, and the download continues on a new one.
func TestStalledBody(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *hubtest.Server, c *hub.Client) {
		srv.Set(hubtest.Knobs{Stall: 400_000})
		start := time.Now()
		checkContents(t, mustFile(t, c, testRepo, "model.safetensors"), weights)
		// 400,000, 800,000 and the rest.
		if waited := time.Since(start); waited != 2*(30+1)*time.Second {
			t.Errorf("waited %v", waited)
		}
	})
}

// A hub that does not answer is given up after 10 s: at once if the cache has the file.
func TestSilentHub(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *hubtest.Server, c *hub.Client) {
		mustFile(t, c, testRepo, "config.json")
		c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		start := time.Now()
		mustFile(t, c, testRepo, "config.json")
		if waited := time.Since(start); waited != 10*time.Second {
			t.Errorf("cached: waited %v", waited)
		}
		start = time.Now()
		_, err := c.File(t.Context(), testRepo, "model.safetensors")
		wantError(t, err, hub.ErrUnavailable, "no answer in time")
		if waited := time.Since(start); waited != (5*10+1+2+4+8)*time.Second {
			t.Errorf("not cached: waited %v", waited)
		}
	})
}

// A deadline of the caller is the caller's.
func TestDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *hubtest.Server, c *hub.Client) {
		srv.Set(hubtest.Knobs{Stall: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.File(ctx, testRepo, "model.safetensors")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
