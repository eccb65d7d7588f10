package quantize

import "golang.org/x/sys/cpu"

//go:noescape
func addAVX(of *group, inverse, minimum float64) products

func (g *group) add(inverse, minimum float64) products {
	if cpu.X86.HasAVX {
		return addAVX(g, inverse, minimum)
	}
	return g.addPortable(inverse, minimum)
}
