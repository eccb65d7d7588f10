package hub

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Repo names a model repository at a revision.
type Repo struct {
	ID       string // "name" or "namespace/name"
	Revision string // branch, tag or commit hash; "main" if empty
}

const defaultRevision = "main"

// ParseRepo reads "org/name", "org/name@revision", and either with "hf://" or
// "hf://models/" before it. The error is an [ErrInvalidName].
func ParseRepo(s string) (Repo, error) {
	rest, isURI := strings.CutPrefix(s, "hf://")
	if isURI {
		rest = strings.TrimPrefix(rest, "models/")
	}
	id, revision, hasRevision := strings.Cut(rest, "@")
	repo := Repo{ID: id, Revision: revision}
	if hasRevision && revision == "" {
		return Repo{}, &Error{Kind: ErrInvalidName, Detail: fmt.Sprintf("%q has an empty revision after @", s)}
	}
	if err := repo.validate(); err != nil {
		return Repo{}, err
	}
	return repo, nil
}

// hubHosts are the names under which people know the hub.
var hubHosts = []string{"huggingface.co", "www.huggingface.co", "hf.co"}

// ParseURL reads the address of a page of the hub, or of the client's endpoint,
// about a repository or a file of it: <hub>/<org>/<name>, with /tree/<revision>
// or with /blob/<revision>/<file> (or resolve or raw) behind it. file is "" for a
// repository. The error is an [ErrInvalidName].
func (c *Client) ParseURL(address string) (repo Repo, file string, err error) {
	invalid := func(reason string) (Repo, string, error) {
		return Repo{}, "", &Error{Kind: ErrInvalidName, Detail: fmt.Sprintf("%.200q %s", address, reason)}
	}
	s, err := c.settings()
	if err != nil {
		return Repo{}, "", err
	}
	u, err := url.Parse(address)
	if err != nil || u.User != nil {
		return Repo{}, "", &Error{Kind: ErrInvalidName, Detail: "not an address of the hub"} // it may hold a password
	}
	address = redact(u)
	path, below := strings.CutPrefix(u.EscapedPath(), s.endpoint.EscapedPath())
	if !below || !sameOrigin(u, s.endpoint) {
		if path = u.EscapedPath(); !slices.Contains(hubHosts, strings.ToLower(u.Hostname())) {
			return invalid("is not an address of the hub, which is " + redact(s.endpoint))
		}
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i, part := range parts { // a branch such as refs%2Fpr%2F1 is one part
		if parts[i], err = url.PathUnescape(part); err != nil {
			return invalid("is not an address")
		}
	}
	if parts[0] == "models" {
		parts = parts[1:]
	}
	if len(parts) < 2 || parts[0] == "datasets" || parts[0] == "spaces" {
		return invalid("is not the address of a model")
	}
	repo.ID = parts[0] + "/" + parts[1]
	if parts = parts[2:]; len(parts) >= 2 {
		repo.Revision = parts[1]
	}
	switch {
	case len(parts) == 0:
	case len(parts) == 2 && parts[0] == "tree":
	case len(parts) > 2 && (parts[0] == "blob" || parts[0] == "resolve" || parts[0] == "raw"):
		file = strings.Join(parts[2:], "/")
	default:
		return invalid("is not the address of a model or of a file of one")
	}
	return repo, file, repo.validate()
}

// String returns the form that [ParseRepo] reads.
func (r Repo) String() string {
	if r.Revision == "" {
		return r.ID
	}
	return r.ID + "@" + r.Revision
}

func (r Repo) revision() string {
	if r.Revision == "" {
		return defaultRevision
	}
	return r.Revision
}

// folder is the repository's folder in the cache.
func (r Repo) folder() string {
	return "models--" + strings.ReplaceAll(r.ID, "/", "--")
}

func (r Repo) validate() error {
	if reason := checkRepoID(r.ID); reason != "" {
		return &Error{Kind: ErrInvalidName, Detail: fmt.Sprintf("repository id %q %s", r.ID, reason)}
	}
	if reason := checkRevision(r.revision()); reason != "" {
		return &Error{Kind: ErrInvalidName, Detail: fmt.Sprintf("revision %q %s", r.Revision, reason)}
	}
	return nil
}

// repoIDPart is a namespace or name: word characters, dots and dashes, a word
// character at both ends (the \b of huggingface_hub's REPO_ID_REGEX).
var repoIDPart = regexp.MustCompile(`^[0-9A-Za-z_]([0-9A-Za-z_.-]{0,94}[0-9A-Za-z_])?$`)

// checkRepoID applies the rules of huggingface_hub's validate_repo_id and
// returns what is wrong, or "".
func checkRepoID(id string) string {
	parts := strings.Split(id, "/")
	if len(parts) > 2 {
		return `must be "name" or "namespace/name"`
	}
	for _, part := range parts {
		if !repoIDPart.MatchString(part) {
			return "must be made of letters, digits, '-', '_' and '.', start and end with a letter or digit, and have at most 96 characters"
		}
	}
	if strings.Contains(id, "--") || strings.Contains(id, "..") {
		return `must not contain "--" or ".."`
	}
	if strings.HasSuffix(id, ".git") {
		return `must not end in ".git"`
	}
	return ""
}

// checkRevision applies git's rules for reference names (git check-ref-format)
// to what becomes a path below refs and a path segment of a URL.
func checkRevision(rev string) string {
	if reason := checkFileName(rev); reason != "" {
		return reason
	}
	if strings.ContainsAny(rev, " ~^?*[") || strings.Contains(rev, "..") || strings.Contains(rev, "@{") || rev == "@" {
		return "is not a valid git reference"
	}
	for part := range strings.SplitSeq(rev, "/") {
		if strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return "is not a valid git reference"
		}
	}
	return ""
}
