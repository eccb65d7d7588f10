package main

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/go-openelm/go-openelm/internal/tuning"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/gpu"
	"github.com/spf13/cobra"
)

func tuneCommand(m *modelFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "tune",
		Short: "Find the fastest ways to launch kernels on this Mac's GPU",
		Long: `Time a few variants of each kernel on the GPU, which takes some seconds, and keep
the fastest for this GPU and version of the system, in the user's cache. Models
that are opened from then on use them. Texts never change: all variants add in
one order. Nothing else should use the GPU meanwhile.`,
		Args:        noArguments,
		Annotations: map[string]string{noUse: "model adapter backend threads activations"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := gpu.Open(gpu.Options{})
			if gpu.Unusable(err) {
				return fmt.Errorf("there is no Apple GPU to tune: %w", err)
			}
			if err != nil {
				return err
			}
			defer b.Close()
			out := cmd.OutOrStdout()
			fmt.Fprintln(out, b.Name())
			o := &gpu.TuneOptions{Progress: func(t gpu.Trial) { writeTrial(out, t) }}
			if m.quiet {
				o.Progress = nil
			}
			t, err := b.Tune(cmd.Context(), o)
			if err != nil {
				return err
			}
			path, err := tuning.Save(cmd.Context(), b, t)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "kept in %s\n", path)
			return nil
		},
	}
}

// writeTrial writes a line: what each variant took, the chosen one marked.
func writeTrial(w io.Writer, t gpu.Trial) {
	fmt.Fprintf(w, "%-8s %-32s", t.Kernel, t.Launch)
	for i, v := range t.Variants {
		mark := " "
		if i == t.Chosen {
			mark = "*"
		}
		fmt.Fprintf(w, "  %s%s %v", mark, v.Name, v.Time.Round(100*time.Nanosecond))
	}
	fmt.Fprintln(w)
}

// openGPU opens the GPU, tuned if it was. log may be nil.
func openGPU(log *slog.Logger) (kernels.Backend, error) {
	b, err := gpu.Open(gpu.Options{})
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	tuning.Use(b, log)
	return b, nil
}
