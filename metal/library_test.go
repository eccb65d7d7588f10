package metal_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/metal"
)

func TestCompileError(t *testing.T) {
	g := newGPU(t)
	_, err := g.NewLibrary("#include <metal_stdlib>\nkernel void k(device float* x [[buffer(0)]]) {\n  x[0] = undeclared;\n}\n", &metal.CompileOptions{Label: "broken.metal"})
	var compile *metal.CompileError
	if !errors.As(err, &compile) {
		t.Fatalf("%T %v", err, err)
	}
	i := slices.IndexFunc(compile.Diagnostics, func(d metal.Diagnostic) bool { return d.Severity == metal.SeverityError })
	if i < 0 {
		t.Fatalf("no diagnostics in %q", compile.Log)
	}
	if d := compile.Diagnostics[i]; d.Line != 3 || d.Column != 10 || !strings.Contains(d.Message, "undeclared") {
		t.Errorf("%v", d)
	}
	if s := err.Error(); !strings.Contains(s, "broken.metal: 3:10: ") {
		t.Errorf("message %q", s)
	}
	if !metal.IsGPUError(err) {
		t.Error("a program cannot go on without this kernel")
	}
	for _, bad := range []string{"kernel\x00", "kernel \xff"} { // no text that an NSString could be made of
		_, asSource := g.NewLibrary(bad, nil)
		_, asMacro := g.NewLibrary(options, &metal.CompileOptions{Macros: map[string]string{"EXTRA": bad}})
		if !errors.Is(asSource, metal.ErrInvalidArgument) || !errors.Is(asMacro, metal.ErrInvalidArgument) {
			t.Errorf("%q: as source %v, as macro %v", bad, asSource, asMacro)
		}
	}
}

const options = `#include <metal_stdlib>
using namespace metal;
constant uint width [[function_constant(0)]];
constant bool negate [[function_constant(1)]];
constant bool negated = is_function_constant_defined(negate) ? negate : false;
kernel void fill(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  x[i] = (negated ? -1.0f : 1.0f) * float(width) + float(EXTRA);
}
kernel void other(device float* x [[buffer(0)]]) { x[0] = 1.0f; }
`

func TestMacrosAndFunctionConstants(t *testing.T) {
	g := newGPU(t)
	lib := must(g.NewLibrary(options, &metal.CompileOptions{LanguageVersion: metal.Language3_0, MathMode: metal.MathSafe, Macros: map[string]string{"EXTRA": "0.5"}}))(t)
	defer lib.Release()
	if got := lib.FunctionNames(); !slices.Equal(got, []string{"fill", "other"}) {
		t.Errorf("functions %v", got)
	}
	x := g.floats(t, "x", 0)
	for _, c := range []struct {
		constants []metal.FunctionConstant
		want      float32
	}{
		{[]metal.FunctionConstant{metal.Constant(0, uint32(64))}, 64.5},
		{[]metal.FunctionConstant{metal.Constant(0, uint32(7)), metal.Constant(1, true)}, -6.5},
		{[]metal.FunctionConstant{metal.NamedConstant("width", uint32(9)), metal.NamedConstant("negate", false)}, 9.5},
	} {
		p := pipeline(t, lib, g.Device, "fill", c.constants...)
		if err := g.run(t, metal.Serial, func(e *metal.ComputeEncoder) {
			e.SetPipeline(p)
			e.SetBuffer(x, 0, 0)
			e.DispatchThreads(metal.Size{1, 1, 1}, metal.Size{1, 1, 1})
		}); err != nil {
			t.Error(err)
		}
		p.Release()
		if got := asFloats(x)[0]; got != c.want {
			t.Errorf("x = %v, want %v", got, c.want)
		}
	}
	if _, err := lib.NewFunction("missing"); !errors.Is(err, metal.ErrFunctionNotFound) || !strings.Contains(err.Error(), "fill, other") {
		t.Errorf("unknown function: %v", err)
	}
	var typed *metal.Error
	if _, err := lib.NewFunction("fill"); !errors.As(err, &typed) {
		t.Errorf("without a required constant: %v", err)
	}
	for _, bad := range []metal.FunctionConstant{{}, metal.Constant(-1, true), metal.Constant(1<<16, true)} {
		if _, err := lib.NewFunction("fill", bad); !errors.Is(err, metal.ErrInvalidArgument) {
			t.Errorf("bad constant: %v", err)
		}
	}
}

func TestLanguageVersionOfOlderSystem(t *testing.T) {
	g := newGPU(t)
	if !g.sim.Simulated() {
		t.Skip("the system is what it is")
	}
	g.sim.Set(t, "os", "13")
	var typed *metal.Error
	if _, err := g.NewLibrary(kernels, &metal.CompileOptions{LanguageVersion: metal.Language3_1}); !errors.As(err, &typed) || !metal.IsGPUError(err) {
		t.Errorf("MSL 3.1 on macOS 13: %v", err)
	}
	must(g.NewLibrary(kernels, &metal.CompileOptions{LanguageVersion: metal.Language3_0}))(t).Release()
}

func TestPipeline(t *testing.T) {
	g := newGPU(t)
	if g.add.Label() != "add" || g.add.ThreadExecutionWidth() != 32 || g.add.MaxTotalThreadsPerThreadgroup() < 128 || g.add.StaticThreadgroupMemoryLength() != 0 {
		t.Errorf("%q: %d threads, width %d", g.add.Label(), g.add.MaxTotalThreadsPerThreadgroup(), g.add.ThreadExecutionWidth())
	}
	lib := must(g.NewLibrary(kernels, nil))(t)
	defer lib.Release()
	f := must(lib.NewFunction("add"))(t)
	defer f.Release()
	if f.Name() != "add" {
		t.Errorf("name %q", f.Name())
	}
	for _, limit := range []int{-1, 1025} { // Metal's validation layer ends the process for the latter
		if _, err := g.NewComputePipeline(f, &metal.PipelineOptions{MaxTotalThreadsPerThreadgroup: limit}); !errors.Is(err, metal.ErrInvalidArgument) {
			t.Errorf("limit of %d: %v", limit, err)
		}
	}
	p := must(g.NewComputePipeline(f, &metal.PipelineOptions{Label: "add 128", MaxTotalThreadsPerThreadgroup: 128}))(t)
	defer p.Release()
	// Fewer where a validation layer takes registers.
	if n := p.MaxTotalThreadsPerThreadgroup(); p.Label() != "add 128" || n > 128 || n < 32 || g.sim.Simulated() && n != 128 {
		t.Errorf("%q: %d threads", p.Label(), p.MaxTotalThreadsPerThreadgroup())
	}
}
