//go:build unix

package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-openelm/go-openelm/internal/filewrite"
)

func (i Item) enabled() (bool, error) {
	name, err := i.file()
	if err != nil {
		return false, err
	}
	_, err = os.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (i Item) enable() error {
	if len(i.Command) == 0 || !filepath.IsAbs(i.Command[0]) {
		return fmt.Errorf("start at login: %q has no absolute path", i.Command)
	}
	if slices.ContainsFunc(append([]string{i.ID, i.Name}, i.Command...), func(s string) bool { return strings.ContainsAny(s, "\x00\n\r") }) {
		return fmt.Errorf("start at login: %q has a line break", i.Command)
	}
	name, err := i.file()
	if err != nil {
		return err
	}
	text, err := i.text()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return filewrite.Atomic(context.Background(), name, func(w io.Writer) error { _, err := w.Write(text); return err })
}

func (i Item) disable() error {
	name, err := i.file()
	if err != nil {
		return err
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
