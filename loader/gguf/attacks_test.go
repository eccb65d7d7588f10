package gguf_test

import (
	"encoding/binary"
	"strings"
)

// builder writes GGUF files, sound or not.
type builder struct{ b []byte }

func start(version uint32, tensors, keys uint64) *builder {
	return new(builder).raw("GGUF").u32(version).u64(tensors).u64(keys)
}

func (b *builder) raw(s string) *builder { b.b = append(b.b, s...); return b }
func (b *builder) u32(v uint32) *builder {
	b.b = binary.LittleEndian.AppendUint32(b.b, v)
	return b
}

func (b *builder) u64(v uint64) *builder {
	b.b = binary.LittleEndian.AppendUint64(b.b, v)
	return b
}
func (b *builder) str(s string) *builder { return b.u64(uint64(len(s))).raw(s) }

// key begins a pair of metadata.
func (b *builder) key(name string, kind uint32) *builder { return b.str(name).u32(kind) }

// tensor writes an entry of the directory; dims are innermost first.
func (b *builder) tensor(name string, kind uint32, offset uint64, dims ...uint64) *builder {
	b.str(name).u32(uint32(len(dims)))
	for _, d := range dims {
		b.u64(d)
	}
	return b.u32(kind).u64(offset)
}

// data pads to the alignment and adds n bytes.
func (b *builder) data(align, n int) []byte {
	for len(b.b)%align != 0 {
		b.b = append(b.b, 0)
	}
	return append(b.b, make([]byte, n)...)
}

// Metadata value types.
const (
	u8 = iota
	i8
	u16
	i16
	u32
	i32
	f32
	boolean
	str
	array
	u64
	i64
	f64
)

var sound = map[string][]byte{
	"empty":             start(3, 0, 0).b,
	"version 2":         start(2, 0, 0).b,
	"one tensor":        start(3, 1, 0).tensor("a", 0, 0, 3, 2).data(32, 24),
	"scalar":            start(3, 1, 0).tensor("a", 24, 0).data(32, 1),
	"blocks":            start(3, 1, 0).tensor("a", 8, 0, 64, 2).data(32, 136),
	"alignment of 8":    start(3, 1, 1).key("general.alignment", u32).u32(8).tensor("a", 0, 0, 1).data(8, 4),
	"unsorted":          start(3, 2, 0).tensor("a", 0, 32, 1).tensor("b", 0, 0, 8).data(32, 36),
	"unused bytes":      start(3, 2, 0).tensor("a", 0, 0, 1).tensor("b", 0, 96, 1).data(32, 200),
	"no elements":       start(3, 2, 0).tensor("a", 0, 0, 0, 5).tensor("b", 0, 0, 1).data(32, 4),
	"nested array":      start(3, 0, 1).key("k", array).u32(array).u64(2).u32(u8).u64(1).raw("x").u32(str).u64(1).str("yz").b,
	"array of nothing":  start(3, 0, 1).key("k", array).u32(str).u64(0).b,
	"scalars":           start(3, 0, 3).key("a", boolean).raw("\x01").key("b", f64).u64(0).key("c", str).str("").b,
	"padding cut short": start(3, 0, 1).key("a", u8).raw("\x01").b,
}

type attack struct {
	file   []byte
	field  string
	reason string
}

// deep is arrays within arrays.
func deep(n int) []byte {
	b := start(3, 0, 1).key("k", array)
	for range n {
		b.u32(array).u64(1)
	}
	return b.u32(u8).u64(1).raw("x").b
}

