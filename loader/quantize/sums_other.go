//go:build !amd64

package quantize

func (g *group) add(inverse, minimum float64) products { return g.addPortable(inverse, minimum) }
