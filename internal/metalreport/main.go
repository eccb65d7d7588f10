// Metalreport runs a token of each OpenELM model on the Metal simulator, in each
// weight format, and writes docs/metal-report.md: what the kernels ask of a GPU,
// and what gpumodel makes of it beside llama.cpp and MLX.
//
//	make metal-report
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-openelm/go-openelm/internal/gpumodel"
	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

// lengths are numbers of tokens in the KV cache, which is float16 as llama.cpp's and
// MLX's.
var lengths = [...]int{64, 1000}

var sizes = []string{"270M", "450M", "1_1B", "3B"}

// formats are those of the report. peer is the format of llama.cpp or MLX that is
// compared; of MLX there are those that mlx-lm converts to.
var formats = []struct {
	kernels.Layout
	peer      gpumodel.Format
	ggml, mlx bool
}{
	{kernels.Layout{Format: kernels.F32}, gpumodel.F32, true, false},
	{kernels.Layout{Format: kernels.F16}, gpumodel.F16, true, true},
	{kernels.Layout{Format: kernels.BF16}, gpumodel.BF16, true, true},
	{kernels.Layout{Format: kernels.Q8_0}, gpumodel.Q8_0, true, false},
	{kernels.Layout{Format: kernels.Q6_K}, gpumodel.Q6_K, true, false},
	{kernels.Layout{Format: kernels.Q5_1}, gpumodel.Q5_1, true, false},
	{kernels.Layout{Format: kernels.Q5_0}, gpumodel.Q5_0, true, false},
	{kernels.Layout{Format: kernels.Q5_K}, gpumodel.Q5_K, true, false},
	{kernels.Layout{Format: kernels.Q4_1}, gpumodel.Q4_1, true, false},
	{kernels.Layout{Format: kernels.Q4_0}, gpumodel.Q4_0, true, false},
	{kernels.Layout{Format: kernels.Q4_K}, gpumodel.Q4_K, true, false},
	{kernels.Layout{Format: kernels.IQ4_NL}, gpumodel.IQ4_NL, true, false},
	{kernels.Layout{Format: kernels.IQ4_XS}, gpumodel.IQ4_XS, true, false},
	{kernels.Layout{Format: kernels.Q3_K}, gpumodel.Q3_K, true, false},
	{kernels.Layout{Format: kernels.Q2_K}, gpumodel.Q2_K, true, false},
	{kernels.Layout{Format: kernels.Affine8, Group: 64, ScaleFormat: kernels.F16}, gpumodel.Affine8, false, true},
	{kernels.Layout{Format: kernels.Affine4, Group: 64, ScaleFormat: kernels.F16}, gpumodel.Affine4, false, true},
}

func main() {
	configs := flag.String("configs", "testdata/configs", "folder of the models' config.json files")
	out := flag.String("out", "docs/metal-report.md", "file to write")
	flag.Parse()
	if err := run(*configs, *out); err != nil {
		log.Fatal("metalreport: ", err)
	}
}

func run(configs, out string) error {
	c, err := newCounter()
	if err != nil {
		return err
	}
	defer c.Close()
	var rows []row
	for _, size := range sizes {
		config, err := readConfig(configs, size)
		if err != nil {
			return err
		}
		more, err := c.rows(size, config)
		if err != nil {
			return fmt.Errorf("%s: %w", size, err)
		}
		rows = append(rows, more...)
		fmt.Fprintln(os.Stderr, size)
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := write(f, rows); err != nil {
		return err
	}
	return f.Close()
}

func readConfig(dir, size string) (*openelm.Config, error) {
	text, err := os.ReadFile(filepath.Join(dir, size+".json"))
	if err != nil {
		return nil, err
	}
	return loader.ParseConfig(text)
}

// row is a model in a format.
type row struct {
	size      string
	config    *openelm.Config
	format    gpumodel.Format
	ggml, mlx bool
	tokens    [len(lengths)]tokenCounts
	slots     slots
}

// rows counts a model in all formats; attention does not depend on them.
func (c *counter) rows(size string, config *openelm.Config) ([]row, error) {
	var attention [len(lengths)]map[heads][]metalsim.Dispatch
	for i, l := range lengths {
		var err error
		if attention[i], err = c.attention(config, formats[0].Layout, l); err != nil {
			return nil, err
		}
	}
	var rows []row
	for _, f := range formats {
		r := row{size: strings.ReplaceAll(size, "_", "."), config: config, format: f.peer, ggml: f.ggml, mlx: f.mlx}
		for i, l := range lengths {
			var err error
			if r.tokens[i], err = c.token(config, f.Layout, l, attention[i]); err != nil {
				return nil, fmt.Errorf("%v: %w", f.peer, err)
			}
		}
		var err error
		if r.slots, err = c.slots(f.Layout); err != nil {
			return nil, fmt.Errorf("%v: %w", f.peer, err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}
