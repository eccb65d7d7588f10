//go:build amd64 || arm64

package metal

import (
	"fmt"
	"os"

	"github.com/go-openelm/go-openelm/internal/objc"
)

// simulatorVariable names the environment variable with the path of the simulator's library.
const simulatorVariable = "METALSIM"

// openLibraries opens the simulator.
func openLibraries() (objc.Libraries, error) {
	path := os.Getenv(simulatorVariable)
	if path == "" {
		return nil, fmt.Errorf("%w: on Linux Metal is simulated; set %s to the path of libmetalsim.so", ErrNoDevice, simulatorVariable)
	}
	l, err := objc.Open(path)
	if err != nil {
		return nil, fmt.Errorf("metal: %s: %w", simulatorVariable, err)
	}
	return l, nil
}
