package peer

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/go-openelm/go-openelm/bench"
)

// LlamaBench is llama.cpp through its own benchmark program, path, which is
// started anew for every sample: it maps the file, warms up, and measures once.
// It keeps keys and values in float16 where this engine keeps float32.
func LlamaBench(path string) bench.Peer { return llamaBench{path} }

type llamaBench struct{ path string }

func (llamaBench) Name() string { return "llama.cpp" }

func (l llamaBench) Start(_ context.Context, c bench.Checkpoint, device string, threads int) (bench.PeerSession, error) {
	if c.GGUF == "" {
		return nil, fmt.Errorf("%w: it reads GGUF files", bench.ErrUnsupported)
	}
	args := []string{"-m", c.GGUF, "-r", "1", "-o", "json"}
	switch device {
	case "cpu":
		args = append(args, "-ngl", "0", "-t", strconv.Itoa(threads))
	default:
		args = append(args, "-ngl", "99")
	}
	return &llamaSession{l.path, args}, nil
}

type llamaSession struct {
	path string
	args []string
}

func (s *llamaSession) Measure(ctx context.Context, t bench.Test) (float64, error) {
	args := s.args
	switch t.Kind {
	case bench.Prefill:
		args = append(args, "-p", strconv.Itoa(t.Tokens), "-n", "0")
	case bench.Decode:
		args = append(args, "-p", "0", "-n", strconv.Itoa(t.Tokens), "-d", strconv.Itoa(t.Context))
	default:
		return 0, fmt.Errorf("%w: %s", bench.ErrUnsupported, t)
	}
	cmd := exec.CommandContext(ctx, s.path, args...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	text, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("llama-bench: %w: %s", err, lastLines(complaint.String()))
	}
	var results []struct {
		Rate float64 `json:"avg_ts"` // tokens per second
	}
	if err := json.Unmarshal(text, &results); err != nil {
		return 0, fmt.Errorf("llama-bench: %w", err)
	}
	if len(results) != 1 || results[0].Rate <= 0 {
		return 0, fmt.Errorf("llama-bench: %d results, want one with a rate: %.200s", len(results), text)
	}
	return results[0].Rate, nil
}

func (*llamaSession) Close() error { return nil }

// lastLines is the end of a program's complaints, where the reason is.
func lastLines(s string) string {
	s = strings.TrimSpace(s)
	const most = 500
	if len(s) > most {
		s = "…" + s[len(s)-most:]
	}
	return s
}
