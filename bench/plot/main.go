// Plot draws the reports of openelm bench: the roofline with every measurement on
// it, how speed grows with threads and falls with the length of the context, and how
// engines use the memory. Next to the report it is given it writes what there are
// data for, as PNG and SVG.
//
//	openelm bench --out bench-report
//	go -C bench/plot run . ../../bench-report/report.json
//
// It is a module of its own because of what it imports.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/go-openelm/go-openelm/bench"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: plot report.json")
	}
	files, err := drawFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range files {
		fmt.Println(name)
	}
}

// drawFile draws a report, and returns the names of the plots.
func drawFile(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	report, err := bench.ReadJSON(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return write(filepath.Dir(name), report)
}
