// Package bundle writes OpenELM.app, the program as an application of macOS, from the
// program itself: what is made on a Mac carries no quarantine.
package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/plist"
)

const (
	// ID is the bundle's identifier.
	ID = "io.github.go-openelm.menubar"
	// Name is the application's, and of the port that its services listen on.
	Name = "OpenELM"
	// Folder is the bundle's.
	Folder = Name + ".app"
)

// ErrForeign is the error where something else has the bundle's name.
var ErrForeign = errors.New("it is no application of this program, and stays")

// Write makes OpenELM.app in the folder dir, which it makes too, from program, and
// returns its path. An older one is replaced as a whole once sign has signed the new
// one at the path it is given; sign may be nil.
func Write(ctx context.Context, dir, program, version string, sign func(ctx context.Context, app string) error) (app string, err error) {
	app = filepath.Join(dir, Folder)
	if _, err := ours(app); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(dir, ".OpenELM-*")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	made := filepath.Join(work, Folder)
	if err := fill(made, program, version); err != nil {
		return "", err
	}
	if sign != nil {
		if err := sign(ctx, made); err != nil {
			return "", err
		}
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return app, replace(app, made, filepath.Join(work, "old"))
}

// Remove removes OpenELM.app from dir, and reports whether there was one.
func Remove(dir string) (bool, error) {
	app := filepath.Join(dir, Folder)
	there, err := ours(app)
	if err != nil || !there {
		return false, err
	}
	work, err := os.MkdirTemp(dir, ".OpenELM-*")
	if err != nil {
		return false, err
	}
	err = os.Rename(app, filepath.Join(work, Folder))
	return err == nil, errors.Join(err, os.RemoveAll(work))
}

// ours reports whether there is a bundle, and fails with ErrForeign if it is another's.
func ours(app string) (there bool, err error) {
	info, err := os.Lstat(app)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	foreign := fmt.Errorf("%s: %w", app, ErrForeign)
	if !info.IsDir() {
		return true, foreign
	}
	text, err := os.ReadFile(filepath.Join(app, "Contents", "Info.plist"))
	if err != nil || !bytes.Contains(text, []byte("<key>CFBundleIdentifier</key>\n\t<string>"+ID+"</string>")) {
		return true, foreign
	}
	return true, nil
}

// replace moves made to app, and what was there to old.
func replace(app, made, old string) error {
	err := os.Rename(app, old)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	replaced := err == nil
	err = os.Rename(made, app)
	if err != nil && replaced {
		err = errors.Join(err, os.Rename(old, app))
	}
	return err
}

func fill(app, program, version string) error {
	contents := filepath.Join(app, "Contents")
	info, err := plist.Marshal(Info(version))
	if err != nil {
		return err
	}
	code, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		folder, name string
		content      []byte
		mode         os.FileMode
	}{
		{"MacOS", Name, code, 0o755},
		{"Resources", Name + ".icns", icns(), 0o644},
		{"", "Info.plist", info, 0o644},
	} {
		folder := filepath.Join(contents, f.folder)
		if err := os.MkdirAll(folder, 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, f.name), f.content, f.mode); err != nil {
			return err
		}
	}
	return nil
}

var numbers = regexp.MustCompile(`^v?([0-9]+\.[0-9]+\.[0-9]+)`)

// Info is the bundle's Info.plist.
func Info(version string) plist.Dict {
	number := "0.0.0" // macOS takes three numbers, no words
	if m := numbers.FindStringSubmatch(version); m != nil {
		number = m[1]
	}
	return plist.Dict{
		{Key: "CFBundleInfoDictionaryVersion", Value: "6.0"},
		{Key: "CFBundlePackageType", Value: "APPL"},
		{Key: "CFBundleIdentifier", Value: ID},
		{Key: "CFBundleName", Value: Name},
		{Key: "CFBundleDisplayName", Value: Name},
		{Key: "CFBundleExecutable", Value: Name},
		{Key: "CFBundleIconFile", Value: Name},
		{Key: "CFBundleShortVersionString", Value: number},
		{Key: "CFBundleVersion", Value: number},
		{Key: "LSApplicationCategoryType", Value: "public.app-category.productivity"},
		{Key: "LSMinimumSystemVersion", Value: "13.0"},
		{Key: "LSUIElement", Value: true}, // no icon in the Dock
		{Key: "NSHighResolutionCapable", Value: true},
		// The page is HTTP, of this computer.
		{Key: "NSAppTransportSecurity", Value: plist.Dict{{Key: "NSAllowsLocalNetworking", Value: true}}},
		{Key: "NSServices", Value: []plist.Dict{service("Rewrite", "rewrite"), service("Summarise", "summarise")}},
	}
}

// service is an entry of other programs' Services menu, which replaces what is
// selected. The old name of plain text is that of programs that know no other.
func service(name, message string) plist.Dict {
	types := []string{"public.utf8-plain-text", "NSStringPboardType"}
	return plist.Dict{
		{Key: "NSMenuItem", Value: plist.Dict{{Key: "default", Value: name + " with " + Name}}},
		{Key: "NSMessage", Value: message},
		{Key: "NSPortName", Value: Name},
		{Key: "NSSendTypes", Value: types},
		{Key: "NSReturnTypes", Value: types},
		{Key: "NSRequiredContext", Value: plist.Dict{}},
		{Key: "NSTimeout", Value: "120000"}, // milliseconds; a model may have to be loaded first
	}
}
