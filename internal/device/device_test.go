package device_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/internal/device"
	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/kernels/cpu"
	"github.com/go-openelm/go-openelm/kernels/gpu"
)

// TestDefault has machines with and without a GPU that runs the kernels. The log
// says so in one line, and not at all where the GPU is used.
func TestDefault(t *testing.T) {
	for _, c := range []struct {
		setting, value string
		says           string
	}{
		{"family", "7", ""},
		{"devices", "0", "no device"},
		{"gpu", "paravirtual", "Apple Paravirtual device"},
		{"gpu", "intel", "Intel"},
		{"gpu", "amd", "AMD"},
		{"family", "6", "A13"},
		{"os", "12", "macOS 13"},
		{"execute", "0", "trial"},
	} {
		t.Run(c.setting+"="+c.value, func(t *testing.T) {
			sim := metalsim.Start(t)
			if !sim.Simulated() {
				t.Skip("a Mac has one GPU")
			}
			sim.Set(t, "mode", "plain")
			sim.Set(t, c.setting, c.value)
			var log bytes.Buffer
			b, err := device.Default(slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			_, onGPU := b.(*gpu.Backend)
			_, onCPU := b.(*cpu.Backend)
			if onGPU != (c.says == "") || onCPU == onGPU {
				t.Errorf("runs on %T", b)
			}
			lines := strings.Count(log.String(), "\n")
			if onGPU && lines != 0 || onCPU && (lines != 1 || !strings.Contains(log.String(), "level=WARN msg=\"running on the CPU\"") || !strings.Contains(log.String(), c.says)) {
				t.Errorf("the log says\n%s", log.String())
			}
		})
	}
}
