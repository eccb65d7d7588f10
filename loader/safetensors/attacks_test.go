package safetensors_test

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// file is a safetensors file with the given header text and n bytes of data.
func file(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, n)...)
}

// entry describes a tensor.
func entry(name, dtype, shape string, begin, end any) string {
	return fmt.Sprintf(`%q:{"dtype":%q,"shape":%s,"data_offsets":[%v,%v]}`, name, dtype, shape, begin, end)
}

func header(members ...string) string { return "{" + strings.Join(members, ",") + "}" }

// sound are files that must be accepted.
var sound = map[string][]byte{
	"empty":           file("{}", 0),
	"padded":          file("{}      ", 0),
	"one":             file(header(entry("a", "F32", "[2,3]", 0, 24)), 24),
	"unsorted":        file(header(entry("b", "F32", "[1]", 4, 8), entry("a", "F32", "[1]", 0, 4)), 8),
	"scalar":          file(header(entry("a", "I64", "[]", 0, 8)), 8),
	"no elements":     file(header(entry("a", "F32", "[0,5]", 0, 0), entry("b", "U8", "[1]", 0, 1)), 1),
	"metadata":        file(`{"__metadata__":{"format":"pt"}}`, 0),
	"null metadata":   file(`{"__metadata__":null}`, 0),
	"half bytes":      file(header(entry("a", "F4", "[2]", 0, 1)), 1),
	"spaced":          file("{\n \"a\" : { \"shape\" : [ 1 , 2 ] , \"data_offsets\" : [ 0 , 2 ] , \"dtype\" : \"U8\" } }", 2),
	"unknown member":  file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"note":{"x":[]}}}`, 1),
	"escaped name":    file(`{"\u0061\"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1),
	"not in any repo": file(header(entry("é/𝔸", "BOOL", "[1]", 0, 1)), 1),
}

// attack is a file that must be refused, for this reason.
type attack struct {
	file   []byte
	field  string
	reason string
}

func bad(reason, field string, data int, members ...string) attack {
	return attack{file(header(members...), data), field, reason}
}

