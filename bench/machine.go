package bench

import (
	"runtime"

	"github.com/go-openelm/go-openelm/internal/version"
)

// Machine is what a run ran on. What the system does not tell is empty.
type Machine struct {
	CPU        string  `json:"cpu"` // the processor's name for itself
	OS         string  `json:"os"`
	Arch       string  `json:"arch"`
	Cores      int     `json:"cores"` // that the process may use
	Memory     int64   `json:"memory"`
	Go         string  `json:"go"`
	Revision   string  `json:"revision"`    // of the source, if it is known
	LoadBefore float64 `json:"load_before"` // processes that ran or wanted to, averaged over a minute
	LoadAfter  float64 `json:"load_after"`
}

func thisMachine() Machine {
	m := Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version(), Revision: version.Commit(), LoadBefore: load()}
	m.CPU, m.Memory = hardware()
	return m
}
