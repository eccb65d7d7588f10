package peer

import (
	"bufio"
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/go-openelm/go-openelm/bench"
)

//go:embed torch_peer.py
var torchProgram string

// Torch is PyTorch in eager mode, in a process of python, an interpreter that
// has it (2.5 or newer). The model is written in plain PyTorch, with its fused
// rms_norm and scaled_dot_product_attention; keys and values have the weights'
// type.
func Torch(python string) bench.Peer { return torchPeer{python} }

type torchPeer struct{ python string }

func (torchPeer) Name() string { return "PyTorch" }

func (p torchPeer) Start(ctx context.Context, c bench.Checkpoint, device string, threads int) (bench.PeerSession, error) {
	if c.Safetensors == "" {
		return nil, fmt.Errorf("%w: it reads safetensors with float weights", bench.ErrUnsupported)
	}
	if device != "cpu" {
		device = "mps"
	}
	s := &torchSession{}
	s.cmd = exec.CommandContext(ctx, p.python, "-c", torchProgram, c.Safetensors, strconv.Itoa(threads), device)
	s.cmd.Stderr = &s.complaint
	s.cmd.Env = append(os.Environ(), "PYTHONUNBUFFERED=1")
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := s.answer()
	if err == nil && !strings.HasPrefix(line, "ready") {
		err = fmt.Errorf("torch: it said %q", line)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

type torchSession struct {
	cmd       *exec.Cmd
	in        io.WriteCloser
	out       *bufio.Reader
	complaint strings.Builder
}

func (s *torchSession) Measure(_ context.Context, t bench.Test) (float64, error) {
	switch t.Kind {
	case bench.Prefill, bench.Decode:
	default:
		return 0, fmt.Errorf("%w: %s", bench.ErrUnsupported, t)
	}
	if _, err := fmt.Fprintf(s.in, "%s %d %d\n", t.Kind, t.Tokens, t.Context); err != nil {
		return 0, s.failure(err)
	}
	line, err := s.answer()
	if err != nil {
		return 0, err
	}
	rate, err := strconv.ParseFloat(line, 64)
	if err != nil || !(rate > 0) {
		return 0, fmt.Errorf("torch: it said %q, want a rate", line)
	}
	return rate, nil
}

// answer waits for a line. The process ends with the context it was started
// with, and so does the wait.
func (s *torchSession) answer() (string, error) {
	line, err := s.out.ReadString('\n')
	if err != nil {
		return "", s.failure(err)
	}
	return strings.TrimSpace(line), nil
}

// failure says why the process does not answer, once it has ended.
func (s *torchSession) failure(err error) error {
	s.in.Close()
	s.cmd.Wait() // its complaints say more than its exit status
	return fmt.Errorf("torch: %w: %s", err, lastLines(s.complaint.String()))
}

// Close ends the process, which ends at the end of its input.
func (s *torchSession) Close() error {
	s.in.Close()
	return s.cmd.Wait()
}
