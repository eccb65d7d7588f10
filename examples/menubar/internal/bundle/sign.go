package bundle

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
)

// Sign signs an application ad hoc, with the system's codesign: the signature says
// that nothing changed since, and not by whom it was made.
func Sign(ctx context.Context, app string) error {
	out, err := exec.CommandContext(ctx, "codesign", "--force", "--sign", "-", app).CombinedOutput()
	if err != nil {
		return fmt.Errorf("signing %s: %w\n%s", app, err, bytes.TrimSpace(out))
	}
	return nil
}
