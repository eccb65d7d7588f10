package loader

import (
	"fmt"
	"path"
	"strings"
)

// foreign are the beginnings of files that are often found where one of a
// checkpoint should be.
var foreign = []struct {
	begins string
	kind   error
	what   string
}{
	{"version https://git-lfs.github.com/spec/", ErrCorrupt, "a Git LFS pointer, not the file itself: fetch that with \"git lfs pull\""},
	{"<html", ErrCorrupt, "an HTML page, not the file itself: download it from the address with /resolve/ in place of /blob/"},
	{"PK\x03\x04", ErrUnsupported, "a zip archive, as NumPy's .npz is; " + convertHint},
	{"\x80\x02", ErrUnsupported, "a pickle, as old PyTorch files are; " + convertHint},
	{"\x93NUMPY", ErrUnsupported, "a NumPy array; " + convertHint},
	{"\x89HDF\r\n", ErrUnsupported, "an HDF5 file, as Keras writes it; " + convertHint},
	{"\x1f\x8b", ErrCorrupt, "compressed with gzip: unpack it first"},
	{"tjgg", ErrUnsupported, "a GGML file of before August 2023; convert the model to GGUF anew"},
	{"lmgg", ErrUnsupported, "a GGML file of before August 2023; convert the model to GGUF anew"},
}

const convertHint = "save the model as safetensors"

// checkForeign refuses a file whose beginning says that it is something else. A
// safetensors file may begin with any bytes: it is asked only of those that
// cannot be read.
func (f *file) checkForeign() error {
	head := make([]byte, min(f.size, 256))
	if err := f.readFull(head, 0); err != nil {
		return inFile(f.name, err)
	}
	text := strings.TrimLeft(strings.TrimPrefix(string(head), "\ufeff"), " \t\r\n")
	html := strings.HasPrefix(strings.ToLower(text), "<!doctype html") || strings.HasPrefix(strings.ToLower(text), "<html")
	for _, other := range foreign {
		if strings.HasPrefix(text, other.begins) || html && other.begins == "<html" {
			return &FileError{File: f.name, Kind: other.kind, Err: fmt.Errorf("this is %s", other.what)}
		}
	}
	return nil
}

// otherWeights says what a file with weights is that this package does not
// read, by its name; "" of any other file.
func otherWeights(name string) string {
	switch base := path.Base(name); {
	case strings.HasSuffix(base, ".npz"):
		return "a NumPy archive"
	case strings.HasSuffix(base, ".h5"):
		return "Keras's"
	case strings.HasSuffix(base, ".msgpack"):
		return "Flax's"
	case strings.HasSuffix(base, ".pth"), strings.HasSuffix(base, ".ckpt"), // whole models in .pt files and pytorch_model.bin are read
		strings.HasSuffix(base, ".bin") && (strings.HasPrefix(base, "pytorch_model") || strings.HasPrefix(base, "adapter_model")):
		return "PyTorch's"
	}
	return ""
}

// absent is the error about files that are not there, with what is there
// instead.
func absent(file string, names []string, format string, args ...any) *FileError {
	text := fmt.Sprintf(format, args...)
	for _, name := range names {
		if what := otherWeights(name); what != "" {
			text += fmt.Sprintf("; %s is %s, which this package does not read: %s", name, what, convertHint)
			break
		}
	}
	return &FileError{File: file, Kind: ErrNotFound, Err: fmt.Errorf("%s", text)}
}
