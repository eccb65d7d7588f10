package gpumodel

import (
	"fmt"
	"math"
)

// Range is an estimate and how far it moves over what published figures leave open.
type Range struct {
	Low, Central, High float64
}

// String gives all three, with three digits.
func (r Range) String() string {
	return fmt.Sprintf("%s [%s–%s]", digits(r.Central), digits(r.Low), digits(r.High))
}

// digits writes v with three significant digits and no exponent.
func digits(v float64) string {
	decimals := 0
	if v > 0 && v < 100 {
		decimals = 2 - int(math.Floor(math.Log10(v)))
	}
	return fmt.Sprintf("%.*f", min(decimals, 6), v)
}

// WorstError is the largest error of the model for a held-out figure: a small model with 4-bit weights on an M2 Ultra.
const WorstError = 0.206

// Verdict says in words what a ratio of two speeds supports.
func (r Range) Verdict() string {
	switch {
	case r.Low > 1 && r.Central > 1+WorstError:
		return "faster"
	case r.High < 1 && r.Central < 1-WorstError:
		return "slower"
	}
	return "not told apart"
}

// guess is how far estimates are taken to be off: factors of what a Token and its dispatches say.
type guess struct{ time, registers float64 }

var guesses = []guess{{1. / 3, 0.5}, {1, 1}, {5. / 3, 1.5}}

// open are the parameters that published figures bound only, in all combinations, the central one first.
func open(visit func(p parameters, g guess)) {
	visit(fitted, guess{1, 1})
	for _, port := range []float64{14, 18, 32} {
		for _, latency := range []float64{0.3e-6, 0.5e-6, 0.8e-6} {
			for _, start := range []float64{0.75, 1, 1.25} {
				for _, g := range guesses {
					p := fitted
					p.Port, p.Latency = port, latency
					p.Start *= start
					visit(p, g)
				}
			}
		}
	}
}

// over is the range of f over the open parameters.
func over(f func(p parameters, g guess) float64) Range {
	var r Range
	first := true
	open(func(p parameters, g guess) {
		v := f(p, g)
		if first {
			r, first = Range{v, v, v}, false
		}
		r.Low, r.High = min(r.Low, v), max(r.High, v)
	})
	return r
}

// Speed is tokens a second.
func Speed(c Chip, t Token) Range {
	return over(func(p parameters, g guess) float64 { return 1 / p.time(c, t.guessed(g)) })
}

// Ratio is how many times as fast a is as b, both under the same parameters.
func Ratio(c Chip, a, b Token) Range {
	return over(func(p parameters, g guess) float64 { return p.time(c, b.guessed(g)) / p.time(c, a.guessed(g)) })
}

// guessed is t with its estimates off by g.
func (t Token) guessed(g guess) Token {
	stages := make([]Stage, len(t.Stages))
	for i, s := range t.Stages {
		stages[i] = append(Stage(nil), s...)
		for j := range stages[i] {
			stages[i][j].Prologue *= g.time
			stages[i][j].Registers *= g.registers
		}
	}
	t.Stages, t.HostGuess = stages, t.HostGuess*g.time
	return t
}
