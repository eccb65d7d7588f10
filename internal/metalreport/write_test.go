package main

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/internal/gpumodel"
)

// The committed report is of the kernels and the model as they are: its lines of the 270M in bf16, at the short
// context, come out again.
func TestReport(t *testing.T) {
	c := open(t)
	text, err := os.ReadFile("../../docs/metal-report.md")
	if err != nil {
		t.Fatal(err)
	}
	committed := strings.Split(string(text), "\n")
	config, err := readConfig("../../testdata/configs", "270M")
	if err != nil {
		t.Fatal(err)
	}
	f := formats[2]
	it := row{size: "270M", config: config, format: f.peer, ggml: true}
	attention, err := c.attention(config, f.Layout, lengths[0])
	if err != nil {
		t.Fatal(err)
	}
	if it.tokens[0], err = c.token(config, f.Layout, lengths[0], attention); err != nil {
		t.Fatal(err)
	}
	if it.slots, err = c.slots(f.Layout); err != nil {
		t.Fatal(err)
	}
	it.tokens[1] = it.tokens[0]
	var out strings.Builder
	r := newReport(&out, []row{it})
	r.launches()
	r.issueSlots()
	r.speeds(0, f.peer)
	r.table(0, gpumodel.GGML, func(*row) bool { return true })
	if r.err != nil {
		t.Fatal(r.err)
	}
	checked := 0
	for _, line := range strings.Split(out.String(), "\n") {
		if !strings.HasPrefix(line, "| 270M | 64 |") && !strings.HasPrefix(line, "| 270M | bf16 |") && !strings.HasPrefix(line, "| bf16 |") {
			continue
		}
		checked++
		found := false
		for _, c := range committed {
			found = found || same(line, c)
		}
		if !found {
			t.Errorf("not in docs/metal-report.md, which `make metal-report` writes: %s", line)
		}
	}
	if checked != 4 {
		t.Errorf("%d lines, want 4", checked)
	}
}

var number = regexp.MustCompile(`[0-9]+(\.[0-9]+)?`)

// same compares two lines, numbers in them to within 2%: clang may have been mended.
func same(a, b string) bool {
	if number.ReplaceAllString(a, "") != number.ReplaceAllString(b, "") {
		return false
	}
	of := number.FindAllString(b, -1)
	for i, n := range number.FindAllString(a, -1) {
		x, _ := strconv.ParseFloat(n, 64)
		y, _ := strconv.ParseFloat(of[i], 64)
		if math.Abs(x-y) > 0.02*math.Abs(y) {
			return false
		}
	}
	return true
}
