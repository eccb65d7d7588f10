package hub

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	defaultEndpoint  = "https://huggingface.co"
	defaultUserAgent = "go-openelm"
)

// settings are a client's fields with the environment filled in.
type settings struct {
	endpoint   *url.URL
	token      string
	cacheDir   string // absolute
	offline    bool
	noSymlinks bool
	transport  http.RoundTripper
	backoff    func(attempt int) (wait time.Duration, ok bool)
	progress   func(Progress)
	log        *slog.Logger
	userAgent  string
	contact    *contact // nil for a call on its own
}

func (c *Client) settings() (*settings, error) {
	env := environment(c.Getenv)
	if env == nil {
		env = os.Getenv
	}
	s := &settings{
		token:      c.Token,
		offline:    c.Offline || env.isTrue("HF_HUB_OFFLINE") || env.isTrue("TRANSFORMERS_OFFLINE"),
		noSymlinks: env.isTrue("HF_HUB_DISABLE_SYMLINKS"),
		transport:  c.Transport,
		backoff:    c.Backoff,
		progress:   c.Progress,
		log:        c.Logger,
		userAgent:  c.UserAgent,
	}
	if s.transport == nil {
		s.transport = http.DefaultTransport
	}
	if s.backoff == nil {
		s.backoff = defaultBackoff
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.userAgent == "" {
		s.userAgent = defaultUserAgent
	}

	var err error
	if s.endpoint, err = parseEndpoint(firstOf(c.Endpoint, env("HF_ENDPOINT"), defaultEndpoint)); err != nil {
		return nil, err
	}
	dir := firstOf(c.CacheDir, env.path("HF_HUB_CACHE"), env.path("HUGGINGFACE_HUB_CACHE"), env.home("hub"))
	if dir == "" {
		return nil, &Error{Kind: ErrConfig, Detail: "no cache directory: there is no home directory, set HF_HUB_CACHE or Client.CacheDir"}
	}
	if s.cacheDir, err = filepath.Abs(dir); err != nil {
		return nil, &Error{Kind: ErrConfig, Detail: "cache directory", Err: err}
	}
	if s.token == "" && !env.isTrue("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
		s.token = env.token(s.log)
	}
	if strings.ContainsFunc(s.token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, &Error{Kind: ErrConfig, Detail: "the token (Client.Token or HF_TOKEN) contains characters that no token has"}
	}
	return s, nil
}

func parseEndpoint(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(s, "/"))
	if err != nil { // its text repeats the URL, which may hold a password
		return nil, &Error{Kind: ErrConfig, Detail: "the endpoint (Client.Endpoint or HF_ENDPOINT) is not a URL"}
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, &Error{Kind: ErrConfig, Detail: fmt.Sprintf("endpoint %q (Client.Endpoint or HF_ENDPOINT) must be like %s", redact(u), defaultEndpoint)}
	}
	return u, nil
}

// environment looks a variable up as [os.Getenv] does.
type environment func(string) string

// isTrue has the values that huggingface_hub takes for true.
func (env environment) isTrue(name string) bool {
	switch strings.ToUpper(env(name)) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}

// path is a variable with a leading ~ and $VARIABLES in it expanded.
func (env environment) path(name string) string {
	p := env(name)
	if rest, ok := strings.CutPrefix(p, "~"); ok && (rest == "" || os.IsPathSeparator(rest[0])) {
		p = env.userHome() + rest
	}
	return os.Expand(p, func(name string) string {
		if value := env(name); value != "" {
			return value
		}
		return "$" + name
	})
}

func (env environment) userHome() string {
	if runtime.GOOS == "windows" {
		return env("USERPROFILE")
	}
	return env("HOME")
}

// home is a path below HF_HOME, or "" if there is no home directory.
func (env environment) home(name string) string {
	if home := env.path("HF_HOME"); home != "" {
		return filepath.Join(home, name)
	}
	if xdg := env.path("XDG_CACHE_HOME"); xdg != "" {
		return filepath.Join(xdg, "huggingface", name)
	}
	if home := env.userHome(); home != "" {
		return filepath.Join(home, ".cache", "huggingface", name)
	}
	return ""
}

// token is the token of the environment or of the file that "hf auth login" writes.
func (env environment) token(log *slog.Logger) string {
	if token := cleanToken(firstOf(env("HF_TOKEN"), env("HUGGING_FACE_HUB_TOKEN"))); token != "" {
		return token
	}
	file := firstOf(env.path("HF_TOKEN_PATH"), env.home("token"))
	if file == "" {
		return ""
	}
	data, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		log.Warn("cannot read the Hugging Face token", "error", err)
	}
	return cleanToken(string(data))
}

func cleanToken(s string) string {
	return strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "").Replace(s))
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
