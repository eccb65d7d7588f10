package gpu_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/internal/metalsim"
)

// TestMain runs the tests with every executed line of the kernels counted, and
// fails a complete run that left one out.
func TestMain(m *testing.M) {
	flag.Parse()
	os.Setenv("METALSIM_COVERAGE", "1")
	code := m.Run()
	if code == 0 && flag.Lookup("test.run").Value.String() == "" {
		code = reportCoverage()
	}
	os.Exit(code)
}

// reportCoverage prints how many lines of each kernel source ran. Lines count
// once for all weight formats and function constants they were compiled for.
func reportCoverage() int {
	sim, err := metalsim.Open()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if !sim.Simulated() {
		return 0
	}
	type place struct {
		file string
		line int
	}
	ran := map[place]bool{}
	for _, l := range sim.Coverage() {
		p := place{l.File, l.Line}
		ran[p] = ran[p] || l.Hit == 1
	}
	hit, all := map[string]int{}, map[string]int{}
	var missed []string
	for p, ok := range ran {
		if !strings.HasSuffix(p.file, ".metal") && !strings.HasSuffix(p.file, ".h") {
			continue
		}
		all[p.file]++
		if ok {
			hit[p.file]++
		} else {
			missed = append(missed, fmt.Sprintf("%s:%d", p.file, p.line))
		}
	}
	sources, err := os.ReadDir(".")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, s := range sources {
		if name := s.Name(); strings.HasSuffix(name, ".metal") || strings.HasSuffix(name, ".h") {
			fmt.Printf("%-22s %3d of %3d lines ran\n", name, hit[name], all[name])
			if all[name] == 0 {
				missed = append(missed, name)
			}
		}
	}
	if len(missed) > 0 {
		slices.Sort(missed)
		fmt.Println("not run:", strings.Join(missed, " "))
		return 1
	}
	return 0
}
