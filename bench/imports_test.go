package bench

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestImports: programs that import bench inherit neither plotting nor, where
// there is no Metal, what makes a program dynamically linked.
func TestImports(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", ".")
	cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	list, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(string(list)) {
		for _, prefix := range []string{"github.com/ebitengine/", "gonum.org/", "github.com/spf13/", "golang.org/x/perf"} {
			if strings.HasPrefix(path, prefix) {
				t.Errorf("bench depends on %s", path)
			}
		}
	}
}
