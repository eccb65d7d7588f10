package loader

import (
	"errors"
	"log/slog"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/kernels/gpu"
	"github.com/go-openelm/go-openelm/metal"
)

// defaultBackend is the device that models run on unless Options say otherwise:
// the GPU, or the CPU of a Mac that has none, such as most virtual machines.
func defaultBackend(log *slog.Logger) (kernels.Backend, error) {
	b, err := gpu.Open(gpu.Options{})
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, metal.ErrNoDevice) || errors.Is(err, metal.ErrUnsupported):
		log.Info("running on the CPU", "reason", err)
		return cpu.New(cpu.Options{}), nil
	}
	return nil, err
}
