package hub

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	listTimeout = 30 * time.Second
	maxList     = 64 << 20 // bytes of a repository's description
)

// FileInfo describes a file of a repository.
type FileInfo struct {
	Name string // relative to the repository, with slashes
	Size int64  // bytes
	Hash string // sha256 of an LFS file, git blob id of any other, "" if not known
}

// listing is the complete list of files of a commit, names not checked.
type listing struct {
	commit string
	files  []listedFile
}

type listedFile struct {
	FileInfo
	blobID string // git blob id: of an LFS file, its pointer's
}

// fetchListing asks the hub for all files of a repository.
func (s *settings) fetchListing(ctx context.Context, repo Repo) (listing, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, listTimeout, errTimeout)
	defer cancel()
	u := s.hubURL("/api/models/" + repo.ID + "/revision/" + url.PathEscape(repo.revision()))
	u.RawQuery = "blobs=true" // with sizes and hashes
	resp, err := s.do(ctx, http.MethodGet, u, nil, nil)
	if err != nil {
		return listing{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return listing{}, s.statusError(resp, repo, "")
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxList+1))
	if err != nil {
		return listing{}, s.transportError(ctx, resp.url, err)
	}
	if len(body) > maxList {
		return listing{}, resp.fail(ErrBadResponse, "the list of files is too long")
	}
	list, err := parseListing(body)
	if err != nil {
		return listing{}, err
	}
	if isCommit(repo.revision()) && list.commit != repo.revision() {
		return listing{}, bad("the hub lists commit %s, asked was for %s", list.commit, repo.revision())
	}
	return list, nil
}

// parseListing reads the JSON of /api/models/<id>/revision/<revision>?blobs=true.
func parseListing(body []byte) (listing, error) {
	var model struct {
		SHA      string
		Siblings []struct {
			Name   string `json:"rfilename"`
			Size   int64
			BlobID string
			LFS    *struct {
				SHA256 string
				Size   int64
			}
		}
	}
	if err := json.Unmarshal(body, &model); err != nil {
		return listing{}, &Error{Kind: ErrBadResponse, Detail: "list of files", Err: err}
	}
	if !isCommit(model.SHA) {
		return listing{}, bad("the list of files is of %.100q, not of a commit", model.SHA)
	}
	list := listing{commit: model.SHA}
	for _, f := range model.Siblings {
		file := listedFile{FileInfo{Name: f.Name, Size: f.Size, Hash: f.BlobID}, f.BlobID}
		if f.LFS != nil {
			file.Size, file.Hash = f.LFS.Size, f.LFS.SHA256
		}
		if file.Size < 0 || file.Size > maxFileSize || (file.Hash != "" && !isBlobHash(file.Hash)) {
			return listing{}, bad("the list of files gives %.100q the size %d and the hash %.100q", file.Name, file.Size, file.Hash)
		}
		list.files = append(list.files, file)
	}
	return list, nil
}
