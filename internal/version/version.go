// Package version says which version of the project a program was built from.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// What a release is built with:
//
//	-ldflags "-X github.com/go-openelm/go-openelm/internal/version.version=v1.2.3
//	          -X github.com/go-openelm/go-openelm/internal/version.commit=0123abc"
//
// Without, the Go command's own record counts.
var version, commit string

// Version is a release's tag or a commit's pseudo-version, "(devel)" if neither is
// known.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// Commit is the commit of the source, " with changes" behind it if files differed,
// and empty if it is not known.
func Commit() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	var revision, changes string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changes = " with changes"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + changes
}

// Line is what --version prints behind a program's name.
func Line() string {
	line := Version()
	if c := Commit(); c != "" {
		line += ", commit " + c
	}
	return fmt.Sprintf("%s, %s, %s/%s", line, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
