package loader

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/go-openelm/go-openelm/loader/hub"
)

// location is where a checkpoint is: files of a source, or one of them.
type location struct {
	src    source
	file   string // the file with the weights, where it is not found by its usual name
	remote bool   // was named as a repository
}

// locate finds out what name is.
func locate(name string, o *Options) (location, error) {
	info, err := os.Stat(name)
	switch base := filepath.Base(name); {
	case err == nil && info.IsDir():
		return location{src: dirSource(name)}, nil
	case err == nil && (base == configFile || base == indexFile): // stands for the directory
		return location{src: dirSource(filepath.Dir(name))}, nil
	case err == nil:
		return location{src: dirSource(filepath.Dir(name)), file: base}, nil
	case strings.HasPrefix(name, "https://") || strings.HasPrefix(name, "http://"):
		return locateURL(name, o)
	}
	id := strings.TrimRight(name, "/")
	if !errors.Is(err, fs.ErrNotExist) || !isRepoID(id) {
		return location{}, withHint(name, pathError(name, err))
	}
	id, file := splitRepoID(id)
	repo, err := hub.ParseRepo(id)
	if err != nil {
		return location{}, err
	}
	return location{src: o.hubSource(repo), file: file, remote: true}, nil
}

// locateURL takes the address of a page of the hub for what the page is about.
func locateURL(name string, o *Options) (location, error) {
	repo, file, err := o.hubClient().ParseURL(name)
	if err != nil {
		return location{}, err
	}
	l := location{src: o.hubSource(repo), remote: true}
	if isContainer(file) {
		l.file = file
	}
	return l, nil
}

var (
	appleName = regexp.MustCompile(`(?i)^OpenELM-(270M|450M|1[._]1B|3B)(-Instruct)?$`)
	plainID   = regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z_.-]*$`)
)

// withHint adds to a path's error what the name may have been meant for.
func withHint(name string, err error) error {
	e, ok := errors.AsType[*FileError](err)
	switch {
	case !ok || e.Kind != ErrNotFound || e.Err != nil:
	case appleName.MatchString(name):
		m := appleName.FindStringSubmatch(name)
		instruct := ""
		if m[2] != "" {
			instruct = "-Instruct"
		}
		e.Err = fmt.Errorf("there is no such path; Apple's model is apple/OpenELM-%s%s", strings.ReplaceAll(strings.ToUpper(m[1]), ".", "_"), instruct)
	case plainID.MatchString(name) && !isWeights(name):
		e.Err = errors.New("there is no such path, and a repository's name begins with its owner's, as in apple/OpenELM-270M")
	}
	return err
}

// isRepoID reports whether a name that is no path can be a repository's: it has
// an organisation and does not look like a path.
func isRepoID(name string) bool {
	if strings.HasPrefix(name, "hf://") {
		return true
	}
	if _, file := splitRepoID(name); file == "" && isWeights(name) {
		return false
	}
	return strings.Contains(name, "/") && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "~") &&
		!filepath.IsAbs(name) && !strings.Contains(name, `\`) && !strings.Contains(name, "//")
}

// splitRepoID takes the file off "org/name/file.gguf".
func splitRepoID(name string) (id, file string) {
	parts := strings.SplitN(strings.TrimPrefix(name, "hf://"), "/", 3)
	if len(parts) < 3 || !isContainer(name) {
		return name, ""
	}
	return parts[0] + "/" + parts[1], parts[2]
}

// settle finds the file of a place that has no config.json.
func (l *location) settle(ctx context.Context) error {
	if l.file != "" {
		return nil
	}
	f, err := l.src.open(ctx, configFile)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, ErrNotFound) || errors.Is(err, hub.ErrRepoNotFound) {
		return err
	}
	names, listErr := l.src.list(ctx)
	if listErr != nil || len(names) == 0 {
		return err // says enough
	}
	if found, err := l.find(names); found || err != nil {
		return err
	}
	if errors.Is(err, hub.ErrNotCached) {
		return err
	}
	return absent(l.src.String()+"/"+configFile, names, "it holds the model's configuration, and there is no GGUF or .pt file either")
}

// find takes the file with the model among those of its source.
func (l *location) find(names []string) (found bool, err error) {
	for _, k := range containers {
		if name, err := k.find(l.src, names); err != nil || name != "" {
			l.file = name
			return err == nil, err
		}
	}
	return false, nil
}

// read reads the headers. A problem of theirs is an error, unless what they say
// is wanted all the same.
func (l location) read(ctx context.Context, describe bool) (*checkpoint, error) {
	c, err := l.single(ctx)
	if c == nil && err == nil {
		c, err = readCheckpoint(ctx, l.src, l.file, describe)
	}
	if _, none := errors.AsType[weightless](err); none && l.file == "" { // a config.json may lie beside a GGUF file
		if names, listErr := l.src.list(ctx); listErr == nil {
			switch found, findErr := l.find(names); {
			case findErr != nil:
				return nil, findErr
			case found:
				c, err = l.single(ctx)
			}
		}
	}
	if err == nil && c.problem != nil && !describe {
		c.Close()
		return nil, c.problem
	}
	return c, err
}

// single reads the header of a file that is a container. The checkpoint is nil if
// l is none.
func (l *location) single(ctx context.Context) (*checkpoint, error) {
	if err := l.settle(ctx); err != nil || l.file == "" {
		return nil, err
	}
	f, err := l.src.open(ctx, l.file)
	if err != nil {
		return nil, err
	}
	for _, k := range containers {
		if k.has(f) {
			return k.read(ctx, l.src, f)
		}
	}
	if !isContainer(l.file) {
		return nil, f.Close()
	}
	defer f.Close()
	if err := f.checkForeign(); err != nil {
		return nil, err
	}
	return nil, corrupt(f.name, "", "its contents are not those of a %s file", path.Ext(l.file))
}
