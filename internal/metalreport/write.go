package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-openelm/go-openelm/internal/gpumodel"
)

// hostGuess is the time of the CPU, in seconds, that the GPU waits for at each
// token that it chooses itself: as MLX's, which works ahead, too, is taken to be.
const hostGuess = 0.1e-3

// shown are the chips that tables have columns for; texts say which figures are of
// all that gpumodel has.
var shown = []string{"M1 8c", "M1 Pro 16c", "M2 Max 38c", "M3 Max 40c", "M3 Ultra 80c", "M4 Pro 20c", "M4 Max 40c", "M5 10c"}

// own is the token of this project after lengths[l] others.
func (r *row) own(l int) gpumodel.Token {
	return gpumodel.FromSimulator(r.tokens[l].dispatches, r.format, hostGuess)
}

// peer is another engine's.
func (r *row) peer(l int, e gpumodel.Engine) gpumodel.Token {
	return e.Token(gpumodel.OpenELM(r.config), r.format, r.format, lengths[l])
}

// report is a document under way; the first error of writing sticks.
type report struct {
	w      io.Writer
	rows   []row
	ratios map[comparison][]gpumodel.Range
	err    error
}

// comparison is of a row after lengths[length] tokens with an engine.
type comparison struct {
	row    *row
	length int
	engine gpumodel.Engine
}

// over is how many times as fast as an engine a row is, on gpumodel.Chips.
func (r *report) over(row *row, l int, e gpumodel.Engine) []gpumodel.Range {
	key := comparison{row, l, e}
	if r.ratios[key] == nil {
		own, peer := row.own(l), row.peer(l, e)
		for _, chip := range gpumodel.Chips {
			r.ratios[key] = append(r.ratios[key], gpumodel.Ratio(chip, own, peer))
		}
	}
	return r.ratios[key]
}

func newReport(w io.Writer, rows []row) *report {
	return &report{w: w, rows: rows, ratios: map[comparison][]gpumodel.Range{}}
}

func (r *report) printf(format string, args ...any) {
	if r.err == nil {
		_, r.err = fmt.Fprintf(r.w, format, args...)
	}
}

func (r *report) line(cells ...string) { r.printf("| %s |\n", strings.Join(cells, " | ")) }

// heading begins a table, whose first columns are text.
func (r *report) heading(text int, cells ...string) {
	r.line(cells...)
	r.printf("|%s%s\n", strings.Repeat("---|", text), strings.Repeat("--:|", len(cells)-text))
}

func write(w io.Writer, rows []row) error {
	r := newReport(w, rows)
	r.printf(`# What a token costs an Apple GPU

Written by ` + "`make metal-report`" + `. No Mac was at hand. *Counts* are what the unchanged Metal kernels did on the
[simulator](../internal/metalsim/README.md), and are the same on every GPU. *Predicted* figures are the output of a model,
[gpumodel](../internal/gpumodel/doc.go), and nobody measured them.

**Model, not measurement**: it is calibrated on 33 published figures of llama.cpp and MLX on Apple chips; others, held out, are
met with a median error of 4%% (7B models 2%%, small models 9%%, at worst 21%%). No figure it was held to is of OpenELM, nor of these
kernels. Figures come as "centre [low–high]": the range is over what published figures leave open (what a core can take in, how
long memory takes to answer, what a stage costs) and over what is estimated of these kernels (registers of a lane, what attention does
before its first key, the CPU's share). A ratio is **bold** only where the model supports "faster": its range is above 1, and its
centre further from 1 than the model's worst error. Tokens are those that the GPU chooses itself, the most probable ones: nothing waits
for the CPU then. Where the CPU chooses (temperature, log-probabilities, constraints), a token takes some tenths of a millisecond more.

`)
	r.launches()
	r.traffic()
	r.issueSlots()
	r.printf(`## Predicted: tokens a second

%d cached tokens.

`, lengths[0])
	r.speeds(0, gpumodel.BF16, gpumodel.Q8_0, gpumodel.Q4_0)
	r.printf(`## Predicted: over llama.cpp

How many times as fast, both under the same assumptions, each with all matrices in the one format. llama.cpp is its graph of OpenELM
and the geometry and issue slots of its kernels (ggml d99724f2), described as counts.

`)
	for l := range lengths {
		r.table(l, gpumodel.GGML, func(r *row) bool { return r.ggml })
	}
	r.printf(`## Predicted: over MLX

The same, with MLX's launches as mlx-lm's model makes them. Its kernels were not counted: they are taken to issue what ggml's of as many bits do,
and to need a third of their time for a stage, as two published figures of MLX have it. These kernels are charged with all of it,
which is most of the difference: whether they share MLX's third, nobody has measured.

`)
	for l := range lengths {
		r.table(l, gpumodel.MLX, func(r *row) bool { return r.mlx })
	}
	r.goals()
	r.printf(`## What only a Mac can tell

- What a core takes in by itself, and how long memory takes to answer: published speeds bound them on one side only. One
  mat-vec over threadgroups × SIMD-groups on one Mac replaces both.
- What Apple's compiler makes of the kernels: registers, spills, the order of loads. The counts are of clang's.
- What a stage costs these kernels. The model gives them ggml's 4.6 µs (at 1.3 GHz), MLX's seem to need a third of it: with
  83 stages a token of the 270M, that is more than any further geometry.
- Whether the GPU lowers its clock while it waits for the CPU, what the system-level cache keeps of a 155 MB model, heat.
- Prompts: the model says nothing about them.
- 8 or 16 outputs a threadgroup, 2 or 4 SIMD-groups: the model sees one percent of difference.
`)
	return r.err
}

