// Package torchfile writes files of torch.save for tests. Package loader/pytorch
// is held to files that torch itself wrote.
package torchfile

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/loader/safetensors"
)

// Tensor is a tensor of a file.
type Tensor struct {
	Name, Class string // of its storage, such as FloatStorage
	Shape       []int
	Data        []byte
}

// String is the pickle of a string.
func String(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

func ints(list ...int) string {
	s := "("
	for _, n := range list {
		s += "\x8a\x08" + string(binary.LittleEndian.AppendUint64(nil, uint64(n)))
	}
	return s + "t"
}

// Dict is the pickle of a dictionary of tensors, whose data get the next
// keys of entries.
func Dict(entries *[][]byte, list []Tensor) string {
	pickle := "}"
	for _, t := range list {
		n, stride := 1, make([]int, len(t.Shape))
		for i := len(t.Shape) - 1; i >= 0; i-- {
			stride[i] = n
			n *= t.Shape[i]
		}
		count := ints(n)
		pickle += String(t.Name) + "ctorch._utils\n_rebuild_tensor_v2\n((" + String("storage") + "ctorch\n" + t.Class + "\n" +
			String(fmt.Sprint(len(*entries))) + String("cpu") + count[1:len(count)-1] + "tQK\x00" +
			ints(t.Shape...) + ints(stride...) + "\x89ccollections\nOrderedDict\n)RtRs"
		*entries = append(*entries, t.Data)
	}
	return pickle
}

// Write writes a file of torch.save with that pickle.
func Write(t testing.TB, path, pickle string, entries [][]byte) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	add := func(name string, data []byte) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: "archive/" + name})
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	add("data.pkl", []byte("\x80\x02"+pickle+"."))
	for i, data := range entries {
		add(fmt.Sprintf("data/%d", i), data)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// Model is the tensors of a Hugging Face directory under CoreNet's names.
func Model(t testing.TB, dir string) []Tensor {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := safetensors.ReadHeader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	classes := map[safetensors.DType]string{safetensors.F32: "FloatStorage", safetensors.F16: "HalfStorage", safetensors.BF16: "BFloat16Storage"}
	var list []Tensor
	for _, x := range h.Tensors {
		name := strings.TrimPrefix(x.Name, "transformer.")
		if name == "lm_head.weight" {
			name = "classifier.weight"
		}
		list = append(list, Tensor{name, classes[x.DType], x.Shape, file[x.Offset:][:x.Size]})
	}
	return list
}

// Save writes a dictionary of tensors.
func Save(t testing.TB, path string, list []Tensor) string {
	t.Helper()
	var entries [][]byte
	pickle := Dict(&entries, list)
	return Write(t, path, pickle, entries)
}
