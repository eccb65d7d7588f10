package hub_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/internal/testing/hubtest"
	"github.com/go-openelm/go-openelm/loader/hub"
)

const token = "hf_SecretTokenOfTheTest"

// The token goes to the hub, on relative redirects too, and not to the storage server.
func TestTokenStaysOnHub(t *testing.T) {
	srv := hubtest.New(t, hubtest.Repo{ID: testID, Files: files(), Gated: true})
	srv.Set(hubtest.Knobs{Token: token, CDN: true, RelativeRedirect: true})
	c := newClient(t, srv)
	c.Token = token
	checkContents(t, mustFile(t, c, testRepo, "model.safetensors"), weights)
	checkContents(t, mustFile(t, c, testRepo, "config.json"), files()["config.json"].Data)
	if _, err := c.Files(t.Context(), testRepo); err != nil {
		t.Fatal(err)
	}
	hubHost, storageHost := strings.TrimPrefix(srv.URL, "http://"), strings.TrimPrefix(srv.StorageURL, "http://")
	var onHub, onStorage int
	for _, r := range srv.Requests() {
		switch r.Host {
		case hubHost:
			onHub++
			if r.Authorization != "Bearer "+token {
				t.Errorf("%s %s to the hub without the token", r.Method, r.Path)
			}
		case storageHost:
			onStorage++
			if r.Authorization != "" {
				t.Errorf("%s %s to the storage server with Authorization %q", r.Method, r.Path, r.Authorization)
			}
		}
	}
	// HEAD, GET of the weights; HEAD, HEAD, GET, GET of the config; the list.
	if onHub != 7 || onStorage != 1 {
		t.Errorf("%d requests to the hub, %d to the storage server", onHub, onStorage)
	}
}

// A redirect that leaves the hub and comes back does not bring the token back.
func TestTokenDoesNotReturn(t *testing.T) {
	srv := hubtest.New(t, served())
	back := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, srv.URL+"/"+testID+"/resolve/main/config.json", http.StatusFound)
	}))
	defer back.Close()
	c := newClient(t, srv)
	c.Token = token
	first := true
	c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodGet && first {
			first = false
			return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {back.URL}}, Body: http.NoBody}, nil
		}
		return srv.Transport().RoundTrip(r)
	})
	srv.Requests()
	mustFile(t, c, testRepo, "config.json")
	for _, r := range srv.Requests() {
		if (r.Authorization != "") != (r.Method == http.MethodHead) {
			t.Errorf("%s %s with Authorization %q", r.Method, r.Path, r.Authorization)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRedirectsRefused(t *testing.T) {
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1"+r.URL.Path+"?X-Signature="+hubtest.Signature, http.StatusFound)
	}))
	defer secure.Close()
	c := &hub.Client{Endpoint: secure.URL, CacheDir: t.TempDir(), Transport: secure.Client().Transport, Getenv: func(string) string { return "" }}
	_, err := c.File(t.Context(), testRepo, "config.json")
	wantError(t, err, hub.ErrBadResponse, "unencrypted", "http://127.0.0.1:1/")
	if strings.Contains(err.Error(), hubtest.Signature) {
		t.Errorf("%q shows a signature", err)
	}

	for location, want := range map[string]string{
		"":                            "Location",
		"http://[::1":                 "Location",
		"file:///etc/passwd":          "not HTTP",
		"data:text/plain,x":           "not HTTP",
		"http:///nohost":              "not HTTP",
		"%":                           "Location",
		"/org/Tiny-Model/loop?secret": "redirects",
	} {
		loop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Location"] = []string{location}
			w.WriteHeader(http.StatusTemporaryRedirect)
		}))
		c := &hub.Client{Endpoint: loop.URL, CacheDir: t.TempDir(), Transport: loop.Client().Transport, Getenv: func(string) string { return "" }}
		_, err := c.File(t.Context(), testRepo, "config.json")
		wantError(t, err, hub.ErrBadResponse, want)
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q shows a query", err)
		}
		loop.Close()
	}
}

// No error or log record has the token or a signature, whatever fails and whatever the server says.
func TestSecretsAreNotShown(t *testing.T) {
	srv := hubtest.New(t, served(), hubtest.Repo{ID: "org/gated", Files: files(), Gated: true})
	echo := map[string]string{"X-Error-Message": "you sent " + token, "Etag": token, "X-Linked-Etag": token, "X-Repo-Commit": token, "Content-Encoding": token}
	for name, knobs := range map[string]hubtest.Knobs{
		"drops":        {Token: token, CDN: true, Drops: 100, DropAfter: 0},
		"corrupt":      {Token: token, CDN: true, Corrupt: true},
		"echo":         {Token: token, CDN: true, Head: echo},
		"echo commit":  {Token: token, CDN: true, Head: map[string]string{"X-Repo-Commit": token}},
		"echo etag":    {Token: token, CDN: true, Head: map[string]string{"X-Linked-Etag": token}},
		"echo body":    {Token: token, Body: map[string]string{"Content-Encoding": token}},
		"bad location": {Token: token, CDN: true, Body: map[string]string{"Location": "http://\x7f?" + hubtest.Signature}},
		"bad host":     {Token: token, CDN: true, Body: map[string]string{"Location": "http://127.0.0.1:1/?" + hubtest.Signature + token}},
		"wrong token":  {Token: "another"},
		"overload":     {Token: token, CDN: true, Statuses: []int{200, 503, 503, 503, 503, 503, 503, 503, 503}},
	} {
		t.Run(name, func(t *testing.T) {
			srv.Set(knobs)
			var log bytes.Buffer
			c := newClient(t, srv)
			c.Token = token
			c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			_, err := c.File(t.Context(), testRepo, "model.safetensors")
			if err == nil {
				t.Fatal("no error")
			}
			c.Logger.Info("client", "client", c, "value", *c)
			for _, secret := range []string{token, hubtest.Signature} {
				if text := fmt.Sprintf("%v %+v", err, err); strings.Contains(text, secret) {
					t.Errorf("error %s shows %s", text, secret)
				}
				if strings.Contains(log.String(), secret) {
					t.Errorf("log shows %s:\n%s", secret, &log)
				}
				if text := fmt.Sprintf("%v %+v %#v %s", c, *c, c, *c); strings.Contains(text, secret) {
					t.Errorf("client prints %s", text)
				}
			}
		})
	}
}

