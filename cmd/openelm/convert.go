package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/convert"
	"github.com/go-openelm/go-openelm/story"
	"github.com/spf13/cobra"
)

func convertCommand(m *modelFlags) *cobra.Command {
	var to, out, calibrate string
	var force bool
	cmd := &cobra.Command{
		Use:   "convert",
		Short: "Write a model in another format",
		Long: `Write a model in another format: safetensors for transformers, MLX's for mlx-lm,
GGUF for llama.cpp. With --adapter the adapter becomes part of the weights. The
tokenizer and the configuration go with them.

Formats, the largest files of each kind first:
` + formatLines() + `
MLX's take a group other than 64 and a type of the scales, as in mlx-4-g32-bf16.
"openelm perplexity" tells what a format costs in quality.`,
		Example: `  openelm convert --model apple/OpenELM-1_1B --to gguf-q4_k_m --out OpenELM-1_1B-Q4_K_M.gguf
  openelm convert --model apple/OpenELM-270M --adapter my-lora --to mlx-4 --out OpenELM-270M-mine
  openelm convert --model f16.gguf --to q4_k_m --calibrate text.txt --out q4_k_m.gguf`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" || out == "" {
				return errors.New("--to and --out are needed: the format, and the place of the new model")
			}
			format, err := convert.ParseFormat(to)
			if err != nil {
				return err
			}
			if calibrate != "" && !format.UsesImportance() {
				return fmt.Errorf("--calibrate is for formats whose matrices are of a K type, and %v is none", format)
			}
			o := &convert.Options{Format: format, Force: force}
			if o.Sources, o.Beside, err = m.origin(cmd); err != nil {
				return err
			}
			if err := o.CheckPlace(out); err != nil {
				return withForce(err)
			}
			var text string
			if calibrate != "" {
				if text, err = readTextFile(cmd, calibrate); err != nil {
					return err
				}
			}
			model, err := m.open(cmd)
			if errors.Is(err, loader.ErrNoTokenizer) && calibrate == "" { // weights can do without; convert warns
				bare := *m
				bare.bare = true
				model, err = bare.open(cmd)
			}
			if err != nil {
				return err
			}
			defer model.Close()
			progress := newStepProgress(cmd.ErrOrStderr(), m.quiet)
			defer progress.end()
			if calibrate != "" {
				tokens, err := model.Encode(text)
				if err != nil {
					return err
				}
				o.Importance, err = convert.Calibrate(cmd.Context(), model.Model, tokens, func(done, total int) { progress.update("calibrating", int64(done), int64(total)) })
				if err != nil {
					return err
				}
			}
			o.Logger = m.loaderOptions(cmd).Logger
			o.Progress = func(p convert.Progress) { progress.update("converting", p.Done, p.Total) }
			if err := convert.Write(cmd.Context(), out, model.Model, o); err != nil {
				return withForce(err)
			}
			progress.end()
			n, err := sizeOf(out)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %v, %s\n", out, format, size(n))
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&to, "to", "", "the new model's format")
	fl.StringVarP(&out, "out", "o", "", "the new model: a folder or, for GGUF, a file")
	fl.BoolVar(&force, "force", false, "replace what is there, unless it is the model that is converted")
	fl.StringVar(&calibrate, "calibrate", "", "text file that shows what the K formats should keep most of")
	return cmd
}

// formatLines lists the formats, each kind on a line.
func formatLines() string {
	var lines []string
	last := ""
	for _, name := range convert.Names() {
		if kind, _, _ := strings.Cut(name, "-"); kind != last {
			last = kind
			lines = append(lines, "  "+name)
			continue
		}
		lines[len(lines)-1] += ", " + name
	}
	return strings.Join(lines, "\n")
}

// withForce adds what a person can do about a place that is taken.
func withForce(err error) error {
	if errors.Is(err, convert.ErrExists) {
		return fmt.Errorf("%w (--force replaces a model that was converted before)", err)
	}
	return err
}

// origin is the files of the model, and of the adapter, and the folder they are in.
func (f *modelFlags) origin(cmd *cobra.Command) (files []string, beside fs.FS, err error) {
	if f.name == "" {
		return nil, story.FS(), nil
	}
	info, err := loader.Inspect(cmd.Context(), f.name, f.loaderOptions(cmd))
	if err != nil {
		return nil, nil, err
	}
	for _, file := range info.Files {
		files = append(files, file.Name)
	}
	if info.Kind != "GGUF" && len(files) > 0 {
		beside = os.DirFS(filepath.Dir(files[0]))
	}
	if f.adapter != "" {
		files = append(files, f.adapter) // where it is a path
	}
	return files, beside, nil
}

// sizeOf is the size of a file, or of the files in a folder.
func sizeOf(path string) (n int64, err error) {
	err = filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}
