package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/bench"
)

// TestMain lets this test binary stand in for llama-bench and Python.
func TestMain(m *testing.M) {
	switch os.Getenv("PEER_TEST_ACT_AS") {
	case "":
		os.Exit(m.Run())
	case "llama-bench":
		fmt.Printf(`[{"build_commit": "x", "avg_ts": %d.5, "samples_ts": [1]}]`, len(os.Args))
	case "llama-bench without a result":
		fmt.Println("[]")
	case "python":
		fmt.Println("ready 2.5")
		for s := bufio.NewScanner(os.Stdin); s.Scan(); {
			fmt.Println(len(s.Text()))
		}
	case "a program that fails":
		io.WriteString(os.Stderr, "out of luck\n")
		os.Exit(3)
	case "a program that hangs":
		select {}
	}
}

// actAs returns the path of a program that acts as name.
func actAs(t *testing.T, name string) string {
	t.Helper()
	t.Setenv("PEER_TEST_ACT_AS", name)
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var someCheckpoint = bench.Checkpoint{Safetensors: "dir", GGUF: "file"}

func TestLlamaBench(t *testing.T) {
	s, err := LlamaBench(actAs(t, "llama-bench")).Start(t.Context(), someCheckpoint, "cpu", 2)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// The rate is the number of arguments: -m FILE -r 1 -o json -ngl 0 -t 2, and
	// the test's own -p and -n, with -d for the context.
	for test, want := range map[bench.Test]float64{
		{Kind: bench.Prefill, Tokens: 512}:             15.5,
		{Kind: bench.Decode, Tokens: 32, Context: 100}: 17.5,
	} {
		got, err := s.Measure(t.Context(), test)
		if err != nil || got != want {
			t.Errorf("%s: %g, %v; want %g", test, got, err, want)
		}
	}
	if _, err := s.Measure(t.Context(), bench.Test{Kind: bench.Batch}); !errors.Is(err, bench.ErrUnsupported) {
		t.Errorf("a batch: %v", err)
	}
}

func TestTorch(t *testing.T) {
	s, err := Torch(actAs(t, "python")).Start(t.Context(), someCheckpoint, "cpu", 2)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Measure(t.Context(), bench.Test{Kind: bench.Decode, Tokens: 32, Context: 10})
	if want := float64(len("decode 32 10")); err != nil || got != want {
		t.Errorf("%g, %v; want %g", got, err, want)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestPeersFail(t *testing.T) {
	path := actAs(t, "a program that fails")
	if _, err := Torch(path).Start(t.Context(), someCheckpoint, "cpu", 1); err == nil || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("torch: %v, want what the program said", err)
	}
	s, err := LlamaBench(path).Start(t.Context(), someCheckpoint, "cpu", 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Measure(t.Context(), bench.Test{Kind: bench.Decode, Tokens: 1}); err == nil || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("llama-bench: %v, want what the program said", err)
	}
	s, err = LlamaBench(actAs(t, "llama-bench without a result")).Start(t.Context(), someCheckpoint, "cpu", 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Measure(t.Context(), bench.Test{Kind: bench.Decode, Tokens: 1}); err == nil {
		t.Error("llama-bench: no error for no result")
	}
}

func TestPeersNeedTheirFormat(t *testing.T) {
	if _, err := LlamaBench("x").Start(t.Context(), bench.Checkpoint{Safetensors: "dir"}, "cpu", 1); !errors.Is(err, bench.ErrUnsupported) {
		t.Errorf("llama-bench without GGUF: %v", err)
	}
	if _, err := Torch("x").Start(t.Context(), bench.Checkpoint{GGUF: "file"}, "cpu", 1); !errors.Is(err, bench.ErrUnsupported) {
		t.Errorf("torch without safetensors: %v", err)
	}
}

// TestPeersEnd: a peer that hangs ends with the context.
func TestPeersEnd(t *testing.T) {
	path := actAs(t, "a program that hangs")
	for name, measure := range map[string]func(ctx context.Context) error{
		"torch": func(ctx context.Context) error {
			_, err := Torch(path).Start(ctx, someCheckpoint, "cpu", 1)
			return err
		},
		"llama-bench": func(ctx context.Context) error {
			s, err := LlamaBench(path).Start(ctx, someCheckpoint, "cpu", 1)
			if err != nil {
				return err
			}
			_, err = s.Measure(ctx, bench.Test{Kind: bench.Decode, Tokens: 1})
			return err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- measure(ctx) }()
		cancel()
		if err := <-done; err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
