package loader

import (
	"log/slog"

	"github.com/go-openelm/go-openelm/internal/device"
	"github.com/go-openelm/go-openelm/kernels"
)

// defaultBackend is the device that models run on unless Options say otherwise.
func defaultBackend(log *slog.Logger) (kernels.Backend, error) { return device.Default(log) }
