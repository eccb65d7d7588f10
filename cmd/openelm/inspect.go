package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
	"github.com/go-openelm/go-openelm/story"
	"github.com/spf13/cobra"
)

func inspectCommand(m *modelFlags) *cobra.Command {
	var layers, tensors bool
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Show what a model is made of",
		Long: `Show a checkpoint's configuration, the widths of its layers, its tensors and
formats, and the memory it takes. Only headers are read.`,
		Example: `  openelm inspect
  openelm inspect --layers --tensors --model ~/models/OpenELM-270M`,
		Annotations: map[string]string{noUse: "adapter backend threads activations"},
		Args:        noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, err := m.inspect(cmd)
			if err != nil {
				return err
			}
			p := printer{tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)}
			p.summary(info)
			if layers {
				p.layers(&info.Config)
			}
			if tensors {
				p.tensors(info.Tensors)
			}
			for _, w := range info.Warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), "note:", w)
			}
			return errors.Join(p.Flush(), info.Problem)
		},
	}
	cmd.Flags().BoolVar(&layers, "layers", false, "list the widths of every layer")
	cmd.Flags().BoolVar(&tensors, "tensors", false, "list every tensor")
	return cmd
}

func (f *modelFlags) inspect(cmd *cobra.Command) (*loader.Info, error) {
	if f.name == "" {
		return loader.InspectFS(cmd.Context(), story.FS())
	}
	return loader.Inspect(cmd.Context(), f.name, f.loaderOptions(cmd))
}

type printer struct{ *tabwriter.Writer }

func (p printer) summary(i *loader.Info) {
	c := &i.Config
	row := func(name, format string, args ...any) { fmt.Fprintf(p, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	var names []string
	var total int64
	for _, f := range i.Files {
		names = append(names, f.Name)
		total += f.Size
	}
	row("files", "%s (%s, tensors named as %s does)", strings.Join(names, ", "), size(total), i.Kind)
	if i.Problem != nil { // only what the headers say is known
		row("tensors", "%d", len(i.Tensors))
		return
	}
	row("parameters", "%s", grouped(c.Parameters()))
	row("model", "%d layers, model_dim %d, head_dim %d, vocabulary %d", len(c.Layers), c.ModelDim, c.HeadDim, c.VocabSize)
	row("query heads", "%s", ranged(c.Layers, func(l openelm.LayerConfig) int { return l.QueryHeads }))
	row("key-value heads", "%s", ranged(c.Layers, func(l openelm.LayerConfig) int { return l.KVHeads }))
	row("feed-forward width", "%s", ranged(c.Layers, func(l openelm.LayerConfig) int { return l.FFNDim }))
	row("options", "q/k norm %s, gated feed-forward %s, head %s", yes(c.QKNorm), yes(c.GLU), map[bool]string{true: "tied", false: "of its own"}[c.TiedHead])
	row("context", "%d tokens, RoPE base %g", c.MaxContext, c.RopeBase)
	for n, f := range i.Formats {
		row(map[bool]string{true: "matrices"}[n == 0], "%d × %s, %s weights, %s", f.Matrices, f.Format, grouped(f.Parameters), size(f.Bytes))
	}
	tokenizer := i.Tokenizer
	if tokenizer == "" {
		tokenizer = "none in the checkpoint"
	}
	row("tokenizer", "%s", tokenizer)
	row("memory", "%s of weights (%s of them copied, the rest used where they are in the file)", size(i.WeightBytes), size(i.CopiedBytes))
	row("KV cache", "%s a token, %s for a full context", size(i.CacheBytes), size(i.CacheBytes*int64(c.MaxContext)))
}

func (p printer) layers(c *openelm.Config) {
	fmt.Fprintln(p, "\nlayer\tquery heads\tkey-value heads\tqkv width\tfeed-forward width")
	for i, l := range c.Layers {
		fmt.Fprintf(p, "%d\t%d\t%d\t%d\t%d\n", i, l.QueryHeads, l.KVHeads, c.QKVDim(i), l.FFNDim)
	}
}

func (p printer) tensors(list []loader.TensorInfo) {
	fmt.Fprintln(p, "\ntensor\ttype\tshape\tsize\toffset\tfile\t")
	for _, t := range list {
		note := ""
		switch {
		case t.Unused:
			note = "unused"
		case t.Copied:
			note = "copied"
		}
		fmt.Fprintf(p, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", t.Name, t.Type, strings.Trim(strings.ReplaceAll(fmt.Sprint(t.Shape), " ", " × "), "[]"), size(t.Size), t.Offset, t.File, note)
	}
}

// ranged is the values of all layers as the runs they come in.
func ranged(layers []openelm.LayerConfig, value func(openelm.LayerConfig) int) string {
	var runs []string
	for i := 0; i < len(layers); {
		n := 1
		for i+n < len(layers) && value(layers[i+n]) == value(layers[i]) {
			n++
		}
		run := fmt.Sprint(value(layers[i]))
		if n > 1 {
			run += fmt.Sprintf(" (×%d)", n)
		}
		runs = append(runs, run)
		i += n
	}
	return strings.Join(runs, ", ")
}

func yes(b bool) string { return map[bool]string{true: "yes", false: "no"}[b] }

// size prints a size with its unit.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	}
}

// grouped prints a number with commas.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