func TestAccessErrors(t *testing.T) {
	srv := hubtest.New(t, served(), hubtest.Repo{ID: "org/gated", Files: files(), Gated: true})
	srv.Set(hubtest.Knobs{Token: token})
	anonymous := newClient(t, srv)
	_, err := anonymous.File(t.Context(), hub.Repo{ID: "org/gated"}, "config.json")
	wantError(t, err, hub.ErrGated, srv.URL+"/org/gated", "accept", "set HF_TOKEN", srv.URL+"/settings/tokens")
	_, err = anonymous.Files(t.Context(), hub.Repo{ID: "org/gated"})
	wantError(t, err, hub.ErrGated, "set HF_TOKEN")
	_, err = anonymous.File(t.Context(), hub.Repo{ID: "org/none"}, "config.json")
	wantError(t, err, hub.ErrRepoNotFound, "org/none", "spelling", "set HF_TOKEN")

	c := newClient(t, srv)
	c.Token = token
	mustFile(t, c, hub.Repo{ID: "org/gated"}, "config.json")
	_, err = c.File(t.Context(), hub.Repo{ID: "org/none"}, "config.json")
	wantError(t, err, hub.ErrRepoNotFound)
	_, err = c.File(t.Context(), hub.Repo{ID: testID, Revision: "v9"}, "config.json")
	wantError(t, err, hub.ErrRevisionNotFound, `"v9"`)

	c.Token = "hf_wrong"
	_, err = c.File(t.Context(), testRepo, "model.safetensors")
	wantError(t, err, hub.ErrUnauthorized, "not valid", "/settings/tokens")
	c.Token = "two words"
	_, err = c.File(t.Context(), testRepo, "model.safetensors")
	wantError(t, err, hub.ErrConfig, "token")

	var status *hub.Error
	_, err = anonymous.File(t.Context(), hub.Repo{ID: "org/gated"}, "config.json")
	status, _ = err.(*hub.Error)
	if status == nil || status.Status != http.StatusUnauthorized || status.File != "config.json" || status.Repo.ID != "org/gated" {
		t.Errorf("%#v", err)
	}
}

// Statuses without the hub's X-Error-Code, from the hub or something before it.
func TestBareStatuses(t *testing.T) {
	srv := hubtest.New(t, served())
	for _, tt := range []struct {
		statuses []int // 0 is a right answer
		kind     error
		text     string
	}{
		{[]int{401}, hub.ErrUnauthorized, "set HF_TOKEN"},
		{[]int{403}, hub.ErrUnauthorized, "set HF_TOKEN"},
		{[]int{404}, hub.ErrFileNotFound, "404"},
		{[]int{418}, hub.ErrBadResponse, "418"},
		{[]int{304}, hub.ErrBadResponse, "304"},
		{[]int{204}, hub.ErrBadResponse, "HF_ENDPOINT"},
		{[]int{0, 404}, hub.ErrFileNotFound, "404"},
		{[]int{0, 204}, hub.ErrBadResponse, "204"},
		{[]int{0, 416}, hub.ErrMismatch, "size"},
		{[]int{0, 500, 500, 500, 500}, hub.ErrUnavailable, "500"},
	} {
		srv.Set(hubtest.Knobs{Statuses: tt.statuses})
		_, err := newClient(t, srv).File(t.Context(), testRepo, "model.safetensors")
		wantError(t, err, tt.kind, tt.text)
	}
	for status, kind := range map[int]error{404: hub.ErrRepoNotFound, 403: hub.ErrUnauthorized, 206: hub.ErrBadResponse} {
		srv.Set(hubtest.Knobs{Statuses: []int{status}})
		_, err := newClient(t, srv).Files(t.Context(), testRepo)
		wantError(t, err, kind)
	}

	// A storage server that refuses an expired URL is asked again with a new one.
	srv.Set(hubtest.Knobs{CDN: true, Statuses: []int{0, 0, 403}})
	srv.Requests()
	checkContents(t, mustFile(t, newClient(t, srv), testRepo, "model.safetensors"), weights)
	if got := methods(srv.Requests()); got != "HEAD GET GET GET GET" {
		t.Errorf("requests: %s", got)
	}
}
