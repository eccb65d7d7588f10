package safetensors_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/loader/safetensors"
)

func read(data []byte) (*safetensors.Header, error) {
	return safetensors.ReadHeader(bytes.NewReader(data), int64(len(data)))
}

func TestReadHeader(t *testing.T) {
	for name, data := range sound {
		if _, err := read(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	h, err := read(file(header(`"__metadata__":{"k":"v"}`, entry("b", "F16", "[1,2]", 8, 12), entry("a", "F64", "[]", 0, 8)), 12))
	if err != nil {
		t.Fatal(err)
	}
	data := h.Tensors[0].Offset
	want := &safetensors.Header{
		Metadata: map[string]string{"k": "v"},
		Tensors: []safetensors.Tensor{
			{Name: "a", DType: safetensors.F64, Offset: data, Size: 8},
			{Name: "b", DType: safetensors.F16, Shape: []int{1, 2}, Offset: data + 8, Size: 4},
		},
	}
	if !reflect.DeepEqual(h, want) {
		t.Errorf("got %+v, want %+v", h, want)
	}
}

func TestAttacks(t *testing.T) {
	for name, a := range attacks {
		_, err := read(a.file)
		var f *safetensors.FormatError
		if !errors.As(err, &f) || f.Field != a.field || !strings.Contains(err.Error(), a.reason) {
			t.Errorf("%s: error %v, want %q about %q", name, err, a.reason, a.field)
		}
	}
}

// TestCut cuts files at every length.
func TestCut(t *testing.T) {
	for name, data := range sound {
		for n := range data {
			_, err := read(data[:n])
			var f *safetensors.FormatError
			if !errors.As(err, &f) {
				t.Errorf("%s, cut to %d bytes of %d: error %v", name, n, len(data), err)
			}
		}
	}
}

// TestShrunk reads files that are shorter than they were a moment ago.
func TestShrunk(t *testing.T) {
	data := sound["one"]
	for n := range len(data) - 24 { // all of the header, none of the data
		if _, err := safetensors.ReadHeader(bytes.NewReader(data[:n]), int64(len(data))); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: error %v", n, err)
		}
	}
}

// TestAllocations bounds what reading headers of a size can allocate.
func TestAllocations(t *testing.T) {
	many := func(member func(i int) string) string {
		var b strings.Builder
		for i := 0; b.Len() < 1<<20; i++ {
			b.WriteString(",")
			b.WriteString(member(i))
		}
		return b.String()[1:]
	}
	n := 0
	for name, data := range map[string][]byte{
		"a false length": append([]byte{0xff, 0xff, 0xff, 0x05, 0, 0, 0, 0}, make([]byte, 1<<20)...),
		"tensors": file("{"+many(func(i int) string {
			n = i + 1
			return entry(string(rune('a'+i%26))+strconv.Itoa(i), "U8", "[1]", i, i+1)
		})+"}", n),
		"one long name":   file(header(entry(strings.Repeat("x", 1<<20), "U8", "[1]", 0, 1)), 1),
		"metadata":        file(`{"__metadata__":{`+many(func(i int) string { return `"` + strconv.Itoa(i) + `":""` })+`}}`, 0),
		"a long list":     file(header(entry("a", "U8", "["+many(func(int) string { return "1" })+"]", 0, 1)), 1),
		"a deep list":     file(header(`"a":`+strings.Repeat("[", 1<<20)), 0),
		"unknown members": file(`{"a":{`+many(func(i int) string { return `"` + strconv.Itoa(i) + `":1` })+`}}`, 0),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := read(data)
		runtime.ReadMemStats(&after)
		// Reading the text, the table of names against duplicates, which doubles as
		// it grows, and a tensor's description are each a few times the header.
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(30*len(data)); got > limit {
			t.Errorf("%s: %d bytes allocated for a file of %d (error %v)", name, got, len(data), err)
		}
	}
}

func TestWrite(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var sources []safetensors.Source
	var want [][]byte
	for _, shape := range [][]int{{2, 3}, {0, 4}, {}, {5}} {
		n := 4
		for _, d := range shape {
			n *= d
		}
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		want = append(want, data)
		sources = append(sources, safetensors.Source{
			Name: "t\"é" + strconv.Itoa(len(want)), DType: safetensors.F32, Shape: shape,
			Data: func(w io.Writer) error { _, err := w.Write(data); return err },
		})
	}
	var out bytes.Buffer
	if err := safetensors.Write(&out, map[string]string{"format": "pt"}, sources); err != nil {
		t.Fatal(err)
	}
	h, err := read(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Tensors) != len(sources) || h.Metadata["format"] != "pt" || h.Tensors[0].Offset%8 != 0 {
		t.Fatalf("read back: %+v", h)
	}
	for i, s := range sources {
		for _, e := range h.Tensors {
			if e.Name == s.Name && (!bytes.Equal(out.Bytes()[e.Offset:e.Offset+e.Size], want[i]) || len(e.Shape) != len(s.Shape)) {
				t.Errorf("tensor %d came back as %+v", i, e)
			}
		}
	}

	short := sources[0]
	short.Data = func(w io.Writer) error { return nil }
	if err := safetensors.Write(io.Discard, nil, []safetensors.Source{short}); err == nil {
		t.Error("a tensor without its data was written")
	}
	for _, s := range []safetensors.Source{
		{Name: "a", DType: "F7", Shape: []int{1}},
		{Name: "a", DType: "F4", Shape: []int{1}},
		{Name: "a", DType: "U8", Shape: []int{-1}},
		{Name: "a", DType: "U8", Shape: []int{math.MaxInt, 4}},
	} {
		var f *safetensors.FormatError
		if err := safetensors.Write(io.Discard, nil, []safetensors.Source{s}); !errors.As(err, &f) {
			t.Errorf("%+v: error %v", s, err)
		}
	}
}

func TestParseIndex(t *testing.T) {
	x, err := safetensors.ParseIndex([]byte(`{"metadata":{"total_size":1},"weight_map":{"a":"m-2.safetensors","b":"m-1.safetensors","c":"m-2.safetensors"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := x.Shards(); !reflect.DeepEqual(got, []string{"m-1.safetensors", "m-2.safetensors"}) {
		t.Errorf("shards %q", got)
	}
	for text, reason := range badIndexes {
		var f *safetensors.FormatError
		if _, err := safetensors.ParseIndex([]byte(text)); !errors.As(err, &f) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: error %v, want %q", text, err, reason)
		}
	}
}

var badIndexes = map[string]string{
	``:                          "malformed JSON",
	`[]`:                        "not an object",
	`{}`:                        "not a map of file names",
	`{"weight_map":[]}`:         "not a map of file names",
	`{"weight_map":{"a":1}}`:    "not a string",
	`{"weight_map":{"a":null}}`: "not a string",
	`{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}`:             "occurs twice",
	`{"weight_map":{},"weight_map":{"a":"b.safetensors"}}`:                 "occurs twice",
	`{"weight_map":{"a":"../x.safetensors"}}`:                              "plain name",
	`{"weight_map":{"a":"/etc/x.safetensors"}}`:                            "plain name",
	`{"weight_map":{"a":"b/x.safetensors"}}`:                               "plain name",
	`{"weight_map":{"a":"..\\x.safetensors"}}`:                             "plain name",
	`{"weight_map":{"a":"C:x.safetensors"}}`:                               "plain name",
	`{"weight_map":{"a":"x\u0000.safetensors"}}`:                           "plain name",
	`{"weight_map":{"a":".safetensors"}}`:                                  "plain name",
	`{"weight_map":{"a":"passwd"}}`:                                        "plain name",
	`{"weight_map":{"a":""}}`:                                              "plain name",
	`{"weight_map":{"a":"` + strings.Repeat("../", 9) + `x.safetensors"}}`: "plain name",
}

// FuzzReadHeader: whatever is accepted has names, shapes and places that fit.
func FuzzReadHeader(f *testing.F) {
	for _, data := range sound {
		f.Add(data)
	}
	for _, a := range attacks {
		f.Add(a.file)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := read(data)
		if err != nil {
			var bad *safetensors.FormatError
			if !errors.As(err, &bad) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		seen, end := map[string]bool{}, int64(len(data))
		for i := len(h.Tensors) - 1; i >= 0; i-- { // backwards, without a gap
			e := h.Tensors[i]
			if seen[e.Name] {
				t.Fatalf("%q twice", e.Name)
			}
			seen[e.Name] = true
			elements := 1
			for _, d := range e.Shape {
				elements *= d
			}
			if int64(elements*e.DType.Bits()) != 8*e.Size || e.Offset+e.Size != end || e.Offset < 8 {
				t.Fatalf("%+v does not end at %d", e, end)
			}
			end = e.Offset
		}
	})
}

func FuzzParseIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":1},"weight_map":{"a":"m-2.safetensors","b":"m-1.safetensors"}}`))
	for text := range badIndexes {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		x, err := safetensors.ParseIndex(text)
		if err != nil {
			var bad *safetensors.FormatError
			if !errors.As(err, &bad) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		for _, shard := range x.Shards() {
			if filepath.Base(shard) != shard || !filepath.IsLocal(shard) {
				t.Fatalf("%q is no plain name", shard)
			}
		}
	})
}
