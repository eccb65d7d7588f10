package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
)

// TestMain lets this test binary stand in for the program that bench starts.
func TestMain(m *testing.M) {
	switch os.Getenv("BENCH_TEST_ACT_AS") {
	case "":
		os.Exit(m.Run())
	case "probe":
		if err := ServeProbe(context.Background(), os.Stdin, os.Stdout, []Device{CPU()}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "a program that hangs":
		select {}
	}
}

// actAs returns the path of a program that acts as name.
func actAs(t *testing.T, name string) string {
	t.Helper()
	t.Setenv("BENCH_TEST_ACT_AS", name)
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestProbeEnds: a probe that hangs ends with the context.
func TestProbeEnds(t *testing.T) {
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	path := actAs(t, "a program that hangs")
	done := make(chan error, 1)
	go func() {
		_, _, err := probe(ctx, []string{path}, probeRequest{})
		done <- err
	}()
	cancel(gone)
	if err := <-done; !errors.Is(err, gone) {
		t.Errorf("%v, want the context's cause", err)
	}
}
