package openelm

import (
	"math"
	"sync"
	"time"

	"github.com/go-openelm/go-openelm/kernels"
)

// lookup guesses how a text goes on from what it contains already (prompt lookup
// decoding, Saxena 2023; LLMA, Yang et al. 2023): what followed when its last few
// tokens came before. It guesses as many tokens as are worth their rows, by what
// it has learnt and what rows cost.
type lookup struct {
	// right estimates, by the number of last tokens that came before, how
	// probable it is that a guess is right when those before it were.
	right [longestMatch + 1]float64
	match int // of the last proposal

	// When no guess is worth its row, one is made now and then: pause tokens
	// after the last, left of them from now.
	pause, left int
}

const (
	maxDraft                    = kernels.ExactRows // rows of a pass that checks a draft
	shortestMatch, longestMatch = 2, 5
	shortPause, longPause       = 8, 256
)

// propose appends at most most guesses for what follows text. others is how many
// rows of other sessions share the pass.
func (l *lookup) propose(draft, text []int32, most, others int, p *pace) []int32 {
	if most < 1 {
		return draft
	}
	from, match := repeated(text)
	if match == 0 {
		return draft
	}
	if l.pause == 0 {
		l.pause = shortPause
		for i := range l.right {
			l.right[i] = float64(i) / (longestMatch + 1) // until it knows better
		}
	}
	n := worthwhile(l.right[match], min(most, len(text)-from), others, p)
	if n == 0 {
		if l.left--; l.left > 0 {
			return draft
		}
		n = 1
	}
	l.match = match
	return append(draft, text[from:from+n]...)
}

// learn is told how many of the last proposal's guesses were right.
func (l *lookup) learn(right, of int) {
	if of == 0 {
		return
	}
	const weight = 0.2
	r := &l.right[l.match]
	*r += (1 - *r) * (1 - math.Pow(1-weight, float64(right)))
	if right < of {
		*r -= *r * weight
	}
	if right > 0 {
		l.pause = shortPause
	} else {
		l.pause = min(2*l.pause, longPause)
	}
	l.left = l.pause
}

// repeated is where the text goes on after the last place where its last tokens
// came before, and how many tokens agree there; 0 if too few do.
func repeated(text []int32) (from, match int) {
	last := len(text) - 1
	for i := last - 1; i >= shortestMatch-1 && match < longestMatch; i-- {
		n := 0
		for n < longestMatch && n <= i && text[i-n] == text[last-n] {
			n++
		}
		if n >= shortestMatch && n > match {
			from, match = i+1, n
		}
	}
	return from, match
}

// worthwhile is the number of guesses, at most most, for which the tokens that a
// pass is expected to yield, per time it takes, are most. Each is right with
// probability right if those before it are.
func worthwhile(right float64, most, others int, p *pace) (best int) {
	expected, probability := float64(others+1), 1.0
	rate := expected / p.cost(others+1)
	for n := 1; n <= most; n++ {
		probability *= right
		expected += probability
		if r := expected / p.cost(others+1+n); r > rate {
			best, rate = n, r
		}
	}
	return best
}

// pace is how the time of a pass grows with its rows, as far as they are in the
// decode class.
type pace struct {
	mu        sync.Mutex
	one, more float64 // seconds: of a row alone, of each further one
}

func (p *pace) observe(rows int, d time.Duration) {
	if rows > kernels.ExactRows {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if rows == 1 {
		mix(&p.one, d.Seconds(), 20)
	} else if p.one > 0 {
		mix(&p.more, max(0, d.Seconds()-p.one)/float64(rows-1), 20)
	}
}

// mix makes average follow its last few values.
func mix(average *float64, v, few float64) {
	if *average == 0 {
		*average = v
	}
	*average += (v - *average) / few
}

// cost is the time of a pass of so many rows in passes of one row.
func (p *pace) cost(rows int) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	more := 0.25 // until it is measured
	if p.one > 0 && p.more > 0 {
		more = p.more / p.one
	}
	return 1 + more*float64(rows-1)
}
