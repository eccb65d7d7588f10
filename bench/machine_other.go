//go:build !linux && !darwin

package bench

func hardware() (cpu string, memory int64) { return "", 0 }
func load() float64                        { return 0 }
func resident() (now, peak int64)          { return 0, 0 }
