package assistant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/internal/filewrite"
)

const (
	settingsFile = "settings.json"
	// maxFile bounds the files that are read, which are this program's own.
	maxFile = 64 << 20
	// defaultIdle is how long the model stays when nobody asks anything.
	defaultIdle = 5 * time.Minute
	// maxIdle is more than anybody waits.
	maxIdle = 30 * 24 * time.Hour
)

// saved is the file of settings.
type saved struct {
	desktop.Settings
	// Download is a model that was chosen and is not there yet.
	Download string `json:"download,omitempty"`
}

// clone shares nothing with s.
func (s saved) clone() saved {
	if s.Temperature != nil {
		t := *s.Temperature
		s.Temperature = &t
	}
	return s
}

// check refuses settings that make no sense.
func check(s desktop.Settings) error {
	switch {
	case s.Temperature != nil && !(*s.Temperature >= 0 && *s.Temperature <= 2):
		return say("The temperature is a number from 0 to 2, not %v.", *s.Temperature)
	case s.IdleTime < 0 || s.IdleTime > maxIdle:
		return say("The idle time is from a second to 30 days, not %v.", s.IdleTime)
	case s.IdleTime > 0 && s.IdleTime < time.Second:
		return say("An idle time of %v is too short: a second is the least.", s.IdleTime)
	}
	for what, name := range map[string]string{"model": s.Model, "adapter": s.Adapter} {
		if len(name) > 4096 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
			return say("The name of the %s is not one.", what)
		}
	}
	return nil
}

// readJSON reads a file of this program. One that is not there leaves v as it is.
func readJSON(path string, v any) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return err
	case len(text) > maxFile:
		return fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeJSON replaces a file of this program, for its owner alone.
func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return filewrite.Private(context.Background(), path, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// setAside keeps a file that cannot be read beside the one that takes its place.
func setAside(path string) error {
	return os.Rename(path, path+".unreadable")
}
