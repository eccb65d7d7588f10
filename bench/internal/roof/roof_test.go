package roof

import (
	"testing"

	"github.com/go-openelm/go-openelm/kernels/cpu"
)

// The loops have no results, so what a test can hold them to is where they
// read: not a byte outside (the memory ends at a guard page in
// TestReadStaysInside), and any length.
func TestAnyLength(t *testing.T) {
	for n := range 4 * block {
		a, b := make([]byte, n), make([]byte, n)
		Read(a, b, true)
		Read(a, b, false)
	}
	if got := MulAdd(0); got != 0 {
		t.Errorf("no turns did %g operations", got)
	}
	if one, ten := MulAdd(1), MulAdd(10); one <= 0 || ten != 10*one {
		t.Errorf("one turn is %g operations and ten are %g", one, ten)
	}
	cpu.ISAs() // asks for AMX
	for name, loop := range map[string]func(int) float64{
		"LoadMulAdd": LoadMulAdd, "Chain": Chain, "Adds": Adds, "TileMulAdd": TileMulAdd, "LoadTileMulAdd": LoadTileMulAdd,
	} {
		if none, one, ten := loop(0), loop(1), loop(10); none != 0 || ten != 10*one {
			t.Errorf("%s: no turns are %g operations, one is %g and ten are %g", name, none, one, ten)
		}
	}
	if got := mulAddGo(1); got != 16 {
		t.Errorf("a turn of the Go loop is %d operations", got)
	}
}

func BenchmarkRead(b *testing.B) {
	const n = 64 << 20
	mem := make([]byte, 2*n)
	for i := range mem { // untouched pages are all the same page of zeros
		mem[i] = byte(i)
	}
	for name, read := range map[string]func(x, y []byte){
		"plain":    func(x, y []byte) { Read(x, y, false) },
		"prefetch": func(x, y []byte) { Read(x, y, true) },
		"go":       readGo,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(2 * n)
			for b.Loop() {
				read(mem[:n], mem[n:])
			}
		})
	}
}

func BenchmarkMulAdd(b *testing.B) {
	var flop float64
	for b.Loop() {
		flop += MulAdd(1 << 16)
	}
	b.ReportMetric(flop/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	b.Log(Level())
}
