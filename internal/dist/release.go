package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-openelm/go-openelm/internal/filewrite"
)

// release is what archives are named and stamped with.
type release struct {
	version string // v1.2.3, or a pseudo-version where no tag names the commit
	commit  string
	time    time.Time // of the commit, or SOURCE_DATE_EPOCH: what files in archives are dated
}

// checkout asks git what is released.
func checkout(ctx context.Context, src string) (release, error) {
	var failed error
	git := func(args ...string) string {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", src}, args...)...).Output()
		if err != nil && failed == nil {
			failed = fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
			if e, ok := err.(*exec.ExitError); ok {
				failed = fmt.Errorf("%w: %s", failed, strings.TrimSpace(string(e.Stderr)))
			}
		}
		return strings.TrimSpace(string(out))
	}
	r := release{commit: git("rev-parse", "HEAD")}
	epoch := cmp.Or(os.Getenv("SOURCE_DATE_EPOCH"), git("log", "-1", "--format=%ct"))
	tags := strings.Fields(git("tag", "--points-at", "HEAD", "--sort=-version:refname", "v[0-9]*"))
	changes := git("status", "--porcelain", "--untracked-files=normal") // a new file is built in, too
	if failed != nil {
		return r, failed
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return r, fmt.Errorf("SOURCE_DATE_EPOCH is %q, which is no number of seconds", epoch)
	}
	r.time = time.Unix(seconds, 0).UTC()
	if len(tags) > 0 {
		r.version = tags[0]
	} else {
		r.version = "v0.0.0-" + r.time.Format("20060102150405") + "-" + r.commit[:12]
	}
	if changes != "" {
		r.version += "+dirty"
		r.commit += " with changes"
	}
	return r, nil
}

// write builds src for all platforms and writes archives, checksums and the formula
// to out.
func (r release) write(ctx context.Context, src, out string) error {
	formula, err := os.ReadFile(filepath.Join(src, "Formula", "openelm.rb"))
	if err != nil {
		return err
	}
	sums := map[string]string{}
	var list strings.Builder
	for _, p := range platforms {
		name, sum, err := r.archive(ctx, src, out, p)
		if err != nil {
			return err
		}
		sums[name] = sum
		fmt.Fprintf(&list, "%s  %s\n", sum, name)
		fmt.Println(filepath.Join(out, name))
	}
	text, err := r.formula(string(formula), sums)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"checksums.txt": list.String(), "openelm.rb": text} {
		if err := filewrite.Atomic(ctx, filepath.Join(out, name), func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
			return err
		}
	}
	return nil
}

// archive builds src for p, and writes it to out under a name with a SHA-256 sum.
func (r release) archive(ctx context.Context, src, out string, p platform) (name, sum string, err error) {
	files, err := r.build(ctx, src, p)
	if err != nil {
		return "", "", err
	}
	if err := os.MkdirAll(out, 0o777); err != nil {
		return "", "", err
	}
	name = r.archiveName(p)
	hash := sha256.New()
	err = filewrite.Atomic(ctx, filepath.Join(out, name), func(w io.Writer) error {
		return p.pack(io.MultiWriter(w, hash), r.folder(p), r.time, files)
	})
	return name, hex.EncodeToString(hash.Sum(nil)), err
}

// number is the version without its v, as file names and Homebrew have it.
func (r release) number() string { return strings.TrimPrefix(r.version, "v") }

// folder is the one that an archive holds.
func (r release) folder(p platform) string {
	return fmt.Sprintf("openelm-%s-%s-%s", r.number(), p.os, p.arch)
}

func (r release) archiveName(p platform) string { return r.folder(p) + p.suffix() }
