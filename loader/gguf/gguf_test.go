package gguf_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/loader/gguf"
)

func read(data []byte) (*gguf.File, error) {
	return gguf.Read(bytes.NewReader(data), int64(len(data)))
}

func TestSound(t *testing.T) {
	for name, data := range sound {
		if _, err := read(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	f, err := read(sound["unsorted"])
	if err != nil {
		t.Fatal(err)
	}
	a, b := f.Tensors[0], f.Tensors[1]
	if a.Name != "a" || b.Name != "b" || a.Offset != b.Offset+32 || b.Offset%32 != 0 {
		t.Errorf("tensors that are not in the order of their data: %+v", f.Tensors)
	}
	if f, err = read(sound["one tensor"]); err != nil || !reflect.DeepEqual(f.Tensors[0].Shape, []int{2, 3}) || f.Tensors[0].Size != 24 {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err = read(sound["nested array"]); err != nil || !reflect.DeepEqual(f.Metadata["k"], []any{[]uint8("x"), []string{"yz"}}) {
		t.Errorf("%#v, %v", f, err)
	}
}

func TestAttacks(t *testing.T) {
	for name, a := range attacks {
		_, err := read(a.file)
		var f *gguf.FormatError
		if !errors.As(err, &f) || f.Field != a.field || !strings.Contains(err.Error(), a.reason) {
			t.Errorf("%s: error %v, want %q about %q", name, err, a.reason, a.field)
		}
	}
	for _, name := range []string{"version 1", "version 4", "big-endian", "unknown tensor type"} {
		if _, err := read(attacks[name].file); !errors.Is(err, gguf.ErrUnsupported) {
			t.Errorf("%s: %v is no ErrUnsupported", name, err)
		}
	}
}

// TestCut cuts files, one that llama.cpp's converter wrote among them, at every
// length.
func TestCut(t *testing.T) {
	whole, err := os.ReadFile(filepath.Join("..", "..", "testdata", "golden", "gguf-q4_0", "model.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, data []byte, n int) {
		_, err := read(data[:n])
		var f *gguf.FormatError
		if !errors.As(err, &f) {
			t.Errorf("%s, cut to %d bytes of %d: error %v", name, n, len(data), err)
		}
	}
	header := 13152 // where its data begins
	for n := range header + 100 {
		check("gguf-q4_0", whole, n)
	}
	for n := header; n < len(whole); n += 997 {
		check("gguf-q4_0", whole, n)
	}
	check("gguf-q4_0", whole, len(whole)-1)
	data := sound["unsorted"]
	for n := range data {
		check("unsorted", data, n)
	}
}

func TestShrunk(t *testing.T) {
	data := sound["unsorted"]
	for n := range len(data) - 100 {
		if _, err := gguf.Read(bytes.NewReader(data[:n]), int64(len(data))); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: error %v", n, err)
		}
	}
}

// TestWrite writes every type that the format has and reads it back.
func TestWrite(t *testing.T) {
	metadata := []gguf.KeyValue{
		{Key: "u8", Value: uint8(200)}, {Key: "i8", Value: int8(-100)}, {Key: "u16", Value: uint16(60000)}, {Key: "i16", Value: int16(-30000)},
		{Key: "u32", Value: uint32(4e9)}, {Key: "i32", Value: int32(-2e9)}, {Key: "u64", Value: uint64(1 << 63)}, {Key: "i64", Value: int64(-1 << 62)},
		{Key: "f32", Value: float32(1.5)}, {Key: "f64", Value: math.Pi}, {Key: "yes", Value: true}, {Key: "no", Value: false},
		{Key: "text", Value: "▁é"}, {Key: "texts", Value: []string{"", "a", "bc"}}, {Key: "bools", Value: []bool{true, false}},
		{Key: "i32s", Value: []int32{1, -2, 3}}, {Key: "f32s", Value: []float32{0.5, -1}}, {Key: "u8s", Value: []uint8{1, 2}},
		{Key: "f64s", Value: []float64{1e300}}, {Key: "u64s", Value: []uint64{1 << 63, 5}}, {Key: "none", Value: []int16{}},
		{Key: "i8s", Value: []int8{-1}}, {Key: "u16s", Value: []uint16{1, 65535}}, {Key: "i64s", Value: []int64{-5}}, {Key: "u32s", Value: []uint32{7}},
	}
	tensors := []gguf.Source{
		{Name: "a", Type: gguf.F32, Shape: []int{2, 3}, Data: bytesOf(24, 1)},
		{Name: "b", Type: gguf.Q8_0, Shape: []int{2, 64}, Data: bytesOf(136, 2)},
		{Name: "c", Type: gguf.Q6_K, Shape: []int{256}, Data: bytesOf(210, 3)},
	}
	var out bytes.Buffer
	if err := gguf.Write(&out, metadata, tensors); err != nil {
		t.Fatal(err)
	}
	f, err := read(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range metadata {
		if got := f.Metadata[kv.Key]; !reflect.DeepEqual(got, kv.Value) {
			t.Errorf("%s: %#v, want %#v", kv.Key, got, kv.Value)
		}
	}
	for i, s := range tensors {
		e := f.Tensors[i]
		if e.Name != s.Name || e.Type != s.Type || !reflect.DeepEqual(e.Shape, s.Shape) || e.Offset%32 != 0 {
			t.Errorf("%+v, want %+v", e, s)
		}
		for _, b := range out.Bytes()[e.Offset : e.Offset+e.Size] {
			if b != byte(i+1) {
				t.Fatalf("data of %s is %d", e.Name, b)
			}
		}
	}
	for _, bad := range []gguf.Source{
		{Name: "a", Type: gguf.Q8_0, Shape: []int{33}},
		{Name: "a", Type: 99, Shape: []int{32}},
		{Name: "a", Type: gguf.F32, Shape: []int{4}, Data: bytesOf(15, 0)},
	} {
		if err := gguf.Write(io.Discard, nil, []gguf.Source{bad}); err == nil {
			t.Errorf("%+v was written", bad)
		}
	}
	for _, v := range []any{nil, 5, []int{5}, map[string]int{}, struct{}{}, [][]string{}} {
		if err := gguf.Write(io.Discard, []gguf.KeyValue{{Key: "k", Value: v}}, nil); !errors.Is(err, gguf.ErrUnsupported) {
			t.Errorf("%#v: error %v", v, err)
		}
	}
}

func bytesOf(n int, value byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(bytes.Repeat([]byte{value}, n))
		return err
	}
}

func TestAccessors(t *testing.T) {
	f := &gguf.File{Metadata: map[string]any{
		"small": int8(-3), "large": uint64(1<<64 - 1), "list": []uint16{1, 2}, "one": []uint32{9},
		"f": float32(0.5), "text": "x", "texts": []string{"a"},
	}}
	if v, ok, err := f.Int("small"); v != -3 || !ok || err != nil {
		t.Error(v, ok, err)
	}
	if v, ok, err := f.Int("large"); v != math.MaxInt64 || !ok || err != nil {
		t.Error(v, ok, err)
	}
	if v, ok, err := f.Ints("list"); !reflect.DeepEqual(v, []int64{1, 2}) || !ok || err != nil {
		t.Error(v, ok, err)
	}
	if v, ok, err := f.Float("f"); v != 0.5 || !ok || err != nil {
		t.Error(v, ok, err)
	}
	if v, ok, err := gguf.Get[[]string](f, "texts"); len(v) != 1 || !ok || err != nil {
		t.Error(v, ok, err)
	}
	for name, err := range map[string]error{
		"an int of a list":   second(f.Int("list")),
		"an int of a text":   second(f.Int("text")),
		"a float of an int":  second(f.Float("small")),
		"texts of one":       second(gguf.Get[[]string](f, "text")),
		"a missing int":      second(f.Int("missing")),
		"a missing float":    second(f.Float("missing")),
		"a missing text":     second(gguf.Get[string](f, "missing")),
		"a missing int list": second(f.Ints("missing")),
	} {
		if missing := strings.Contains(name, "missing"); (err == nil) != missing {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func second[T any](_ T, ok bool, err error) error {
	if ok {
		return errors.New("found")
	}
	return err
}

// TestAllocations bounds what reading headers of a size can allocate.
func TestAllocations(t *testing.T) {
	const size = 1 << 20
	texts := start(3, 0, 1).key("k", array).u32(str).u64(size / 8)
	lists := start(3, 0, 1).key("k", array).u32(array).u64(size / 12)
	keys := start(3, 0, size/20)
	entries := start(3, size/40, 0)
	for i := range size / 8 {
		texts.str("")
		if i < size/12 {
			lists.u32(u8).u64(0)
		}
		if i < size/20 {
			keys.key(strings.Repeat("k", 6)+string(rune(0x4e00+i%20000))+string(rune(0x4e00+i/20000)), u8).raw("x")
		}
		if i < size/40 {
			entries.tensor(string(rune(0x4e00+i%20000))+string(rune(0x4e00+i/20000)), 24, 0, 0)
		}
	}
	for name, data := range map[string][]byte{
		"empty texts":  texts.b,
		"empty lists":  lists.b,
		"short keys":   keys.b,
		"tensors":      entries.data(32, 32),
		"a long text":  start(3, 0, 1).key("k", str).str(strings.Repeat("x", size)).b,
		"bytes":        start(3, 0, 1).key("k", array).u32(u8).u64(size).raw(strings.Repeat("x", size)).b,
		"false length": append(start(3, 0, 1).key("k", array).u32(u8).u64(1<<40).b, make([]byte, size)...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := read(data)
		runtime.ReadMemStats(&after)
		// The worst are texts of no bytes, which take 8 in the file and a header of
		// 16 here, and tables of names, which double as they grow.
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(12*len(data)); got > limit {
			t.Errorf("%s: %d bytes allocated for a file of %d (error %v)", name, got, len(data), err)
		}
	}
}

// FuzzRead: whatever is accepted lies within the file and does not overlap.
func FuzzRead(f *testing.F) {
	for _, data := range sound {
		f.Add(data)
	}
	for _, a := range attacks {
		f.Add(a.file)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := read(data)
		if err != nil {
			var bad *gguf.FormatError
			if !errors.As(err, &bad) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		seen := map[string]bool{}
		for i, e := range file.Tensors {
			if seen[e.Name] || e.Offset < 24 || e.Size < 0 || e.Offset+e.Size > int64(len(data)) || e.Offset%file.Alignment != 0 {
				t.Fatalf("accepted %+v in a file of %d bytes", e, len(data))
			}
			seen[e.Name] = true
			for _, o := range file.Tensors[:i] {
				if e.Size > 0 && o.Size > 0 && e.Offset < o.Offset+o.Size && o.Offset < e.Offset+e.Size {
					t.Fatalf("%+v overlaps %+v", e, o)
				}
			}
		}
	})
}
