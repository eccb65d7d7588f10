package pytorch

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// part is an entry of an archive made for a test.
type part struct {
	name   string
	data   string
	method uint16
}

func pack(t testing.TB, parts ...part) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, p := range parts {
		w, err := z.CreateHeader(&zip.FileHeader{Name: p.name, Method: p.method})
		if err == nil {
			_, err = io.WriteString(w, p.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func str(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}
func num(n int64) string {
	return "\x8a\x08" + string(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}
func nums(list ...int64) string {
	s := "("
	for _, n := range list {
		s += num(n)
	}
	return s + "t"
}

// tensorOf is the pickle of a view of storage key.
func tensorOf(class, key string, elements, offset int64, shape, stride string) string {
	return "ctorch._utils\n_rebuild_tensor_v2\n(" +
		"(" + str("storage") + "ctorch\n" + class + "\n" + str(key) + str("cpu") + num(elements) + "tQ" +
		num(offset) + shape + stride + "\x89ccollections\nOrderedDict\n)RtR"
}

// dictOf is the pickle of a dictionary with one entry.
func dictOf(value string) string { return "\x80\x02}" + str("w") + value + "s." }

// floats is an archive of one tensor in a storage of six float32.
func floats(t testing.TB, elements, offset int64, shape, stride string) []byte {
	return pack(t, part{name: "m/data.pkl", data: dictOf(tensorOf("FloatStorage", "0", elements, offset, shape, stride))},
		part{name: "m/data/0", data: strings.Repeat("\x00\x00\x80\x3f", 6)})
}

func pickled(t testing.TB, pickle string) []byte {
	return pack(t, part{name: "m/data.pkl", data: pickle})
}

func TestAttacks(t *testing.T) {
	huge := int64(1) << 62
	whole := floats(t, 6, 0, nums(2, 3), nums(3, 1))
	if f, err := Read(bytes.NewReader(whole), int64(len(whole))); err != nil || len(f.Tensors) != 1 || f.Tensors[0].Size != 24 {
		t.Fatalf("the sound file: %v, %v", f, err)
	}
	type attack struct {
		file        []byte
		reason      string
		unsupported bool
	}
	attacks := map[string]attack{
		"nothing":               {nil, "no archive", false},
		"text":                  {[]byte("PK\x03\x04, he said"), "no archive", false},
		"cut":                   {whole[:len(whole)-30], "no archive", false},
		"cut in front":          {whole[40:], "local header", false},
		"nothing in it":         {pack(t), "without data.pkl", true},
		"no pickle":             {pack(t, part{name: "m/data/0"}), "without data.pkl", true},
		"two pickles":           {pack(t, part{name: "a/data.pkl"}, part{name: "b/data.pkl"}), "second data.pkl", false},
		"the same entry twice":  {pack(t, part{name: "a/data.pkl"}, part{name: "a/data.pkl"}), "occurs twice", false},
		"big-endian":            {pack(t, part{name: "m/data.pkl", data: "\x80\x02}."}, part{name: "m/byteorder", data: "big"}), "want little", true},
		"compressed":            {pack(t, part{name: "m/data.pkl", data: strings.Repeat("N0", 1<<20), method: zip.Deflate}), "is compressed", true},
		"empty pickle":          {pickled(t, ""), "ends in the middle", false},
		"number":                {pickled(t, "K\x01."), "not a dictionary", true},
		"list":                  {pickled(t, "]."), "not a dictionary", true},
		"protocol 6":            {pickled(t, "\x80\x06}."), "protocol 6", true},
		"runs a command":        {pickled(t, "cos\nsystem\n(X\x02\x00\x00\x00idtR."), "os.system", true},
		"by its stack":          {pickled(t, "\x8c\x02os\x8c\x06system\x93(\x8c\x02idtR."), "os.system", true},
		"builtins":              {pickled(t, "cbuiltins\neval\n(\x8c\x011tR."), "builtins.eval", true},
		"instance":              {pickled(t, "(ios\nsystem\n."), "0x69", true},
		"new object":            {pickled(t, "ctorch\nSize\n)\x81."), "0x81", true},
		"extension registry":    {pickled(t, "\x82\x01."), "0x82", true},
		"calls a number":        {pickled(t, "K\x01)R."), "calls", false},
		"calls without a tuple": {pickled(t, "ctorch\nSize\nK\x01R."), "calls", false},
		"state of a number":     {pickled(t, "K\x01}b."), "sets the state", false},
		"adds to a number":      {pickled(t, "K\x01K\x02a."), "adds to", false},
		"key without value":     {pickled(t, "}(K\x01u."), "key without", false},
		"mark as a value":       {pickled(t, "}(."), "mark", false},
		"mark in a tuple":       {pickled(t, "(\x85."), "mark", false},
		"no mark":               {pickled(t, "K\x01t."), "no mark", false},
		"left over":             {pickled(t, "}}."), "left over", false},
		"nothing on the stack":  {pickled(t, "."), "nothing on the stack", false},
		"memo":                  {pickled(t, "h\x05."), "was not stored", false},
		"long string":           {pickled(t, "X\xff\xff\xff\xffx"), "in the middle", false},
		"longest string":        {pickled(t, "\x8d\xff\xff\xff\xff\xff\xff\xff\xffx"), "in the middle", false},
		"name without an end":   {pickled(t, "ctorch"), "middle of a name", false},
		"deep stack":            {pickled(t, strings.Repeat("N", maxStack+2)), "on the stack", false},
		"other persistent id":   {pickled(t, "K\x01Q."), "no storage", false},
		"tensor of nothing":     {pickled(t, "ctorch._utils\n_rebuild_tensor_v2\n(NNNNNNtR."), "without a storage", false},

		"negative dimension": {floats(t, 6, 0, nums(-2, -3), nums(3, 1)), "does not lie in", false},
		"negative stride":    {floats(t, 6, 5, nums(2, 3), nums(-3, -1)), "does not lie in", false},
		"negative offset":    {floats(t, 6, -1, nums(2, 3), nums(3, 1)), "does not lie in", false},
		"offset":             {floats(t, 6, 1, nums(2, 3), nums(3, 1)), "does not lie in", false},
		"offset past end":    {floats(t, 6, huge, nums(1), nums(1)), "does not lie in", false},
		"too large":          {floats(t, 6, 0, nums(7), nums(1)), "does not lie in", false},
		"overflow":           {floats(t, 6, 0, nums(huge, huge), nums(0, 0)), "does not lie in", false},
		"stride overflow":    {floats(t, 6, 0, nums(3, 2), nums(huge, 1)), "does not lie in", false},
		"expanded for ever":  {floats(t, 6, 0, nums(huge), nums(0)), "does not lie in", false},
		"fewer strides":      {floats(t, 6, 0, nums(2, 3), nums(1)), "strides", false},
		"rank 33":            {floats(t, 6, 0, "("+strings.Repeat("K\x01", 33)+"t", nums(1)), "without a storage", false},
		"storage of others":  {floats(t, 5, 0, nums(5), nums(1)), "want 5 elements", false},
		"storage too small":  {floats(t, 7, 0, nums(7), nums(1)), "want 7 elements", false},
		"no such storage": {pickled(t, dictOf(tensorOf("FloatStorage", "9", 1, 0, nums(1), nums(1)))),
			"no storage \"9\"", false},
		"path for a storage": {pickled(t, dictOf(tensorOf("FloatStorage", "../../etc/passwd", 1, 0, nums(1), nums(1)))),
			"no storage", false},
		"unknown storage": {pickled(t, dictOf(tensorOf("QUInt8Storage", "0", 1, 0, nums(1), nums(1)))), "QUInt8Storage", true},
	}
	overlapping := bytes.Clone(whole)
	// The directory's offset of the second entry becomes the first's: entries
	// of one place.
	first := bytes.Index(overlapping, []byte("PK\x01\x02"))
	second := first + 4 + bytes.Index(overlapping[first+4:], []byte("PK\x01\x02"))
	copy(overlapping[second+42:second+46], overlapping[first+42:first+46])
	attacks["overlap"] = attack{overlapping, "overlaps", false}

	for name, a := range attacks {
		t.Run(name, func(t *testing.T) {
			f, err := Read(bytes.NewReader(a.file), int64(len(a.file)))
			var format *FormatError
			if !errors.As(err, &format) || !strings.Contains(err.Error(), a.reason) {
				t.Fatalf("%v, %v; want an error with %q", f, err, a.reason)
			}
			if errors.Is(err, errors.ErrUnsupported) != a.unsupported {
				t.Errorf("%v: unsupported is %v", err, !a.unsupported)
			}
		})
	}
}

// TestCutAndChanged reads every beginning of a file, and the file with each
// byte changed: an error or tensors inside the file, and never a panic.
func TestCutAndChanged(t *testing.T) {
	whole := floats(t, 6, 0, nums(2, 3), nums(3, 1))
	for n := range whole {
		check(t, whole[:n])
		for _, flip := range []byte{1, 0x80, 0xff} {
			b := bytes.Clone(whole)
			b[n] ^= flip
			check(t, b)
		}
	}
}

// check reads a file of any contents.
func check(t testing.TB, file []byte) {
	t.Helper()
	f, err := Read(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		if format := (*FormatError)(nil); !errors.As(err, &format) {
			t.Fatalf("%T: %v", err, err)
		}
		return
	}
	lists := [][]Tensor{f.Tensors}
	for _, l := range f.Dicts {
		lists = append(lists, l)
	}
	for _, l := range lists {
		for _, x := range l {
			if x.Offset < 0 || x.Size < 0 || x.Dense && x.Offset > int64(len(file))-x.Size {
				t.Fatalf("%+v in a file of %d bytes", x, len(file))
			}
		}
	}
}

// TestMemory holds a hostile pickle to memory in proportion to its length.
func TestMemory(t *testing.T) {
	// Tuples of tuples of tuples…: the value has 2^200 leaves if it is walked.
	bomb := "N"
	for range 200 {
		bomb += "2\x86" // DUP, TUPLE2
	}
	file := pickled(t, bomb+".")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Read(bytes.NewReader(file), int64(len(file)))
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; err == nil || grown > 1<<20 {
		t.Errorf("%d bytes for a file of %d: %v", grown, len(file), err)
	}
}

func FuzzRead(f *testing.F) {
	for _, pattern := range []string{"testdata/*.pt", "testdata/*.bin"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range names {
			file, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(file)
		}
	}
	f.Add(floats(f, 6, 0, nums(2, 3), nums(3, 1)))
	f.Fuzz(func(t *testing.T, file []byte) { check(t, file) })
}

// FuzzPickle fuzzes behind the checksums of the archive.
func FuzzPickle(f *testing.F) {
	f.Add(dictOf(tensorOf("FloatStorage", "0", 6, 0, nums(2, 3), nums(3, 1))))
	f.Add("\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94K\x01u.")
	f.Fuzz(func(t *testing.T, pickle string) {
		check(t, pack(t, part{name: "m/data.pkl", data: pickle}, part{name: "m/data/0", data: strings.Repeat("x", 24)}))
	})
}

func ExampleRead() {
	file, err := os.Open("testdata/training.pt")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := Read(file, info.Size())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range f.Dicts["model_state_dict"] {
		fmt.Println(t.Name, t.DType, t.Shape)
	}
	// Output:
	// steps int64 []
	// norm.weight float32 [4]
	// proj.weight float32 [6 4]
}