var attacks = map[string]attack{
	"nothing":                  {nil, "", "shorter than"},
	"seven bytes":              {make([]byte, 7), "", "shorter than"},
	"no header":                {make([]byte, 8), "", "does not begin with {"},
	"header longer than file":  {append(binary.LittleEndian.AppendUint64(nil, 100), "{}"...), "", "header of 100 bytes in a file of 10"},
	"header of 2⁶⁴−1 bytes":    {append(binary.LittleEndian.AppendUint64(nil, 1<<64-1), "{}"...), "", "at most 100000000"},
	"header above the limit":   {append(binary.LittleEndian.AppendUint64(nil, 100_000_001), "{}"...), "", "at most 100000000"},
	"no JSON":                  {file("{]", 0), "", "malformed JSON"},
	"leading space":            {file(" {}", 0), "", "does not begin with {"},
	"two objects":              {file("{}{}", 0), "", "malformed JSON"},
	"not UTF-8":                {file("{\"\xff\":1}", 0), "", "not valid UTF-8"},
	"zeros behind":             {file("{}\x00", 0), "", "malformed JSON"},
	"tensor is a list":         bad("not an object", "a", 0, `"a":[]`),
	"metadata of a number":     bad("not a string", "__metadata__", 0, `"__metadata__":{"x":1}`),
	"metadata of a null":       bad("not a string", "__metadata__", 0, `"__metadata__":{"x":null}`),
	"metadata is a list":       bad("not a map", "__metadata__", 0, `"__metadata__":[]`),
	"same name twice":          bad("occurs twice", "", 2, entry("a", "U8", "[1]", 0, 1), entry("a", "U8", "[1]", 1, 2)),
	"same name, escaped":       bad("occurs twice", "", 2, entry("a", "U8", "[1]", 0, 1), strings.Replace(entry("a", "U8", "[1]", 1, 2), `"a"`, `"\u0061"`, 1)),
	"same member twice":        bad("occurs twice", "a", 2, `"a":{"dtype":"U8","shape":[1],"shape":[2],"data_offsets":[0,2]}`),
	"no dtype":                 bad("no dtype", "a", 0, `"a":{"shape":[0],"data_offsets":[0,0]}`),
	"dtype is a number":        bad("no dtype", "a", 0, `"a":{"dtype":7,"shape":[0],"data_offsets":[0,0]}`),
	"unknown dtype":            bad(`unknown dtype "F7"`, "a", 0, entry("a", "F7", "[0]", 0, 0)),
	"no shape":                 bad("shape: not a list", "a", 0, `"a":{"dtype":"U8","data_offsets":[0,0]}`),
	"shape is a number":        bad("shape: not a list", "a", 1, entry("a", "U8", "1", 0, 1)),
	"shape of strings":         bad("not a whole number", "a", 1, entry("a", "U8", `["1"]`, 0, 1)),
	"shape of lists":           bad("not a whole number", "a", 1, entry("a", "U8", `[[1]]`, 0, 1)),
	"negative dimension":       bad("not a whole number", "a", 1, entry("a", "U8", "[-1]", 0, 1)),
	"two negative dimensions":  bad("not a whole number", "a", 1, entry("a", "U8", "[-1,-1]", 0, 1)),
	"fraction":                 bad("not a whole number", "a", 1, entry("a", "U8", "[1.0]", 0, 1)),
	"exponent":                 bad("not a whole number", "a", 10, entry("a", "U8", "[1e1]", 0, 10)),
	"dimension of 2⁶⁴":         bad("not a whole number", "a", 1, entry("a", "U8", "[18446744073709551616]", 0, 1)),
	"elements overflow":        bad("overflows", "a", 0, entry("a", "U8", "[4294967296,4294967296]", 0, 0)),
	"elements overflow to one": bad("overflows", "a", 1, entry("a", "U8", "[9223372036854775809,2]", 0, 1)),
	"bytes overflow":           bad("overflows", "a", 0, entry("a", "F64", "[2305843009213693952]", 0, 0)),
	"overflow, then zero":      bad("overflows", "a", 0, entry("a", "U8", "[4294967296,4294967296,0]", 0, 0)),
	"many dimensions":          bad("more than 32", "a", 1, entry("a", "U8", "["+strings.Repeat("1,", 32)+"1]", 0, 1)),
	"no offsets":               bad("data_offsets: not a list", "a", 0, `"a":{"dtype":"U8","shape":[0]}`),
	"one offset":               bad("not a begin and an end", "a", 0, `"a":{"dtype":"U8","shape":[0],"data_offsets":[0]}`),
	"three offsets":            bad("not a begin and an end", "a", 0, `"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0,0]}`),
	"end before begin":         bad("not a begin and an end", "a", 8, entry("a", "U8", "[4]", 4, 0)),
	"negative offset":          bad("not a whole number", "a", 8, entry("a", "U8", "[4]", -4, 0)),
	"offset past the end":      bad("outside the 4 bytes", "a", 4, entry("a", "U8", "[4]", 4, 8)),
	"offset overflows":         bad("outside the 4 bytes", "a", 4, entry("a", "U8", "[4]", uint64(1<<64-5), uint64(1<<64-1))),
	"size below the shape's":   bad("takes 64 bits", "a", 4, entry("a", "F32", "[2]", 0, 4)),
	"size above the shape's":   bad("takes 32 bits", "a", 8, entry("a", "F32", "[1]", 0, 8)),
	"half a byte":              bad("takes 4 bits", "a", 1, entry("a", "F4", "[1]", 0, 1)),
	"overlap":                  bad("inside the tensor before", "b", 6, entry("a", "F32", "[1]", 0, 4), entry("b", "F32", "[1]", 2, 6)),
	"the same data twice":      bad("inside the tensor before", "b", 4, entry("a", "F32", "[1]", 0, 4), entry("b", "F32", "[1]", 0, 4)),
	"hole":                     bad("after a hole", "b", 12, entry("a", "F32", "[1]", 0, 4), entry("b", "F32", "[1]", 8, 12)),
	"hole in front":            bad("after a hole", "a", 8, entry("a", "F32", "[1]", 4, 8)),
	"bytes behind":             bad("the tensors end at", "", 8, entry("a", "F32", "[1]", 0, 4)),
	"cut":                      bad("outside the 3 bytes", "a", 3, entry("a", "F32", "[1]", 0, 4)),
	"only bytes":               {file("{}", 4), "", "the tensors end at"},
}
