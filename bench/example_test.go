package bench_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/go-openelm/go-openelm/bench"
)

// How fast the embedded model is, and how fast it could be on this machine.
func ExampleRun() {
	report, err := bench.Run(context.Background(), bench.Options{
		Prefill: []int{32}, Decode: []int{10}, Tokens: 4, Repetitions: 3, MinTime: time.Millisecond,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range report.Results {
		fast := r.Summary.Median > 0 && r.Roofline.Fraction.Median > 0
		fmt.Printf("%s: %d samples in %s, of what the machine allows: %t\n", r.Test, r.Summary.N, r.Kind.Unit(), fast)
	}
	// Output:
	// prefill 32: 3 samples in tok/s, of what the machine allows: true
	// decode at 10: 3 samples in tok/s, of what the machine allows: true
}
