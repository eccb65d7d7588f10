package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxRedirects    = 10
	metadataTimeout = 10 * time.Second // for an answer without a body worth the name, as huggingface_hub
	maxMessage      = 200              // bytes of a server's own words in an error
)

// response is an answer and where it came from.
type response struct {
	*http.Response
	url   *url.URL
	onHub bool // no redirect has left the endpoint
}

func (r *response) fail(kind error, detail string) *Error {
	return &Error{Kind: kind, URL: redact(r.url), Status: r.StatusCode, Detail: detail}
}

// do performs a request and follows its redirects. The token goes to the endpoint's
// scheme, host and port only, and to nothing a redirect elsewhere leads
// back to. If stop is not nil and holds for an answer that redirects away from the endpoint, that answer is returned.
func (s *settings) do(ctx context.Context, method string, u *url.URL, header http.Header, stop func(*response) bool) (*response, error) {
	onHub := true
	for range maxRedirects {
		req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
		if err != nil {
			return nil, &Error{Kind: ErrBadResponse, URL: redact(u), Detail: "cannot make a request for this URL"}
		}
		for key, values := range header {
			req.Header[key] = values
		}
		req.Header.Set("User-Agent", s.userAgent)
		req.Header.Set("Accept-Encoding", "identity") // sizes and ranges are of the contents themselves
		if s.token != "" && onHub {
			req.Header.Set("Authorization", "Bearer "+s.token)
		}
		httpResponse, err := s.transport.RoundTrip(req)
		if err != nil {
			return nil, s.transportError(ctx, u, err)
		}
		resp := &response{httpResponse, u, onHub}
		if !isRedirect(resp.StatusCode) {
			return resp, nil
		}
		next, err := redirectTarget(resp)
		if err != nil {
			resp.Body.Close()
			return nil, err
		}
		leaves := !sameOrigin(next, s.endpoint)
		if leaves && stop != nil && stop(resp) {
			return resp, nil
		}
		drain(resp)
		onHub = onHub && !leaves
		u = next
	}
	return nil, &Error{Kind: ErrBadResponse, URL: redact(u), Detail: fmt.Sprintf("more than %d redirects", maxRedirects)}
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

func redirectTarget(resp *response) (*url.URL, error) {
	location := resp.Header.Get("Location")
	next, err := resp.url.Parse(location)
	switch {
	case location == "" || err != nil: // err repeats the location, which may be signed
		return nil, resp.fail(ErrBadResponse, "redirect without a usable Location")
	case next.Host == "" || (next.Scheme != "https" && next.Scheme != "http"):
		return nil, resp.fail(ErrBadResponse, fmt.Sprintf("redirect to %.100q, which is not HTTP", redact(next)))
	case resp.url.Scheme == "https" && next.Scheme != "https":
		return nil, resp.fail(ErrBadResponse, fmt.Sprintf("refusing to be redirected from HTTPS to unencrypted %.100q", redact(next)))
	}
	return next, nil
}

// sameOrigin reports whether two URLs have the same scheme, host and port.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// drain empties and closes a body of no interest so that the connection can be used
// again, unless it is too long for that to be worth it.
func drain(resp *response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	resp.Body.Close()
}

// statusError turns an answer that is no success into an error. file is empty
// for a request about the whole repository.
func (s *settings) statusError(resp *response, repo Repo, file string) error {
	message := resp.Header.Get("X-Error-Message")
	if len(message) > maxMessage {
		message = message[:maxMessage]
	}
	if message != "" {
		message = fmt.Sprintf("the hub says %q", message)
	}
	login := "set HF_TOKEN to a token from " + redact(s.endpoint) + "/settings/tokens"
	if s.token != "" {
		login = "check that the token in use has access to it"
	}

	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		err := resp.fail(ErrUnavailable, message)
		if seconds, parseErr := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 32); parseErr == nil {
			err.retryAfter = time.Duration(seconds) * time.Second
		}
		return err
	}
	if code := resp.Header.Get("X-Error-Code"); !resp.onHub && code == "" {
		// A storage server refuses a signed URL that has expired; the hub gives a new one.
		return resp.fail(ErrUnavailable, "the storage server refused the request")
	}
	switch code := resp.Header.Get("X-Error-Code"); {
	case code == "GatedRepo":
		return resp.fail(ErrGated, fmt.Sprintf("accept its conditions at %s/%s, then %s", redact(s.endpoint), repo.ID, login))
	case code == "RepoNotFound":
		return resp.fail(ErrRepoNotFound, "check the spelling; if it is private, "+login)
	case code == "RevisionNotFound":
		return resp.fail(ErrRevisionNotFound, fmt.Sprintf("there is no branch, tag or commit %q", repo.revision()))
	case code == "EntryNotFound", resp.StatusCode == http.StatusNotFound && file != "":
		return resp.fail(ErrFileNotFound, message)
	case resp.StatusCode == http.StatusNotFound:
		return resp.fail(ErrRepoNotFound, message)
	case resp.StatusCode == http.StatusUnauthorized && s.token != "":
		return resp.fail(ErrUnauthorized, "the token is not valid, make a new one at "+redact(s.endpoint)+"/settings/tokens")
	case resp.StatusCode == http.StatusUnauthorized:
		return resp.fail(ErrUnauthorized, "the repository is private or does not exist: "+login)
	case resp.StatusCode == http.StatusForbidden:
		return resp.fail(ErrUnauthorized, strings.TrimPrefix(message+"; "+login, "; "))
	}
	return resp.fail(ErrBadResponse, strings.TrimSuffix("unexpected status; "+message, "; "))
}

// transportError wraps what went wrong with a connection: the context's own
// error if it ended, else an [ErrUnavailable].
func (s *settings) transportError(ctx context.Context, u *url.URL, err error) error {
	if ctx.Err() != nil {
		if !errors.Is(context.Cause(ctx), errTimeout) {
			return ctx.Err()
		}
		err = errTimeout
	}
	// Errors of net/http quote what a server sent, which may be a signed URL.
	if before, _, quotes := strings.Cut(err.Error(), `"`); quotes || before != s.scrub(before) {
		err = errors.New(s.scrub(before) + "[...]")
	}
	return &Error{Kind: ErrUnavailable, URL: redact(u), Detail: "check the network, the proxy and HF_ENDPOINT", Err: err}
}

// errTimeout is the cause of contexts that this package ends by itself.
var errTimeout = errors.New("no answer in time")

// scrub hides the token in words that came from elsewhere.
func (s *settings) scrub(text string) string {
	if s.token == "" {
		return text
	}
	return strings.ReplaceAll(text, s.token, "[token]")
}

// redact is a URL without what may be secret in it.
func redact(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return shown.String()
}
