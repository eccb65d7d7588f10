// Package device chooses what models run on: the GPU where there is one that
// runs the kernels, the CPU elsewhere.
package device

import (
	"log/slog"

	"github.com/go-openelm/go-openelm/internal/tuning"
	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/kernels/gpu"
)

// Default opens the GPU or, where none can be used, as in virtual machines and
// on Macs with Intel's processors, the CPU, which a warning then tells.
func Default(log *slog.Logger) (kernels.Backend, error) {
	b, err := gpu.Open(gpu.Options{})
	switch {
	case err == nil:
		tuning.Use(b, log)
		return b, nil
	case gpu.Unusable(err):
		log.Warn("running on the CPU", "reason", err)
		return cpu.New(cpu.Options{}), nil
	}
	return nil, err
}
