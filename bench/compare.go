package bench

import "fmt"

// compare lists the ratios that the results allow: each result over the ones
// that differ from it in one thing.
func compare(results []Result) []Ratio {
	var list []Ratio
	for i := range results {
		for j := range results {
			a, b := &results[i], &results[j]
			if what := difference(a, b); what != "" {
				if v := ratios(a.Samples, b.Samples); len(v) > 0 {
					list = append(list, Ratio{What: what, Test: a.Test.String(), A: a.name(), B: b.name(), Value: summarize(v)})
				}
			}
		}
	}
	return append(list, normShares(results)...)
}

// normShares are the shares of a token's time that its norms would take if each
// had to wait for the one before.
func normShares(results []Result) []Ratio {
	var list []Ratio
	for i := range results {
		for j := range results {
			norms, token := &results[i], &results[j]
			if norms.Kind != NormsAlone || token.Kind != Decode || norms.Subject != token.Subject {
				continue
			}
			times := make([]float64, len(token.Samples))
			for k, rate := range token.Samples {
				times[k] = 1 / rate
			}
			list = append(list, Ratio{
				What: "norms alone over the whole token", Test: token.Test.String(), A: norms.name(), B: token.name(),
				Value: summarize(ratios(norms.Samples, times)),
			})
		}
	}
	return list
}

// difference says in what one thing a is more than b, its natural base; empty
// if they differ in more, in nothing, or the other way around.
func difference(a, b *Result) string {
	if !a.Kind.Rate() || !b.Kind.Rate() {
		return ""
	}
	sameTest := a.Test == b.Test
	sameModel := a.Model == b.Model
	sameWhere := a.Device == b.Device && a.Threads == b.Threads
	sameActivations := a.Activations == b.Activations
	sameEngine := a.Engine == b.Engine && a.Variant == b.Variant && sameActivations
	ours := a.Engine == Engine && b.Engine == Engine
	plain := ours && a.Variant == "" && b.Variant == "" && sameActivations
	switch {
	case sameModel && sameWhere && sameTest && ours && a.Variant == b.Variant && a.Activations == Rounded && b.Activations == Exact:
		return "rounded over exact activations"
	case sameModel && sameWhere && sameTest && !sameEngine:
		switch {
		case a.Engine == Engine && a.Variant == "" && b.Engine != Engine:
			return "over " + b.Engine
		case ours && a.Variant != "" && b.Variant == "" && sameActivations:
			return a.Variant + ", over fused"
		}
	case sameModel && sameWhere && plain && a.Kind == Batch && b.Kind == Decode && a.Context == b.Context:
		return fmt.Sprintf("%d sessions over one", a.Batch)
	case sameModel && sameWhere && sameEngine && a.Kind == Decode && b.Kind == Decode && a.Context > b.Context:
		return fmt.Sprintf("%d cached tokens over %d", a.Context, b.Context)
	case sameModel && sameTest && plain && a.Device == b.Device && a.Threads > b.Threads && b.Threads > 0:
		return fmt.Sprintf("%d threads over %d", a.Threads, b.Threads)
	case sameModel && sameTest && plain && a.Device != cpuName && b.Device == cpuName:
		return a.Device + " over cpu"
	case sameTest && sameWhere && plain && !sameModel && isOLMoOf(a.Model, b.Model):
		return "OLMo-shaped over OpenELM"
	}
	return ""
}

// isOLMoOf reports whether model a is the OLMo-shaped counterpart of model b.
func isOLMoOf(a, b string) bool {
	m, err := parseModel(b)
	return err == nil && m.random != nil && m.random.OLMo().String() == a
}

// name is the result's model and how it ran.
func (r *Result) name() string {
	where := r.Device
	if r.Threads > 0 {
		where = fmt.Sprintf("%s, %d threads", where, r.Threads)
	}
	return fmt.Sprintf("%s (%s, %s)", r.Model, r.Label(), where)
}
