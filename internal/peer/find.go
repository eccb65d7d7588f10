package peer

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/go-openelm/go-openelm/bench"
	"github.com/go-openelm/go-openelm/internal/randommodel"
)

// FindLlamaBench is the path of llama.cpp's llama-bench: on the PATH, or where
// scripts/peers.sh puts it in the default cache. The error says how to get it.
func FindLlamaBench() (string, error) {
	if path, err := exec.LookPath("llama-bench"); err == nil {
		return path, nil
	}
	if path := peerFile("llama-bench"); path != "" {
		return path, nil
	}
	return "", fmt.Errorf("%w: no llama-bench on the PATH; scripts/peers.sh builds one", bench.ErrOptions)
}

// FindTorch is the path of a Python interpreter that has PyTorch: the one that
// scripts/peers.sh makes, or python3. The error says how to get it.
func FindTorch(ctx context.Context) (string, error) {
	bin := filepath.Join("torch", "bin", "python")
	if runtime.GOOS == "windows" {
		bin = filepath.Join("torch", "Scripts", "python.exe")
	}
	if path := peerFile(bin); path != "" {
		return path, nil
	}
	if path, err := exec.LookPath("python3"); err == nil {
		find := "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
		if exec.CommandContext(ctx, path, "-c", find).Run() == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: no Python with PyTorch; scripts/peers.sh makes one", bench.ErrOptions)
}

// peerFile is the path of a file in the peers' folder, if it is there.
func peerFile(name string) string {
	dir, err := randommodel.CacheDir()
	if err != nil {
		return ""
	}
	path := filepath.Join(dir, "peers", name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}
