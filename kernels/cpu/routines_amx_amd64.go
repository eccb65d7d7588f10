package cpu

// amx multiplies bfloat16 weights with many activation rows in tiles. What it
// does with few, and with other formats, is AVX-512's.
var amx = func() routines {
	r := avx512
	r.isa = AMX
	r.tiles = [2]func(*tileArgs){tiles1AMX, tiles2AMX}
	r.parts = partsAVX512
	return r
}()

//go:noescape
func tiles1AMX(a *tileArgs)

//go:noescape
func tiles2AMX(a *tileArgs)

//go:noescape
func partsAVX512(a *partArgs)