// launches is the geometry, which hardly depends on the format.
func (r *report) launches() {
	r.printf(`## Launches

Stages are what barriers separate. Threadgroups are of the products of layers, least and most, in bf16.

`)
	r.heading(1, "", "cached", "dispatches", "stages", "llama.cpp", "stages", "MLX", "stages", "threadgroups", "of attention")
	for i := range r.rows {
		row := &r.rows[i]
		if row.format != gpumodel.BF16 {
			continue
		}
		for l := range lengths {
			t := row.tokens[l]
			least, most, attention := 1<<30, 0, 0
			products := 0
			for _, d := range t.dispatches {
				switch {
				case isProduct(&d):
					if products++; products < 4*len(row.config.Layers)+1 { // the last ones are the logits
						least, most = min(least, d.Threadgroups), max(most, d.Threadgroups)
					}
				case strings.HasPrefix(d.Kernel, "attend_decode"):
					attention = max(attention, d.Threadgroups)
				}
			}
			ggml, mlx := row.peer(l, gpumodel.GGML), row.peer(l, gpumodel.MLX)
			r.line(row.size, fmt.Sprint(lengths[l]), fmt.Sprint(len(t.dispatches)), fmt.Sprint(t.stages()), fmt.Sprint(ggml.Dispatches()), fmt.Sprint(len(ggml.Stages)),
				fmt.Sprint(mlx.Dispatches()), fmt.Sprint(len(mlx.Stages)), fmt.Sprintf("%d–%d", least, most), fmt.Sprint(attention))
		}
	}
	r.printf("\n")
}

// traffic is bytes, of each size and format.
func (r *report) traffic() {
	r.printf(`## Bytes

What all dispatches of a token read and write, each byte counted once a dispatch, over the weights and the live KV cache, which
no implementation can avoid reading; %d cached tokens, in float16. Loads that a cache serves again are not traffic.

`, lengths[0])
	heading := []string{"format"}
	for _, size := range sizes {
		heading = append(heading, strings.ReplaceAll(size, "_", "."), "over weights and cache")
	}
	r.heading(1, heading...)
	r.byFormat(func(row *row) []string {
		return []string{fmt.Sprintf("%.1f MB", row.tokens[0].ideal/1e6), fmt.Sprintf("%.4f", row.tokens[0].bytes()/row.tokens[0].ideal)}
	})
}

// byFormat writes lines of a format each, with cells for each size.
func (r *report) byFormat(cells func(*row) []string) {
	for _, f := range formats {
		line := []string{f.peer.String()}
		for i := range r.rows {
			if r.rows[i].format == f.peer {
				line = append(line, cells(&r.rows[i])...)
			}
		}
		r.line(line...)
	}
	r.printf("\n")
}

func (r *report) issueSlots() {
	r.printf(`## Issue slots a weight

Of the loop over a row, as the simulator counts them in the optimised code of both (rows of 6,144 weights less those of 2,048): a multiply-add is
one, shifts and conversions between integer and float are four. "With a norm" includes multiplying x with the norm's weight and
summing its squares, which is another dispatch in llama.cpp.

`)
	r.heading(1, "format", "product", "with a norm", "ggml", "bytes in flight a lane")
	for _, f := range formats {
		for i := range r.rows {
			if row := &r.rows[i]; row.format == f.peer {
				ggml := "–"
				if row.ggml {
					ggml = fmt.Sprintf("%.2f", row.format.CountedSlots())
				}
				r.line(row.format.String(), fmt.Sprintf("%.2f", row.slots.plain), fmt.Sprintf("%.2f", row.slots.norm), ggml, fmt.Sprintf("%.0f", row.slots.inFlight))
				break
			}
		}
	}
	r.printf("\n")
}

