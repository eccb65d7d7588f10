// Command gen writes the routines of package cpu, for AVX2 and AVX-512 with avo,
// and for AMX and NEON as text. It is a module of its own so that programs which import the library do
// not inherit avo. Run it with go generate in kernels/cpu.
//
// Every routine takes one pointer to a struct of package cpu; args.go repeats
// the offsets, and a test of package cpu holds them to the structs.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", ".", "where to write")
	flag.Parse()
	for _, f := range []struct {
		name   string
		emit   func(*build.Context)
		avx512 bool
	}{
		{"mul_amd64.s", mulRoutines, false},
		{"gemm_amd64.s", gemmRoutines, false},
		{"vector_amd64.s", vectorRoutines, false},
		{"wide_amd64.s", wideRoutines, true},
	} {
		if err := write(filepath.Join(*dir, f.name), f.emit, f.avx512); err != nil {
			log.Fatalf("%s: %v", f.name, err)
		}
	}
	if err := writeAMX(filepath.Join(*dir, "amx_amd64.s")); err != nil {
		log.Fatalf("amx_amd64.s: %v", err)
	}
	for name, emit := range map[string]func(*neon){
		"mul_arm64.s": neonMul, "dot_arm64.s": neonDot, "gemm_arm64.s": neonMatrix, "vector_arm64.s": neonVector,
	} {
		if err := writeNEON(filepath.Join(*dir, name), emit); err != nil {
			log.Fatalf("%s: %v", name, err)
		}
	}
}

// upper are the vector registers that AVX2 does not have.
var upper = regexp.MustCompile(`\b[XY](1[6-9]|2\d|3[01])\b`)

func write(name string, emit func(*build.Context), avx512 bool) error {
	ctx := build.NewContext()
	emit(ctx)
	file, err := ctx.Result()
	if err != nil {
		return err
	}
	if err := pass.Compile.Execute(file); err != nil {
		for _, f := range file.Functions() {
			one := *file
			one.Sections = []ir.Section{f}
			if err := pass.Compile.Execute(&one); err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
		}
		return err
	}
	asm := printer.NewGoAsm(printer.Config{Name: "kernels/cpu/internal/gen", Pkg: "cpu"})
	text, err := asm.Print(file)
	if err != nil {
		return err
	}
	if r := upper.Find(text); r != nil && !avx512 {
		return fmt.Errorf("register pressure: %s needs AVX-512", r)
	}
	return os.WriteFile(name, text, 0o644)
}