var attacks = map[string]attack{
	"nothing":                  {nil, "", "the header alone has 24"},
	"magic alone":              {[]byte("GGUF"), "", "the header alone has 24"},
	"another magic":            {new(builder).raw("GGML").u32(3).u64(0).u64(0).b, "", "not with GGUF"},
	"version 0":                {start(0, 0, 0).b, "", "version 0"},
	"version 1":                {start(1, 0, 0).b, "", "version 1"},
	"version 4":                {start(4, 0, 0).b, "", "version 4"},
	"big-endian":               {start(3<<24, 0, 0).b, "", "big-endian"},
	"2⁶⁴−1 keys":               {start(3, 0, 1<<64-1).b, "", "the file ends here"},
	"2⁶⁴−1 tensors":            {start(3, 1<<64-1, 0).b, "", "the file ends here"},
	"one key too many":         {start(3, 0, 2).key("a", u8).raw("x").b, "", "the file ends here"},
	"key of 2⁶⁴−1 bytes":       {start(3, 0, 1).u64(1<<64 - 1).b, "", "string of 18446744073709551615 bytes"},
	"key past the end":         {start(3, 0, 1).u64(9).raw("12345678").b, "", "string of 9 bytes, but only 8"},
	"empty key":                {start(3, 0, 1).key("", u8).raw("x").b, "", "a name of 0 bytes"},
	"long key":                 {start(3, 0, 1).key(strings.Repeat("x", 1<<16), u8).raw("x").b, "", "a name of 65536 bytes"},
	"key not UTF-8":            {start(3, 0, 1).key("\xff", u8).raw("x").b, "", "of UTF-8"},
	"same key twice":           {start(3, 0, 2).key("a", u8).raw("x").key("a", u8).raw("x").b, "a", "occurs twice"},
	"unknown value type":       {start(3, 0, 1).key("a", 13).u64(0).b, "a", "unknown value type 13"},
	"bool of 2":                {start(3, 0, 1).key("a", boolean).raw("\x02").b, "a", "a bool of value 2"},
	"string past the end":      {start(3, 0, 1).key("a", str).u64(1 << 40).b, "a", "string of 1099511627776 bytes"},
	"array of unknown type":    {start(3, 0, 1).key("a", array).u32(99).u64(0).b, "a", "unknown element type 99"},
	"array past the end":       {start(3, 0, 1).key("a", array).u32(f32).u64(1 << 60).u64(0).b, "a", "array of 1152921504606846976 elements"},
	"array of 2⁶⁴−1 strings":   {start(3, 0, 1).key("a", array).u32(str).u64(1<<64 - 1).b, "a", "elements, but only 0"},
	"strings past the end":     {start(3, 0, 1).key("a", array).u32(str).u64(2).str("x").u64(5).b, "a", "string of 5 bytes"},
	"bools of 2":               {start(3, 0, 1).key("a", array).u32(boolean).u64(1).raw("\x02").b, "a", "a bool of value 2"},
	"deep array":               {deep(5), "k", "more than 4 deep"},
	"very deep array":          {deep(100000), "k", "more than 4 deep"},
	"alignment is a string":    {start(3, 0, 1).key("general.alignment", str).str("32").b, "general.alignment", "want integers"},
	"alignment of 0":           {start(3, 0, 1).key("general.alignment", u32).u32(0).b, "general.alignment", "alignment of 0"},
	"alignment of 24":          {start(3, 0, 1).key("general.alignment", u32).u32(24).b, "general.alignment", "power of two"},
	"alignment of 2³¹":         {start(3, 0, 1).key("general.alignment", u32).u32(1 << 31).b, "general.alignment", "power of two"},
	"alignment of 2⁶⁴−1":       {start(3, 0, 1).key("general.alignment", u64).u64(1<<64 - 1).b, "general.alignment", "power of two"},
	"negative alignment":       {start(3, 0, 1).key("general.alignment", i64).u64(1<<64 - 8).b, "general.alignment", "power of two"},
	"two alignments":           {start(3, 0, 1).key("general.alignment", array).u32(u32).u64(2).u32(8).u32(8).b, "general.alignment", "want an integer"},
	"same tensor twice":        {start(3, 2, 0).tensor("a", 0, 0, 1).tensor("a", 0, 32, 1).data(32, 36), "a", "occurs twice"},
	"unnamed tensor":           {start(3, 1, 0).tensor("", 0, 0, 1).data(32, 4), "", "a name of 0 bytes"},
	"five dimensions":          {start(3, 1, 0).tensor("a", 0, 0, 1, 1, 1, 1, 1).data(32, 4), "a", "5 dimensions"},
	"2³²−1 dimensions":         {start(3, 1, 0).str("a").u32(1<<32-1).data(32, 4), "a", "4294967295 dimensions"},
	"elements overflow":        {start(3, 1, 0).tensor("a", 0, 0, 1<<32, 1<<32).data(32, 4), "a", "overflows"},
	"elements overflow to 1":   {start(3, 1, 0).tensor("a", 24, 0, 1<<63+1, 2).data(32, 4), "a", "overflows"},
	"bytes overflow":           {start(3, 1, 0).tensor("a", 28, 0, 1<<61).data(32, 4), "a", "overflows"},
	"unknown tensor type":      {start(3, 1, 0).tensor("a", 99, 0, 1).data(32, 4), "a", "unknown tensor type 99"},
	"removed tensor type":      {start(3, 1, 0).tensor("a", 4, 0, 32).data(32, 24), "a", "unknown tensor type 4"},
	"part of a block":          {start(3, 1, 0).tensor("a", 8, 0, 33).data(32, 68), "a", "no whole number of Q8_0 blocks"},
	"blocks across rows":       {start(3, 1, 0).tensor("a", 8, 0, 16, 2).data(32, 34), "a", "no whole number of Q8_0 blocks"},
	"blocks of a scalar":       {start(3, 1, 0).tensor("a", 8, 0).data(32, 34), "a", "no whole number of Q8_0 blocks"},
	"offset not aligned":       {start(3, 1, 0).tensor("a", 0, 4, 1).data(32, 8), "a", "not a multiple of the alignment"},
	"offset past the end":      {start(3, 1, 0).tensor("a", 0, 1<<40, 1).data(32, 4), "a", "outside the file"},
	"offset overflows":         {start(3, 1, 0).tensor("a", 0, 1<<64-32, 1).data(32, 4), "a", "outside the file"},
	"data past the end":        {start(3, 1, 0).tensor("a", 0, 0, 2).data(32, 4), "a", "ends at byte"},
	"data cut":                 {start(3, 1, 0).tensor("a", 0, 0, 2).data(32, 7), "a", "ends at byte"},
	"data missing":             {start(3, 1, 0).tensor("a", 0, 0, 2).b, "a", "ends at byte"},
	"offset just past the end": {start(3, 1, 0).tensor("a", 0, 32, 1).data(32, 32), "a", "ends at byte"},
	"overlap":                  {start(3, 2, 0).tensor("a", 0, 0, 16).tensor("b", 0, 32, 8).data(32, 96), "b", "overlaps"},
	"the same data twice":      {start(3, 2, 0).tensor("a", 0, 0, 8).tensor("b", 0, 0, 8).data(32, 96), "b", "overlaps"},
}
