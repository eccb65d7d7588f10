package version

import (
	"runtime"
	"strings"
	"testing"
)

// TestLine sets what -ldflags set; the archives' test runs a program built so.
func TestLine(t *testing.T) {
	defer func(v, c string) { version, commit = v, c }(version, commit)
	version, commit = "", ""
	if v := Version(); v == "" {
		t.Error("no version")
	}
	where := ", " + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH
	if l := Line(); !strings.HasPrefix(l, Version()) || !strings.HasSuffix(l, where) {
		t.Errorf("line %q", l)
	}
	version, commit = "v1.2.3", "abc with changes"
	if l, want := Line(), "v1.2.3, commit abc with changes"+where; l != want {
		t.Errorf("line %q, want %q", l, want)
	}
}
