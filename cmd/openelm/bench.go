package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-openelm/go-openelm/bench"
	"github.com/go-openelm/go-openelm/internal/filewrite"
	"github.com/go-openelm/go-openelm/internal/peer"
	"github.com/go-openelm/go-openelm/internal/randommodel"
	"github.com/spf13/cobra"
)

// benchFlags are what the command line says beyond bench.Options.
type benchFlags struct {
	o       bench.Options
	devices []string
	rounds  []string
	format  string
	dir     string
	peers   string
	llama   string
	python  string
	clean   bool
	probe   bool
}

func benchCommand(m *modelFlags) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench [model]...",
		Short: "Measure speed and memory against the machine's limits",
		Long: `Measure speed and memory, and the machine's own limits in the same run: each rate
comes with its percentage of the roofline, which is what the limits allow.

A model is a checkpoint's path or Hugging Face name, "story" (embedded), or
random:SHAPE:FORMAT, a checkpoint with random weights that is made once and kept
(--clean removes them all). Shapes: ` + strings.Join(randommodel.Shapes(), ", ") + `.
Formats: ` + strings.Join(randommodel.Formats(), ", ") + `.

All models, thread counts, --activations and engines are measured in turn, again and again: what
slows the machine for a while slows all of them, and ratios stay true.`,
		Example: `  openelm bench
  openelm bench random:270M:bf16 random:270M:q4_0 --threads 1,2,4
  openelm bench random:1.1B:bf16 --decode 10,500,2000 --prefill 128,512
  openelm bench random:270M:bf16 --paper --peers all --out bench-report
  openelm bench --format go random:270M:bf16 > new.txt; benchstat old.txt new.txt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.probe {
				return bench.ServeProbe(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), benchDevices())
			}
			return f.run(cmd, m, args)
		},
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&f.devices, "backend", nil, "devices: cpu, metal (default: cpu, and a Mac's GPU)")
	fl.IntSliceVar(&f.o.Threads, "threads", nil, "CPU threads, such as 1,2,4 (default: all cores)")
	fl.StringSliceVar(&f.rounds, "activations", []string{exactActivations}, "exact, bf16 (rounded to bfloat16), or both side by side: exact,bf16")
	fl.IntSliceVar(&f.o.Prefill, "prefill", nil, "measure prompts of so many tokens; 0: none (default: 512)")
	fl.IntSliceVar(&f.o.Decode, "decode", nil, "measure decoding after so many tokens; 0: none (default: 10)")
	fl.IntSliceVar(&f.o.Batch, "batch", nil, "measure so many sessions decoding together; 0: none (default: 8)")
	fl.BoolVar(&f.o.Start, "start", false, "measure load, first token and memory in processes of their own")
	fl.IntVar(&f.o.Tokens, "tokens", 32, "tokens that a sample of decoding evaluates")
	fl.IntVarP(&f.o.Repetitions, "reps", "r", 5, "samples of each measurement")
	fl.IntVar(&f.o.Warmup, "warmup", 1, "turns before that do not count")
	fl.DurationVar(&f.o.MinTime, "min-time", 200*time.Millisecond, "least time of a sample")
	fl.BoolVar(&f.o.Paper, "paper", false, "the OpenELM paper's comparison: OLMo-shaped, and norms one by one")
	fl.BoolVar(&f.o.Tune, "tune", false, "first tune the GPU, as openelm tune does, and time one product over threadgroups and SIMD-groups")
	fl.StringVar(&f.peers, "peers", "none", "other engines: none, all that are found, llama.cpp or torch")
	fl.StringVar(&f.llama, "llama-bench", "", "llama.cpp's llama-bench (default: on the PATH, or from scripts/peers.sh)")
	fl.StringVar(&f.python, "python", "", "Python with PyTorch (default: from scripts/peers.sh, or python3)")
	fl.StringVar(&f.format, "format", "table", "table, go (for benchstat), json or csv, on standard output")
	fl.StringVarP(&f.dir, "out", "o", "", "also write all formats into this folder (bench/plot draws them)")
	fl.StringVar(&f.o.CacheDir, "cache", "", "folder of random checkpoints (default: in the user's cache)")
	fl.BoolVar(&f.o.Remove, "remove", false, "remove the random checkpoints this run makes")
	fl.BoolVar(&f.clean, "clean", false, "remove all random checkpoints and end")
	fl.BoolVar(&f.probe, "probe", false, "measure this process as standard input says (used by bench itself)")
	_ = fl.MarkHidden("probe") // fails for a flag that does not exist only
	return cmd
}

func (f *benchFlags) run(cmd *cobra.Command, m *modelFlags, models []string) error {
	o := f.o
	if f.clean {
		return f.cleanCache()
	}
	write, known := benchFormats[f.format]
	if !known {
		return fmt.Errorf("no format %q; there are table, go, json and csv", f.format)
	}
	if m.adapter != "" {
		return errors.New("bench takes no --adapter")
	}
	if m.name != "" {
		models = append([]string{m.name}, models...)
	}
	o.Models = models
	var err error
	if o.Devices, err = chooseDevices(f.devices); err != nil {
		return err
	}
	for _, name := range f.rounds {
		if err := checkActivations(name); err != nil {
			return err
		}
		o.Activations = append(o.Activations, bench.Activations(name))
	}
	if o.Peers, err = f.findPeers(cmd.Context()); err != nil {
		return err
	}
	if o.Warmup == 0 {
		o.Warmup = -1 // none, where zero means the default
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	o.Child = []string{program, "bench", "--probe"}
	if !m.quiet {
		show := newBenchProgress(cmd.ErrOrStderr())
		defer show.end()
		o.Progress = show.update
	}
	report, runErr := bench.Run(cmd.Context(), o)
	if report == nil {
		return runErr
	}
	if err := write(report, cmd.OutOrStdout()); err != nil {
		return errors.Join(runErr, err)
	}
	if f.dir != "" {
		if err := writeReportDir(f.dir, report); err != nil {
			return errors.Join(runErr, err)
		}
		if !m.quiet {
			fmt.Fprintf(cmd.ErrOrStderr(), "\nThe report is in %s\n", f.dir)
		}
	}
	return runErr
}

var benchFormats = map[string]func(*bench.Report, io.Writer) error{
	"table": (*bench.Report).WriteTable, "go": (*bench.Report).WriteGo, "json": (*bench.Report).WriteJSON, "csv": (*bench.Report).WriteCSV,
}

func (f *benchFlags) cleanCache() error {
	dir := f.o.CacheDir
	if dir == "" {
		var err error
		if dir, err = randommodel.CacheDir(); err != nil {
			return err
		}
	}
	return randommodel.Clean(dir)
}

// writeReportDir writes the report in every format.
func writeReportDir(dir string, report *bench.Report) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for name, write := range map[string]func(*bench.Report, io.Writer) error{
		"report.txt": (*bench.Report).WriteTable, "report.json": (*bench.Report).WriteJSON,
		"report.csv": (*bench.Report).WriteCSV, "benchmarks.txt": (*bench.Report).WriteGo,
	} {
		// Of a run that was interrupted, too: its context has ended.
		err := filewrite.Atomic(context.Background(), filepath.Join(dir, name), func(w io.Writer) error { return write(report, w) })
		if err != nil {
			return err
		}
	}
	return nil
}

// findPeers are the engines that --peers asks for, or that have a flag of their
// own. "all" takes what is there; a name that is not there is an error.
func (f *benchFlags) findPeers(ctx context.Context) ([]bench.Peer, error) {
	llama, python := f.llama, f.python
	var llamaErr, pythonErr error
	wantLlama, wantTorch := f.peers == "all" || f.peers == "llama.cpp", f.peers == "all" || f.peers == "torch"
	if !wantLlama && !wantTorch && f.peers != "none" {
		return nil, fmt.Errorf("no peers called %q; there are none, all, llama.cpp and torch", f.peers)
	}
	if llama == "" && wantLlama {
		llama, llamaErr = peer.FindLlamaBench()
	}
	if python == "" && wantTorch {
		python, pythonErr = peer.FindTorch(ctx)
	}
	if missing := errors.Join(llamaErr, pythonErr); missing != nil && (f.peers != "all" || llama == "" && python == "") {
		return nil, missing
	}
	var peers []bench.Peer
	if llama != "" {
		peers = append(peers, peer.LlamaBench(llama))
	}
	if python != "" {
		peers = append(peers, peer.Torch(python))
	}
	return peers, nil
}
