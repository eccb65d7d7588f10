package hubtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const resolveCache = "/api/resolve-cache/models/"

// serveHub answers at the endpoint.
func (s *Server) serveHub(w http.ResponseWriter, r *http.Request) {
	k, status := s.enter(r)
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	p := r.URL.EscapedPath()
	if rest, ok := strings.CutPrefix(p, resolveCache); ok {
		parts := strings.SplitN(rest, "/", 4) // org, name, commit, file
		if len(parts) == 4 {
			s.resolve(w, r, k, parts[0]+"/"+parts[1], parts[2], parts[3], true)
			return
		}
	}
	if rest, ok := strings.CutPrefix(p, "/api/models/"); ok {
		if id, revision, ok := strings.Cut(rest, "/tree/"); ok {
			s.list(w, r, k, id, revision, writeTree)
			return
		}
		id, revision, ok := strings.Cut(rest, "/revision/")
		if !ok {
			revision = "main"
		}
		s.list(w, r, k, id, revision, writeModel)
		return
	}
	if id, rest, ok := strings.Cut(strings.TrimPrefix(p, "/"), "/resolve/"); ok {
		revision, name, _ := strings.Cut(rest, "/")
		s.resolve(w, r, k, id, revision, name, false)
		return
	}
	http.NotFound(w, r)
}

// refuse answers a request for a repository that may not be served, as the hub does.
func refuse(w http.ResponseWriter, status int, code, message string) {
	if code != "" {
		w.Header().Set("X-Error-Code", code)
	}
	w.Header().Set("X-Error-Message", message)
	w.WriteHeader(status)
}

// open finds a commit's files, or answers the request and returns nil.
func (s *Server) open(w http.ResponseWriter, r *http.Request, k Knobs, id, revision string) (commit string, files map[string]*file) {
	repo, commit, files := s.find(id, revision)
	authorization := r.Header.Get("Authorization")
	valid := k.Token != "" && authorization == "Bearer "+k.Token
	switch {
	case authorization != "" && k.Token != "" && !valid:
		refuse(w, http.StatusUnauthorized, "", "Invalid credentials in Authorization header")
	case repo == nil && valid:
		refuse(w, http.StatusNotFound, "RepoNotFound", "Repository not found")
	case repo == nil: // the hub does not tell strangers what exists
		refuse(w, http.StatusUnauthorized, "RepoNotFound", "Repository not found")
	case repo.gated && !valid:
		refuse(w, http.StatusUnauthorized, "GatedRepo", "Access to model "+id+" is restricted. You must have access to it and be authenticated to access it. Please log in.")
	case files == nil:
		refuse(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+revision)
	default:
		return commit, files
	}
	return "", nil
}

