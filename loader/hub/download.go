package hub

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const (
	stallTimeout = 30 * time.Second // without a byte, after which a connection is given up
	pieceSize    = 256 << 10        // bytes read, hashed and written at a time
)

// download gets the contents of a file that the cache does not have at this commit.
func (s *settings) download(ctx context.Context, repo Repo, name string, meta metadata) (path string, err error) {
	cache := s.cache(repo)
	root, err := cache.openRoot()
	if err != nil {
		return "", err
	}
	defer root.Close()
	unlock, err := s.lock(ctx, cache, meta.hash)
	if err != nil {
		return "", err
	}
	if unlock != nil {
		defer unlock()
	}

	// Another process may have been faster, or another commit have the same contents.
	fresh := false
	if path, ok := cache.current(meta, name); ok {
		return path, cache.writeRef(repo.revision(), meta.commit)
	}
	blob := filepath.Join("blobs", meta.hash)
	info, err := os.Stat(filepath.Join(cache.dir(), blob))
	if err != nil || !info.Mode().IsRegular() || info.Size() != meta.size {
		d := &transfer{settings: s, cache: cache, root: root, repo: repo, name: name, meta: meta}
		if err := d.run(ctx, blob, unlock != nil); err != nil {
			return "", err
		}
		fresh = true
	}
	if path, err = cache.link(root, meta, name, fresh); err != nil {
		return "", err
	}
	return path, cache.writeRef(repo.revision(), meta.commit)
}

// transfer brings one blob into the cache. Bytes are written at their own offset
// of a partial file that is always a prefix of the contents, so that
// even two writers without a working lock write the same.
type transfer struct {
	*settings
	cache repoCache
	root  *os.Root
	repo  Repo
	name  string
	meta  metadata

	file *os.File  // the partial file
	hash hash.Hash // of its first done bytes
	done int64
}

// run makes blob appear, verified. locked says that no other process has its
// hands on the partial file, so that it can be kept for the next run.
func (d *transfer) run(ctx context.Context, blob string, locked bool) error {
	partial := blob + ".incomplete"
	if !locked {
		partial = blob + "." + rand.Text()[:8] + ".incomplete"
	}
	if err := d.root.MkdirAll(filepath.Dir(blob), 0o777); err != nil {
		return d.cache.failed(err)
	}
	resumed, err := d.fill(ctx, partial)
	if errors.Is(err, ErrMismatch) && resumed {
		// The partial file of an earlier run was to blame, or the server: find out which.
		d.log.Warn("an interrupted download cannot be continued, starting anew", "repo", d.repo.String(), "file", d.name, "reason", d.scrub(err.Error()))
		_, err = d.fill(ctx, partial)
	}
	if !locked {
		defer d.root.Remove(partial) // fails if all went well
	}
	if err != nil {
		return err
	}
	err = d.root.Rename(partial, blob)
	if errors.Is(err, fs.ErrNotExist) && isFile(filepath.Join(d.cache.dir(), blob)) {
		err = nil // another process without a working lock was faster
	}
	if err != nil {
		return d.cache.failed(err)
	}
	return nil
}

// fill completes and verifies the partial file, which is removed if it does not
// match. resumed says that part of it was there before.
func (d *transfer) fill(ctx context.Context, partial string) (resumed bool, err error) {
	d.file, err = d.root.OpenFile(partial, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return false, d.cache.failed(err)
	}
	defer func() {
		if closeErr := d.file.Close(); err == nil && closeErr != nil {
			err = d.cache.failed(closeErr)
		}
		if errors.Is(err, ErrMismatch) {
			_ = d.root.Remove(partial) // after Close, for Windows
		}
	}()
	if err := d.rehash(ctx); err != nil {
		return false, err
	}
	resumed = d.done > 0
	d.report()
	for attempt := 1; d.done < d.meta.size; {
		before := d.done
		err := d.receive(ctx)
		if err == nil {
			break
		}
		if !errors.Is(err, ErrUnavailable) {
			return resumed, err
		}
		if d.done > before {
			attempt = 1
		}
		if ok, waitErr := d.wait(ctx, attempt, err); waitErr != nil {
			return resumed, waitErr
		} else if !ok {
			return resumed, err
		}
		attempt++
	}
	if got := hex.EncodeToString(d.hash.Sum(nil)); got != d.meta.hash {
		what := "sha256"
		if !isSHA256(d.meta.hash) {
			what = "git blob id"
		}
		return resumed, mismatch(what, d.meta.hash, got)
	}
	// What is visible after a power failure must be complete.
	if err := d.file.Truncate(d.meta.size); err != nil {
		return resumed, d.cache.failed(err)
	}
	if err := d.file.Sync(); err != nil {
		return resumed, d.cache.failed(err)
	}
	return resumed, nil
}

