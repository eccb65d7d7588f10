// Command gen writes the kernels of package cpu, one file of assembly for each
// instruction set: AVX2 and AVX-512 with avo, the others as text; and the Go
// declarations of them all. It is a module of its own so that programs which import
// the library do not inherit avo. Run it with go generate in kernels/cpu.
//
// Every kernel takes one pointer to a struct of package cpu's args.go, from which the
// generator takes the offsets of the fields.
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
	at := func(name string) string { return filepath.Join(*dir, name) }
	must := func(name string, err error) {
		if err != nil {
			log.Fatalf("%s: %v", name, err)
		}
	}
	must("AVX2", write(at("avx2_amd64.s"), func(ctx *build.Context, c *constants) {
		avx2Matvec(ctx, c)
		avx2GEMM(ctx)
		avx2Vector(ctx, c)
		digitsAVX2(ctx, c)
	}, false))
	must("AVX-512", write(at("avx512_amd64.s"), avx512, true))
	must("AVX512_BF16", writeBF16(at("bf16_amd64.s")))
	must("AMX", writeAMX(at("amx_amd64.s")))
	must("NEON", writeNEON(at("neon_arm64.s"), func(n *neon) {
		neonMatvec(n)
		neonMatrix(n)
		neonVector(n)
	}))
	must("dot products", writeNEON(at("dotprod_arm64.s"), neonDot))
	must("FEAT_BF16", writeNEON(at("bf16_arm64.s"), neonBF16))
	must("declarations", stubs.write(*dir))
}

// upper are the vector registers that AVX2 does not have.
var upper = regexp.MustCompile(`\b[XY](1[6-9]|2\d|3[01])\b`)

func write(name string, emit func(*build.Context, *constants), avx512 bool) error {
	ctx := build.NewContext()
	emit(ctx, newConstants(ctx))
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