// resolve answers for a file: with its contents, or with where they are.
func (s *Server) resolve(w http.ResponseWriter, r *http.Request, k Knobs, id, revision, escapedName string, redirected bool) {
	commit, files := s.open(w, r, k, id, revision)
	if files == nil {
		return
	}
	name, err := url.PathUnescape(escapedName)
	f := files[name]
	h := w.Header()
	h.Set("X-Repo-Commit", commit)
	if err != nil || f == nil {
		refuse(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
		return
	}
	h.Set("ETag", `"`+f.hash()+`"`)
	if f.sha256 != "" {
		h.Set("X-Linked-Etag", `"`+f.sha256+`"`)
		h.Set("X-Linked-Size", strconv.Itoa(len(f.data)))
		h.Set("X-Xet-Hash", strings.Repeat("0", 64)) // a client without Xet has to ignore it
	}
	location := ""
	switch {
	case f.sha256 != "" && k.CDN:
		h.Set("ETag", `"storage-multipart-1"`)
		location = s.StorageURL + "/blobs/" + f.sha256 + "?X-Signature=" + Signature
	case f.sha256 == "" && k.RelativeRedirect && !redirected:
		location = resolveCache + id + "/" + commit + "/" + escapedName
	}
	if location != "" {
		h.Set("Location", location)
		if r.Method == http.MethodHead {
			override(h, k.Head)
		} else {
			override(h, k.Body)
		}
		w.WriteHeader(http.StatusFound)
		return
	}
	s.contents(w, r, k, f)
}

// serveStorage answers at StorageURL for signed requests.
func (s *Server) serveStorage(w http.ResponseWriter, r *http.Request) {
	k, status := s.enter(r)
	f := s.byHash(strings.TrimPrefix(r.URL.Path, "/blobs/"))
	switch {
	case status != 0:
		w.WriteHeader(status)
	case r.URL.Query().Get("X-Signature") != Signature || f == nil:
		w.WriteHeader(http.StatusForbidden)
	default:
		w.Header().Set("ETag", `"storage-multipart-1"`)
		s.contents(w, r, k, f)
	}
}

// contents sends a file or the range of it that is asked for.
func (s *Server) contents(w http.ResponseWriter, r *http.Request, k Knobs, f *file) {
	h, data, status := w.Header(), f.data, http.StatusOK
	if from, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && !k.IgnoreRange {
		offset, err := strconv.Atoi(strings.TrimSuffix(from, "-"))
		if err != nil || offset >= len(data) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", offset, len(data)-1, len(data)))
		data, status = data[offset:], http.StatusPartialContent
	}
	h.Set("Content-Length", strconv.Itoa(len(data)))
	h.Set("Accept-Ranges", "bytes")
	if r.Method == http.MethodHead {
		override(h, k.Head)
		w.WriteHeader(status)
		return
	}
	override(h, k.Body)
	if k.Corrupt && len(data) > 0 {
		data = slices.Clone(data)
		data[len(data)-1] ^= 1
	}
	w.WriteHeader(status)
	if s.takeDrop() && k.DropAfter < int64(len(data)) {
		send(w, data[:k.DropAfter])
		panic(http.ErrAbortHandler) // closes the connection
	}
	if k.Stall > 0 && k.Stall < int64(len(data)) {
		send(w, data[:k.Stall])
		<-r.Context().Done()
		return
	}
	send(w, data)
}

// send writes and flushes; a client that has left is no concern of the server's.
func send(w http.ResponseWriter, data []byte) {
	_, _ = w.Write(data)
	_ = http.NewResponseController(w).Flush()
}

func override(h http.Header, values map[string]string) {
	for name, value := range values {
		if value == "" {
			h.Del(name)
		} else {
			h.Set(name, value)
		}
	}
}

// list answers for a repository as a whole.
func (s *Server) list(w http.ResponseWriter, r *http.Request, k Knobs, id, revision string, write func(id, commit string, names []string, files map[string]*file) any) {
	commit, files := s.open(w, r, k, id, revision)
	if files == nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(write(id, commit, slices.Sorted(maps.Keys(files)), files))
}

type object = map[string]any

// writeModel is the answer of /api/models/<id>/revision/<revision>?blobs=true.
func writeModel(id, commit string, names []string, files map[string]*file) any {
	siblings := []object{}
	for _, name := range names {
		f := files[name]
		sibling := object{"rfilename": name, "size": len(f.data), "blobId": f.blobID}
		if f.sha256 != "" {
			sibling["lfs"] = object{"sha256": f.sha256, "size": len(f.data), "pointerSize": 135}
		}
		siblings = append(siblings, sibling)
	}
	return object{"id": id, "modelId": id, "sha": commit, "private": false, "downloads": 0, "likes": 0, "tags": []string{}, "siblings": siblings}
}

// writeTree is the answer of /api/models/<id>/tree/<revision>?recursive=true.
func writeTree(_, _ string, names []string, files map[string]*file) any {
	entries := []object{}
	for _, name := range names {
		f := files[name]
		entry := object{"type": "file", "path": name, "size": len(f.data), "oid": f.blobID}
		if f.sha256 != "" {
			entry["lfs"] = object{"oid": f.sha256, "size": len(f.data), "pointerSize": 135}
		}
		entries = append(entries, entry)
	}
	return entries
}
