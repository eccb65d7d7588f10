// Metalreport counts, on the Metal simulator, what one token of each OpenELM
// model costs a GPU, and writes docs/metal-report.md with a picture.
//
//	make metal-report
//
// The figures are counts (dispatches, barriers, threadgroups, bytes), which are
// the same on every GPU; no speed is measured or claimed.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-openelm/go-openelm/internal/checkpoint"
	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/gpu"
	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/openelm"
)

// cached is how many tokens are in the KV cache before the one that is counted.
const cached = 64

var sizes = []string{"270M", "450M", "1_1B", "3B"}

var layouts = []struct {
	name string
	kernels.Layout
}{
	{"bf16", kernels.Layout{Format: kernels.BF16}},
	{"Q8_0", kernels.Layout{Format: kernels.Q8_0}},
	{"Q4_0", kernels.Layout{Format: kernels.Q4_0}},
	{"MLX 4-bit, group 64", kernels.Layout{Format: kernels.Affine4, Group: 64, ScaleFormat: kernels.F16}},
}

func main() {
	configs := flag.String("configs", "testdata/configs", "folder of the models' config.json files")
	out := flag.String("out", "docs", "folder for metal-report.md and img/metal-report.png and .svg")
	only := flag.String("only", "", "count this size only, and print it instead")
	flag.Parse()
	if err := run(*configs, *out, *only); err != nil {
		log.Fatal("metalreport: ", err)
	}
}

func run(configs, out, only string) error {
	sim, err := metalsim.Open()
	if err != nil {
		return err
	}
	if !sim.Simulated() {
		return fmt.Errorf("counting needs the simulator, which runs on Linux")
	}
	sim.Configure("mode", "count")
	b, err := gpu.Open(gpu.Options{})
	if err != nil {
		return err
	}
	defer b.Close()
	var rows []row
	for _, size := range sizes {
		if only != "" && size != only {
			continue
		}
		text, err := os.ReadFile(filepath.Join(configs, size+".json"))
		if err != nil {
			return err
		}
		c, err := loader.ParseConfig(text)
		if err != nil {
			return err
		}
		for _, l := range layouts {
			r, err := count(sim, b, c, l.Layout)
			if err == nil {
				ends := *c // the embedding, the logits and the first layer
				ends.Layers = c.Layers[:1]
				r.ends, err = count(sim, b, &ends, l.Layout)
			}
			if err != nil {
				return fmt.Errorf("%s %s: %w", size, l.name, err)
			}
			r.size, r.format = strings.ReplaceAll(size, "_", "."), l.name
			fmt.Fprintf(os.Stderr, "%s %s: %d dispatches\n", size, l.name, r.dispatches)
			rows = append(rows, *r)
		}
	}
	if only != "" {
		return writeTable(os.Stdout, rows)
	}
	if err := writeReport(filepath.Join(out, "metal-report.md"), rows); err != nil {
		return err
	}
	return draw(filepath.Join(out, "img"), rows)
}

// row is the counts of one model and format.
type row struct {
	size, format string
	config       *openelm.Config

	dispatches, barriers, threadgroups uint64
	unique, requested                  float64 // bytes read and written
	ideal                              float64 // bytes of weights and live KV cache
	byKernel                           map[string]metalsim.KernelTotals

	ends *row // the same of the model's first layer alone
}

// count runs one token after cached others.
func count(sim *metalsim.Simulator, b kernels.Backend, c *openelm.Config, l kernels.Layout) (*row, error) {
	m, weights, err := checkpoint.Zeros(b, c, l)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	s, err := m.NewSession(&openelm.SessionOptions{Capacity: 2 * cached})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	ctx := context.Background()
	sim.Configure("execute", "0") // what is cached does not matter
	if err := s.Append(ctx, make([]int32, cached)...); err != nil {
		return nil, err
	}
	sim.Configure("execute", "1")
	sim.Reset()
	if err := s.Append(ctx, 1); err != nil {
		return nil, err
	}
	t := sim.Counters()
	args := t.Labels["setBytes"] // arguments travel with the commands
	return &row{
		config: c, dispatches: t.Dispatches, barriers: t.MemoryBarriers, threadgroups: t.Threadgroups,
		unique:    float64(t.Bytes.UniqueRead + t.Bytes.UniqueWritten - args.UniqueRead),
		requested: float64(t.Bytes.Read + t.Bytes.Written - args.Read),
		ideal:     float64(weights) + float64(cached+1)*float64(c.CacheBytes()),
		byKernel:  t.Kernels,
	}, nil
}