func mismatch(what, want, got string) error {
	return &Error{Kind: ErrMismatch, Err: &MismatchError{What: what, Want: want, Got: got}}
}

// restart forgets all bytes.
func (d *transfer) restart() {
	d.done = 0
	if isSHA256(d.meta.hash) {
		d.hash = sha256.New()
		return
	}
	d.hash = sha1.New()
	fmt.Fprintf(d.hash, "blob %d\x00", d.meta.size) // as git hash-object
}

// rehash takes over what the partial file holds.
func (d *transfer) rehash(ctx context.Context) error {
	d.restart()
	info, err := d.file.Stat()
	if err != nil {
		return d.cache.failed(err)
	}
	if info.Size() > d.meta.size {
		return nil
	}
	buf := make([]byte, pieceSize)
	for d.done < info.Size() {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := d.file.ReadAt(buf, d.done)
		d.hash.Write(buf[:n])
		d.done += int64(n)
		if err != nil && (!errors.Is(err, io.EOF) || n == 0) {
			return d.cache.failed(err)
		}
	}
	return nil
}

// receive asks for the rest of the file at its commit, which gives a fresh
// signed URL each time, and writes what arrives. An [ErrUnavailable] is worth another try.
func (d *transfer) receive(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(stallTimeout, func() { cancel(errTimeout) })
	defer stall.Stop()

	header := http.Header{}
	if d.done > 0 {
		header.Set("Range", "bytes="+strconv.FormatInt(d.done, 10)+"-")
	}
	resp, err := d.do(ctx, http.MethodGet, d.fileURL(d.repo, d.meta.commit, d.name), header, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := d.checkResponse(resp); err != nil {
		return err
	}
	buf := make([]byte, pieceSize)
	for {
		n, readErr := resp.Body.Read(buf)
		if n > 0 {
			stall.Reset(stallTimeout)
			if err := d.write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case readErr == nil:
		case !errors.Is(readErr, io.EOF):
			return d.transportError(ctx, resp.url, readErr)
		case d.done < d.meta.size:
			return d.transportError(ctx, resp.url, io.ErrUnexpectedEOF)
		default:
			return nil
		}
	}
}

// checkResponse holds an answer to what was asked for.
func (d *transfer) checkResponse(resp *response) error {
	switch resp.StatusCode {
	case http.StatusOK:
		d.restart() // the server does not do ranges, or was not asked to
	case http.StatusPartialContent:
		if err := checkContentRange(resp.Header.Get("Content-Range"), d.done, d.meta.size); err != nil {
			return err
		}
	case http.StatusRequestedRangeNotSatisfiable:
		return mismatch("size", strconv.FormatInt(d.meta.size, 10), "at most "+strconv.FormatInt(d.done, 10))
	default:
		return d.statusError(resp, d.repo, d.name)
	}
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return bad("Content-Encoding is %.100q though none was accepted", encoding)
	}
	if n := resp.ContentLength; n >= 0 && n != d.meta.size-d.done {
		return mismatch("size", strconv.FormatInt(d.meta.size, 10), strconv.FormatInt(d.done+n, 10))
	}
	return nil
}

func (d *transfer) write(piece []byte) error {
	if int64(len(piece)) > d.meta.size-d.done {
		return mismatch("size", strconv.FormatInt(d.meta.size, 10), "more")
	}
	if _, err := d.file.WriteAt(piece, d.done); err != nil {
		return d.cache.failed(err)
	}
	d.hash.Write(piece)
	d.done += int64(len(piece))
	d.report()
	return nil
}

func (d *transfer) report() {
	if d.progress != nil {
		d.progress(Progress{Repo: d.repo, File: d.name, Done: d.done, Total: d.meta.size})
	}
}
