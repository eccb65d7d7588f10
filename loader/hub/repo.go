package hub

import (
	"fmt"
	"regexp"
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
