package plot_test

import (
	"log"
	"os"

	"github.com/go-openelm/go-openelm/bench"
	"github.com/go-openelm/go-openelm/bench/plot"
)

// Draw a report that openelm bench wrote.
func ExampleWrite() {
	f, err := os.Open("bench-report/report.json")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	report, err := bench.ReadJSON(f)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := plot.Write("bench-report", report); err != nil {
		log.Fatal(err)
	}
}
