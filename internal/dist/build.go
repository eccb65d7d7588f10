package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const versionPackage = "github.com/go-openelm/go-openelm/internal/version"

// programs are those of an archive: the folder of the module, the package in it.
var programs = []struct{ name, module, pkg string }{
	{"openelm", ".", "./cmd/openelm"},
	{"openelm-menubar", "examples/menubar", "."},
}

// documents go into every archive.
var documents = []string{"LICENSE", "README.md"}

type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "-" + p.arch }

// file is one of an archive.
type file struct {
	name    string
	content []byte
	program bool
}

// build returns what an archive holds.
func (r release) build(ctx context.Context, src string, p platform) ([]file, error) {
	work, err := os.MkdirTemp("", "openelm-dist-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	var files []file
	for _, name := range documents {
		text, err := os.ReadFile(filepath.Join(src, name))
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: name, content: text})
	}
	for _, program := range programs {
		name := program.name
		if p.os == "windows" {
			name += ".exe"
		}
		target := filepath.Join(work, name)
		stamp := fmt.Sprintf("-s -w -X '%s.version=%s' -X '%s.commit=%s'", versionPackage, r.version, versionPackage, r.commit)
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", stamp, "-o", target, program.pkg)
		cmd.Dir = filepath.Join(src, program.module)
		cmd.Env = environment(p)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("%s for %s: %w\n%s", program.name, p, err, errs.Bytes())
		}
		content, err := os.ReadFile(target)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, content, true})
	}
	return files, nil
}

// environment is the one of a build: nothing of the builder's changes the result.
func environment(p platform) []string {
	var env []string
	for _, v := range os.Environ() {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "GOFLAGS", "GOEXPERIMENT", "GOFIPS140", "GODEBUG", "GOWORK", "GOAMD64", "GOARM64":
		default:
			env = append(env, v)
		}
	}
	return append(env, "GOENV=off", "GOWORK=off", "CGO_ENABLED=0", "GOOS="+p.os, "GOARCH="+p.arch)
}
