package gpumodel

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Sweep is what one GPU took for a product of one row and bfloat16 weights, in different numbers of threadgroups and
// SIMD-groups: what "openelm bench --tune" puts into its report. It is the measurement that replaces two assumptions, how
// many bytes a cycle a core takes in and how long a load takes.
type Sweep struct {
	Device string       `json:"device"`
	Points []SweepPoint `json:"sweep"`
}

// SweepPoint is one dispatch.
type SweepPoint struct {
	Threadgroups int     `json:"threadgroups"`
	SIMDGroups   int     `json:"simdgroups"` // of a threadgroup
	Bytes        int     `json:"bytes"`      // of weights
	Seconds      float64 `json:"seconds"`
}

// ReadSweeps finds the sweeps in a report of "openelm bench".
func ReadSweeps(r io.Reader) ([]Sweep, error) {
	var report struct {
		Tuning []Sweep `json:"tuning"`
	}
	if err := json.NewDecoder(r).Decode(&report); err != nil {
		return nil, fmt.Errorf("gpumodel: a report: %w", err)
	}
	for _, s := range report.Tuning {
		if len(s.Points) == 0 {
			return nil, fmt.Errorf("gpumodel: a report: the sweep of %s has no points", s.Device)
		}
		for _, p := range s.Points {
			if p.Threadgroups < 1 || p.SIMDGroups < 1 || p.Bytes < 1 || !(p.Seconds > 0) {
				return nil, fmt.Errorf("gpumodel: a report's sweep: %+v is no measurement", p)
			}
		}
	}
	if len(report.Tuning) == 0 {
		return nil, errors.New("gpumodel: a report without a sweep")
	}
	return report.Tuning, nil
}

// sweepInFlight is how many bytes of loads a lane of the swept kernel waits for at a time; metalsim counts it.
const sweepInFlight = 64

func (p SweepPoint) token() Token {
	return Token{Stages: []Stage{{{
		Threadgroups: p.Threadgroups, SIMDGroups: p.SIMDGroups, Bytes: float64(p.Bytes),
		Slots: float64(p.Bytes) / BF16.BytesPerWeight() * BF16.SlotsPerWeight(), InFlight: sweepInFlight,
	}}}}
}

// Time is what the model says of a point, in seconds.
func (p SweepPoint) Time(c Chip) Range {
	return over(func(q parameters, _ guess) float64 { return q.time(c, p.token()) })
}

// Fit is the port (bytes a cycle that a core takes in) and the latency of a load, in seconds, that explain a sweep of chip c
// best, and the median of |model/measured − 1| that is left.
func (s Sweep) Fit(c Chip) (port, latency, left float64) {
	best := math.Inf(1)
	for b := 6.0; b <= 64; b++ {
		for l := 0.1e-6; l < 2e-6; l += 0.05e-6 {
			q := fitted
			q.Port, q.Latency = b, l
			if sum := s.misses(q, c); sum < best {
				best, port, latency = sum, b, l
			}
		}
	}
	q := fitted
	q.Port, q.Latency = port, latency
	var errs []float64
	for _, p := range s.Points {
		errs = append(errs, math.Abs(q.time(c, p.token())/p.Seconds-1))
	}
	slices.Sort(errs)
	return port, latency, errs[len(errs)/2]
}

// misses is Σ |ln(model/measured)|.
func (s Sweep) misses(q parameters, c Chip) (sum float64) {
	for _, p := range s.Points {
		sum += math.Abs(math.Log(q.time(c, p.token()) / p.Seconds))
	}
	return sum
}
