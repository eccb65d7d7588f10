package bench

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	out := &writer{w: w}
	r.machineLines(out)
	if len(r.Memory) > 0 {
		fmt.Fprintln(out)
		t := table{align: "rrrrrrrrrl"}
		t.row("threads", "reads GB/s", "±", "f32 GFLOP/s", "±", "tiles GFLOP/s", "±", "loaded", "adds/cycle", "with")
		for _, m := range r.Memory {
			if m.Read.N == 0 {
				continue
			}
			t.row(fmt.Sprint(m.Threads), giga(m.Read.Median), spread(m.Read), giga(m.MulAdd.Median), spread(m.MulAdd), gigaOrNone(m.TileMulAdd), spread(m.TileMulAdd),
				loadedText(&m.Limit), addsText(&m.Limit), m.Level)
		}
		t.write(out)
	}
	for _, g := range r.groups() {
		s := g[0].Subject
		fmt.Fprintf(out, "\n%s: %s, %.1f M parameters, %s\n", s.Model, s.Format, float64(s.Parameters)/1e6, bytesText(float64(s.WeightBytes)))
		t := table{align: "llrlrrrrrlrrr"}
		t.row("engine", "device", "threads", "test", "median", "±", "best", "GB/s", "roofline", "bound", "loaded", "adds/cycle", "dispatches")
		for i := range g {
			t.result(&g[i])
		}
		t.write(out)
	}
	if len(r.Ratios) > 0 {
		fmt.Fprintln(out, "\nratios, of samples of the same repetition")
		t := table{align: "rlll"}
		t.row("ratio", "quartiles", "what", "of")
		for _, q := range r.Ratios {
			t.row(fmt.Sprintf("%.3g", q.Value.Median), fmt.Sprintf("%.3g…%.3g", q.Value.Q1, q.Value.Q3), q.What, q.Test+", "+q.A)
		}
		t.write(out)
	}
	if len(r.Memory) > 0 && r.Memory[0].AddsPerCycle.N > 0 {
		fmt.Fprintln(out, "\nloaded: the multiply-add rate with a load for each over that without; adds/cycle: instructions that a\n"+
			"core starts. A busy hyperthread beside it halves them, not the peak. Worst sample and median.")
	}
	for _, n := range r.Notes {
		fmt.Fprintln(out, "\nnote:", n)
	}
	if r.Interrupted {
		fmt.Fprintln(out, "\nThe run was interrupted; this is what it had by then.")
	}
	return out.err
}

// writer keeps the first error.
type writer struct {
	w   io.Writer
	err error
}

func (w *writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	var n int
	n, w.err = w.w.Write(p)
	return n, w.err
}

func (r *Report) machineLines(w io.Writer) {
	m := &r.Machine
	fmt.Fprintf(w, "%s, %d cores", orUnknown(m.CPU), m.Cores)
	if m.Memory > 0 {
		fmt.Fprintf(w, ", %s", bytesText(float64(m.Memory)))
	}
	fmt.Fprintf(w, "; %s/%s, %s", m.OS, m.Arch, m.Go)
	if m.Revision != "" {
		fmt.Fprintf(w, ", %.12s", m.Revision)
	}
	fmt.Fprintf(w, "\n%s, %s; load %.1f before, %.1f after; %d repetitions, interleaved\n",
		r.Start.Format(time.RFC3339), time.Duration(r.Seconds*float64(time.Second)).Round(time.Second), m.LoadBefore, m.LoadAfter, r.Settings.Repetitions)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown processor"
	}
	return s
}

// groups are the results by model, in order of appearance.
func (r *Report) groups() [][]Result {
	var order []string
	byModel := map[string][]Result{}
	for _, result := range r.Results {
		if byModel[result.Model] == nil {
			order = append(order, result.Model)
		}
		byModel[result.Model] = append(byModel[result.Model], result)
	}
	var groups [][]Result
	for _, m := range order {
		groups = append(groups, byModel[m])
	}
	return groups
}

// table is aligned columns.
type table struct {
	align string // l or r for each column
	rows  [][]string
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// write writes the rows. Columns that are empty below their heads are left out.
func (t *table) write(w io.Writer) {
	widths := make([]int, len(t.align))
	for i := range widths {
		for _, row := range t.rows[1:] {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		if widths[i] > 0 {
			widths[i] = max(widths[i], utf8.RuneCountInString(t.rows[0][i]))
		}
	}
	for _, row := range t.rows {
		var b strings.Builder
		for i, cell := range row {
			if widths[i] == 0 {
				continue
			}
			fill := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if t.align[i] == 'r' {
				cell = fill + cell
			} else {
				cell += fill
			}
			b.WriteString("  " + cell)
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

func (t *table) result(r *Result) {
	threads, rate, fraction, bound, dispatches := "", "", "", "", ""
	if r.Threads > 0 {
		threads = fmt.Sprint(r.Threads)
	}
	if r.Cost != nil && r.Kind.Rate() {
		rate = giga(r.Cost.Bytes * r.Summary.Median)
	}
	if r.Roofline != nil {
		fraction, bound = fmt.Sprintf("%.0f%%", 100*r.Roofline.Fraction.Median), r.Roofline.Bound
	}
	if r.Cost != nil && r.Kind.Unit() == "B" {
		fraction, bound = fmt.Sprintf("%.2f×", r.Summary.Median/r.Cost.Bytes), "weights+KV"
	}
	if r.PerPass != nil {
		dispatches = fmt.Sprintf("%.0f", r.PerPass.Dispatches)
	}
	loaded, adds := "", ""
	if r.Limit != nil {
		loaded, adds = loadedText(r.Limit), addsText(r.Limit)
	}
	best := r.Summary.Min
	if r.Kind.Rate() {
		best = r.Summary.Max
	}
	t.row(r.Label(), r.Device, threads, r.Test.String(), valueText(r.Kind, r.Summary.Median), spread(r.Summary),
		valueText(r.Kind, best), rate, fraction, bound, loaded, adds, dispatches)
}

// loadedText and addsText are the state, with the worst sample where it differs.
func loadedText(l *Limit) string {
	if l.Loaded.N == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f…%.0f%%", 100*l.Loaded.Min, 100*l.Loaded.Median)
}

func addsText(l *Limit) string {
	if l.AddsPerCycle.N == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f…%.1f", l.AddsPerCycle.Min, l.AddsPerCycle.Median)
}

func gigaOrNone(s Summary) string {
	if s.N == 0 {
		return ""
	}
	return giga(s.Median)
}

func valueText(k Kind, v float64) string {
	switch k.Unit() {
	case "B":
		return bytesText(v)
	case "s":
		if v < 1e-3 {
			return fmt.Sprintf("%.1f µs", 1e6*v)
		}
		return fmt.Sprintf("%.1f ms", 1e3*v)
	}
	digits := 2 // four significant ones
	for limit := 100.0; v >= limit && digits > 0; limit *= 10 {
		digits--
	}
	return fmt.Sprintf("%.*f tok/s", digits, v)
}

func giga(v float64) string { return fmt.Sprintf("%.1f", v/1e9) }

// spread is the median absolute deviation in percent of the median.
func spread(s Summary) string {
	if s.Median == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f%%", 100*s.MAD/s.Median)
}

func bytesText(v float64) string {
	if v < 1<<30 {
		return fmt.Sprintf("%.1f MiB", v/(1<<20))
	}
	return fmt.Sprintf("%.2f GiB", v/(1<<30))
}
