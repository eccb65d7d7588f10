package gnustep

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed shim/shim.c
var shim []byte

const compiler = "clang-19"

// flags say which of Objective-C's runtimes the sources are for. Libraries are named as the packages of programs have
// them: without the links that come with headers.
var flags = []string{
	"-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-fobjc-runtime=gcc", "-fblocks",
	"-Wl,--no-as-needed", "-Wl,-z,defs", "-l:libobjc.so.4", "-l:libgnustep-base.so.1.28", "-lpthread",
}

// Build compiles the shim together with Objective-C (or C) files and returns the path of the shared library. It is kept in
// the user's cache folder under a name made of the sources' contents.
func Build(sources ...string) (string, error) {
	key := sha256.New()
	fmt.Fprintln(key, compiler, flags)
	key.Write(shim)
	for _, s := range sources {
		text, err := os.ReadFile(s)
		if err != nil {
			return "", fmt.Errorf("gnustep: %w", err)
		}
		fmt.Fprintf(key, "%s %d\n%s", filepath.Base(s), len(text), text)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	root := filepath.Join(base, "gnustep-shim")
	library := filepath.Join(root, hex.EncodeToString(key.Sum(nil)[:12])+".so")
	if _, err := os.Stat(library); err == nil {
		return library, nil
	}
	if err := os.MkdirAll(root, 0o777); err != nil {
		return "", fmt.Errorf("gnustep: %w", err)
	}
	temporary, err := os.MkdirTemp(root, "build-")
	if err != nil {
		return "", fmt.Errorf("gnustep: %w", err)
	}
	defer os.RemoveAll(temporary)
	c, made := filepath.Join(temporary, "shim.c"), filepath.Join(temporary, "made.so")
	if err := os.WriteFile(c, shim, 0o666); err != nil {
		return "", fmt.Errorf("gnustep: %w", err)
	}
	args := append([]string{"-o", made, c}, sources...)
	out, err := exec.CommandContext(context.Background(), compiler, append(args, flags...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("gnustep: %s (install %s): %w\n%s", compiler, strings.Join(strings.Fields(Packages), " "), err, out)
	}
	if err := os.Rename(made, library); err != nil {
		return "", fmt.Errorf("gnustep: %w", err)
	}
	return library, nil
}