func (r *report) chips(first ...string) { r.heading(len(first), append(first, shown...)...) }

func chip(name string) gpumodel.Chip {
	c, ok := gpumodel.ChipNamed(name)
	if !ok {
		panic("no chip " + name)
	}
	return c
}

func (r *report) speeds(l int, formats ...gpumodel.Format) {
	r.chips("model", "format")
	for i := range r.rows {
		for _, f := range formats {
			if row := &r.rows[i]; row.format == f {
				line := []string{row.size, row.format.String()}
				for _, name := range shown {
					line = append(line, gpumodel.Speed(chip(name), row.own(l)).String())
				}
				r.line(line...)
			}
		}
	}
	r.printf("\n")
}

// table is how this project compares with an engine.
func (r *report) table(l int, e gpumodel.Engine, with func(*row) bool) {
	r.printf("%d cached tokens:\n\n", lengths[l])
	r.chips("model", "format")
	for i := range r.rows {
		row := &r.rows[i]
		if !with(row) {
			continue
		}
		line := []string{row.size, row.format.String()}
		ratios := r.over(row, l, e)
		for i, chip := range gpumodel.Chips {
			if !slices.Contains(shown, chip.Name) {
				continue
			}
			ratio := ratios[i]
			text := ratio.String()
			if ratio.Verdict() == "faster" {
				text = "**" + text + "**"
			}
			line = append(line, text)
		}
		r.line(line...)
	}
	r.printf("\n")
}

// goals holds the ratios of all chips to what the kernels are made for: 1.2 times
// llama.cpp at 270M, or nine tenths of what bandwidth allows; as fast at 1.1B and 3B.
func (r *report) goals() {
	r.printf(`## Where it is least

Over llama.cpp, of all %d chips and all formats. "Of bandwidth" is the share of the speed that reading weights and cache at the bandwidth
which kernels reach (0.92 of what Apple states) would have. "Short" has a centre under 1.2 and is under 90%% of that.

`, len(gpumodel.Chips))
	r.heading(1, "model", "cached", "least", "chip, format", "of bandwidth", "lowest end of a range", "chip, format", "short")
	var missed []string
	for _, size := range sizes {
		size = strings.ReplaceAll(size, "_", ".")
		for l := range lengths {
			var least, lowest gpumodel.Range
			var leastAt, lowestAt string
			var leastShare float64
			all, short := 0, map[string][]string{}
			for i := range r.rows {
				row := &r.rows[i]
				if row.size != size || !row.ggml {
					continue
				}
				for j, ratio := range r.over(row, l, gpumodel.GGML) {
					chip := gpumodel.Chips[j]
					at := chip.Name + ", " + row.format.String()
					all++
					first := leastAt == "" || ratio.Central < least.Central
					if first || ratio.Central < 1.2 {
						share := gpumodel.Speed(chip, row.own(l)).Central * row.tokens[l].ideal / (gpumodel.Efficiency * chip.Bandwidth)
						if first {
							least, leastAt, leastShare = ratio, at, share
						}
						if ratio.Central < 1.2 && share < 0.9 {
							short[chip.Name] = append(short[chip.Name], row.format.String())
						}
					}
					if lowestAt == "" || ratio.Low < lowest.Low {
						lowest, lowestAt = ratio, at
					}
				}
			}
			n := 0
			for _, formats := range short {
				n += len(formats)
			}
			if l == 0 && size == "270M" {
				for _, name := range slices.Sorted(maps.Keys(short)) {
					missed = append(missed, name+": "+strings.Join(short[name], ", "))
				}
			}
			r.line(size, fmt.Sprint(lengths[l]), least.String(), leastAt, fmt.Sprintf("%.0f%%", 100*leastShare), lowest.String(), lowestAt, fmt.Sprintf("%d of %d", n, all))
		}
	}
	r.printf(`
Short of it at 270M with %d cached tokens: %s. What keeps them from bandwidth is the cost of
their stages, ggml's for each, and in formats of few bits on few cores the arithmetic of unpacking, at %d registers a lane by estimate, where
llama.cpp's kernels are taken to be free of that limit. With %d cached tokens attention is charged with its instructions here, in llama.cpp and MLX with its
bytes alone, as when the model was fitted: to this project's disadvantage, most so where cores are few.

`, lengths[0], strings.Join(missed, "; "), gpumodel.OwnRegisters, lengths[1])
}
