package hub

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// metadata is what the hub says of a file before its contents are asked for.
type metadata struct {
	commit string // that the revision stands for
	hash   string // sha256 of an LFS file, git blob id of any other
	size   int64
}

// metadata asks the hub for a file's metadata with a HEAD request. The commit is
// also filled in when the error is an [ErrFileNotFound] that names it.
func (s *settings) metadata(ctx context.Context, repo Repo, name string) (metadata, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, metadataTimeout, errTimeout)
	defer cancel()
	resp, err := s.do(ctx, http.MethodHead, s.fileURL(repo, repo.revision(), name), nil, func(r *response) bool {
		// The hub's own answer describes an LFS file; the storage server it redirects to does not.
		return r.Header.Get("X-Repo-Commit") != ""
	})
	if err != nil {
		return metadata{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		// A mirror's redirects lead to another hub, not to a storage server: that one's
		// absent is absent.
		resp.onHub = resp.onHub || resp.StatusCode == http.StatusNotFound
		err := s.statusError(resp, repo, name)
		meta := metadata{commit: resp.Header.Get("X-Repo-Commit")}
		if resp.Header.Get("X-Error-Code") != "EntryNotFound" || !isCommit(meta.commit) {
			meta.commit = ""
		}
		return meta, err
	}
	meta, err := parseMetadata(resp)
	if err != nil {
		return metadata{}, err
	}
	if isCommit(repo.revision()) && meta.commit != repo.revision() {
		return metadata{}, bad("X-Repo-Commit is %s, asked was for %s", meta.commit, repo.revision())
	}
	return meta, nil
}

// parseMetadata reads the headers of a successful or redirecting answer to HEAD.
// Those about Xet storage are not needed: the hub bridges it to plain HTTP.
func parseMetadata(resp *response) (meta metadata, err error) {
	h := resp.Header
	if resp.StatusCode >= 300 && !isRedirect(resp.StatusCode) {
		return meta, resp.fail(ErrBadResponse, "unexpected status")
	}
	if encoding := h.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return meta, bad("Content-Encoding is %.100q though none was accepted", encoding)
	}
	meta.commit = h.Get("X-Repo-Commit")
	if meta.commit == "" {
		return meta, resp.fail(ErrBadResponse, "no X-Repo-Commit header: this is not a Hugging Face hub; check HF_ENDPOINT and the proxy")
	}
	if !isCommit(meta.commit) {
		return meta, bad("X-Repo-Commit is %.100q, not a commit hash", meta.commit)
	}
	if meta.hash, err = parseETag(firstOf(h.Get("X-Linked-Etag"), h.Get("Etag"))); err != nil {
		return meta, err
	}
	if linked := h.Get("X-Linked-Size"); linked != "" {
		meta.size, err = parseSize("X-Linked-Size", linked)
	} else if isRedirect(resp.StatusCode) {
		err = bad("a redirect without X-Linked-Size")
	} else {
		meta.size, err = parseSize("Content-Length", h.Get("Content-Length"))
	}
	return meta, err
}

// fileURL is where the contents of a file at a revision are.
func (s *settings) fileURL(repo Repo, revision, name string) *url.URL {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return s.hubURL("/" + repo.ID + "/resolve/" + url.PathEscape(revision) + "/" + strings.Join(parts, "/"))
}

// hubURL is the endpoint with an escaped path appended.
func (s *settings) hubURL(escapedPath string) *url.URL {
	u := *s.endpoint
	u.RawPath = s.endpoint.EscapedPath() + escapedPath
	path, err := url.PathUnescape(u.RawPath)
	if err != nil {
		panic("hub: unescaped path " + escapedPath) // the callers escape
	}
	u.Path = path
	return &u
}
