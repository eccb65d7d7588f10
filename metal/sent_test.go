package metal

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/go-openelm/go-openelm/internal/metalsim"
)

// TestMain wants the tests, all together, to have sent every message there is in the table: on arm64, too, where the
// emulated tests are what runs the assembly of a Mac.
func TestMain(m *testing.M) {
	code := m.Run()
	for _, chosen := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if flag.Lookup(chosen).Value.String() != "" {
			os.Exit(code)
		}
	}
	if err := everyMessageSent(); err != nil && code == 0 {
		fmt.Println("FAIL:", err)
		code = 1
	}
	os.Exit(code)
}

func everyMessageSent() error {
	sim, err := metalsim.Open()
	if err != nil || !sim.Simulated() {
		return err
	}
	sent := map[string]bool{}
	for _, m := range sim.Methods() {
		if m.Sent != "0" {
			sent[m.Selector] = true
		}
	}
	var missing []string
	for _, m := range declared() {
		if !sent[m.Name] {
			missing = append(missing, m.Class+" "+m.Name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("no test sent %q", missing)
	}
	return nil
}
