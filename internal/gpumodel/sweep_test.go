package gpumodel

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/bench"
)

// TestSweep writes a bench report of a GPU that has a port and a latency of its own,
// and finds them.
func TestSweep(t *testing.T) {
	chip, _ := ChipNamed("M2 Max 38c")
	for _, c := range []struct{ port, latency float64 }{{12, 0.3e-6}, {18, 0.5e-6}, {30, 0.9e-6}} {
		q := fitted
		q.Port, q.Latency = c.port, c.latency
		var points []bench.SweepPoint
		for threadgroups := 4; threadgroups <= 512; threadgroups *= 2 {
			for simdgroups := 1; simdgroups <= 8; simdgroups *= 2 {
				p := SweepPoint{Threadgroups: threadgroups, SIMDGroups: simdgroups, Bytes: threadgroups * simdgroups << 15}
				p.Seconds = q.time(chip, p.token())
				points = append(points, bench.SweepPoint(p))
			}
		}
		var report bytes.Buffer
		if err := (&bench.Report{Tuning: []bench.Tuning{{Device: "Apple M2 Max", Sweep: points}}}).WriteJSON(&report); err != nil {
			t.Fatal(err)
		}
		sweeps, err := ReadSweeps(&report)
		if err != nil || len(sweeps) != 1 || sweeps[0].Device != "Apple M2 Max" || len(sweeps[0].Points) != len(points) {
			t.Fatalf("%+v, %v", sweeps, err)
		}
		port, latency, left := sweeps[0].Fit(chip)
		if port != c.port || math.Abs(latency/c.latency-1) > 0.01 || left > 1e-3 {
			t.Errorf("port %v, latency %v, %v left; want %v and %v", port, latency, left, c.port, c.latency)
		}
		for _, p := range sweeps[0].Points {
			if r := p.Time(chip); c.port == fitted.Port && (p.Seconds < r.Low || p.Seconds > r.High || math.Abs(r.Central/p.Seconds-1) > 1e-9) {
				t.Errorf("%+v: the model says %v", p, r)
			}
		}
	}
	for _, bad := range []string{"", "{", "{}", `{"tuning":[{"device":"x"}]}`, `{"tuning":[{"sweep":[{"threadgroups":0,"simdgroups":1,"bytes":1,"seconds":1}]}]}`} {
		if _, err := ReadSweeps(strings.NewReader(bad)); err == nil || !strings.HasPrefix(err.Error(), "gpumodel: a report") {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}
