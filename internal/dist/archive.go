package main

import (
	"archive/tar"
	"archive/zip"
	"cmp"
	"compress/gzip"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"
)

func (p platform) suffix() string {
	if p.os == "windows" {
		return ".zip"
	}
	return ".tar.gz"
}

// pack writes files as one folder of an archive. Entries are sorted, dated when,
// and belong to nobody.
func (p platform) pack(w io.Writer, folder string, when time.Time, files []file) error {
	files = slices.SortedFunc(slices.Values(files), func(a, b file) int { return cmp.Compare(a.name, b.name) })
	if p.os == "windows" {
		return packZip(w, folder, when, files)
	}
	return packTar(w, folder, when, files)
}

func (f file) mode() int64 {
	if f.program {
		return 0o755
	}
	return 0o644
}

func packTar(w io.Writer, folder string, when time.Time, files []file) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	for _, f := range files {
		h := &tar.Header{Name: path.Join(folder, f.name), Mode: f.mode(), Size: int64(len(f.content)), ModTime: when, Format: tar.FormatUSTAR}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(f.content); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return z.Close()
}

func packZip(w io.Writer, folder string, when time.Time, files []file) error {
	z := zip.NewWriter(w)
	for _, f := range files {
		h := &zip.FileHeader{Name: path.Join(folder, f.name), Method: zip.Deflate, Modified: when}
		h.SetMode(fs.FileMode(f.mode()))
		e, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := e.Write(f.content); err != nil {
			return err
		}
	}
	return z.Close()
}
