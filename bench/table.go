package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	t := &table{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)}
	r.machineLines(w)
	if len(r.Memory) > 0 {
		fmt.Fprintln(w)
		t.row("threads", "reads GB/s", "±", "f32 GFLOP/s", "±", "with")
		for _, m := range r.Memory {
			if m.Read.N == 0 {
				continue
			}
			t.row(fmt.Sprint(m.Threads), giga(m.Read.Median), spread(m.Read), giga(m.MulAdd.Median), spread(m.MulAdd), m.Level)
		}
		t.flush()
	}
	for _, g := range r.groups() {
		s := g[0].Subject
		fmt.Fprintf(w, "\n%s: %s, %.1f M parameters, %s\n", s.Model, s.Format, float64(s.Parameters)/1e6, bytesText(float64(s.WeightBytes)))
		t.row("engine", "device", "threads", "test", "median", "±", "GB/s", "roofline", "bound")
		for i := range g {
			t.result(&g[i])
		}
		t.flush()
	}
	if len(r.Ratios) > 0 {
		fmt.Fprintln(w, "\nratios, of samples of the same repetition")
		t.row("ratio", "quartiles", "of", "test", "what")
		for _, q := range r.Ratios {
			t.row(fmt.Sprintf("%.3g", q.Value.Median), fmt.Sprintf("%.3g…%.3g", q.Value.Q1, q.Value.Q3), q.What, q.Test, q.A)
		}
		t.flush()
	}
	for _, n := range r.Notes {
		fmt.Fprintln(w, "\nnote:", n)
	}
	if r.Interrupted {
		fmt.Fprintln(w, "\nThe run was interrupted; this is what it had by then.")
	}
	return t.err
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

// table is aligned columns; the first error is kept.
type table struct {
	w   *tabwriter.Writer
	err error
}

func (t *table) row(cells ...string) {
	if _, err := fmt.Fprintln(t.w, strings.Join(cells, "\t")+"\t"); err != nil && t.err == nil {
		t.err = err
	}
}

func (t *table) flush() {
	if err := t.w.Flush(); err != nil && t.err == nil {
		t.err = err
	}
}

func (t *table) result(r *Result) {
	threads, rate, fraction, bound := "", "", "", ""
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
	t.row(r.Label(), r.Device, threads, r.Test.String(), valueText(r.Kind, r.Summary.Median), spread(r.Summary), rate, fraction, bound)
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
