//go:build !darwin

package loader

import (
	"log/slog"

	"github.com/go-openelm/go-openelm/kernels"
	"github.com/go-openelm/go-openelm/kernels/cpu"
)

// defaultBackend is the device that models run on unless Options say otherwise.
func defaultBackend(*slog.Logger) (kernels.Backend, error) { return cpu.New(cpu.Options{}), nil }
