package bench

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-openelm/go-openelm/bench/internal/roof"
	"github.com/go-openelm/go-openelm/kernels/cpu"
)

// Limit is what a machine can do, as measured in the run.
type Limit struct {
	Read   Summary `json:"read"`    // bytes per second
	MulAdd Summary `json:"mul_add"` // float32 operations per second, two for each multiply-add

	// TileMulAdd is MulAdd in AMX's tiles of bfloat16.
	TileMulAdd Summary `json:"tile_mul_add,omitzero"`

	// The state: see [State].
	Loaded       Summary `json:"loaded,omitzero"`
	AddsPerCycle Summary `json:"adds_per_cycle,omitzero"`
}

// LimitSample is one sample of a device's limits. What is not known is 0.
type LimitSample struct {
	Read       float64 // bytes per second
	MulAdd     float64 // float32 operations per second
	TileMulAdd float64 // the same in AMX's tiles of bfloat16
	State
}

// State is what a processor's peak rate hides: another machine's thread on the same
// core takes half of the instructions that it starts, of which a loop that multiplies
// and adds registers needs few. What is not known is 0.
type State struct {
	// Loaded is the rate of multiply-adds with a load for each, over the rate without;
	// of AMX's tiles where there are any.
	Loaded float64 `json:"loaded"`

	// AddsPerCycle is how many independent additions the thread with the fewest starts
	// in a cycle, which is as long as one addition.
	AddsPerCycle float64 `json:"adds_per_cycle"`
}

// limitTime is how long a sample of each limit takes.
const limitTime = 60 * time.Millisecond

// cpuLimits reads the weights for a while, each thread its part of every matrix,
// with and without prefetching (which is faster depends on the processor), and
// takes the faster; then it multiplies and adds.
//
// Reading the very bytes that a token reads, mapped as they are, makes the limit
// the right one: a model that fits into a cache is held to the cache's rate,
// and memory mapped in small pages to what small pages allow.
func cpuLimits(ctx context.Context, weights [][]byte, threads int) (LimitSample, error) {
	var s LimitSample
	for _, prefetch := range []bool{false, true} {
		readers := make([]reader, threads)
		for i := range readers {
			for _, w := range weights {
				readers[i].parts = append(readers[i].parts, w[len(w)*i/threads:len(w)*(i+1)/threads])
			}
		}
		rate := onThreads(ctx, threads, func(i int) float64 { return readers[i].next(prefetch) })
		s.Read = max(s.Read, rate)
	}
	rate := func(loop func(int) float64, turns int) float64 {
		return onThreads(ctx, threads, func(int) float64 { return loop(turns) })
	}
	s.MulAdd = rate(roof.MulAdd, 1<<16)
	if slices.Contains(cpu.ISAs(), cpu.AMX) {
		s.TileMulAdd = rate(roof.TileMulAdd, 1<<10)
		s.Loaded = rate(roof.LoadTileMulAdd, 1<<10) / s.TileMulAdd
	} else {
		s.Loaded = rate(roof.LoadMulAdd, 1<<16) / s.MulAdd
	}
	s.AddsPerCycle = addsPerCycle(threads)
	return s, context.Cause(ctx)
}

// addsPerCycle is what [State] says. Bursts are short, and both kinds follow each
// other, so that the clock is the same; most of them are not interrupted.
func addsPerCycle(threads int) float64 {
	const bursts, turns = 25, 1000
	least := make([]float64, threads)
	var wg sync.WaitGroup
	for i := range least {
		wg.Go(func() {
			var list [bursts]float64
			for k := range list {
				start := time.Now()
				cycles := roof.Chain(turns)
				between := time.Now()
				adds := roof.Adds(turns)
				// A clock that ticks too rarely for a burst says nothing.
				if took := time.Since(between).Seconds(); cycles > 0 && took > 0 {
					list[k] = adds / took * between.Sub(start).Seconds() / cycles
				}
			}
			least[i] = summarize(list[:]).Median
		})
	}
	wg.Wait()
	return slices.Min(least)
}

// reader reads parts of memory one after the other, in pieces that take far less
// than a sample, and then begins anew.
type reader struct {
	parts [][]byte
	part  int // the next to read
	off   int // and where in it
}

// next reads a piece and returns its size. Its halves are the two streams.
func (r *reader) next(prefetch bool) float64 {
	const piece = 4 << 20
	p := r.parts[r.part][r.off:]
	half := min(len(p), piece) / 2
	roof.Read(p[:half], p[half:2*half], prefetch)
	if r.off += piece; r.off >= len(r.parts[r.part]) {
		r.part, r.off = (r.part+1)%len(r.parts), 0
	}
	return float64(2 * half)
}

// onThreads calls work on each of n threads, again and again, and returns the
// sum of what it returns, per second. All threads run until the last one is
// done with its first turn, at least.
func onThreads(ctx context.Context, n int, work func(thread int) float64) float64 {
	var wg sync.WaitGroup
	rates := make([]float64, n)
	for i := range n {
		wg.Go(func() {
			start, done := time.Now(), 0.0
			for ctx.Err() == nil {
				done += work(i)
				if t := time.Since(start); t > limitTime {
					rates[i] = done / t.Seconds()
					return
				}
			}
		})
	}
	wg.Wait()
	var sum float64
	for _, r := range rates {
		sum += r
	}
	return sum
}

// memory is fresh memory, larger than any cache, that the machine's own read
// rate is measured with: in pages as large as the system gives.
func memory(size int) [][]byte {
	mem := make([]byte, size)
	for i := 0; i < len(mem); i += 64 { // untouched pages are all the same page of zeros
		mem[i] = byte(i >> 6)
	}
	return [][]byte{mem}
}

// memorySize is far beyond the largest caches and small enough for any machine.
const memorySize = 512 << 20
