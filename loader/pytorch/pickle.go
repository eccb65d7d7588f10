package pytorch

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
)

// The values a pickle builds, besides nil, bool, int64, float64 and string.
type (
	// dict keeps the entries with string keys, which is where tensors are. A
	// key set again keeps its place and gets the new value, as in Python.
	dict struct {
		keys   []string
		values map[string]any
	}
	// list stands for lists and sets.
	list  struct{ items []any }
	tuple []any
	// class is a name that a pickle mentions. It is not looked up anywhere.
	class struct{ module, name string }
	// storage is a run of numbers in an entry of its own.
	storage struct {
		class, key string
		elements   int64
	}
	// view is a tensor: elements of a storage.
	view struct {
		storage       *storage
		offset        int64
		shape, stride []int64
	}
	// opaque is a value that is of no use here and is not looked into.
	opaque struct{}
	// mark is the bottom of a sequence on the stack.
	mark struct{}
)

func (d *dict) set(key, value any) {
	k, ok := key.(string)
	if !ok {
		return // an optimiser's states have numbers for keys
	}
	if d.values == nil {
		d.values = map[string]any{}
	}
	if _, known := d.values[k]; !known {
		d.keys = append(d.keys, k)
	}
	d.values[k] = value
}

// all are the entries, in the order in which they were added.
func (d *dict) all() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for _, k := range d.keys {
			if !yield(k, d.values[k]) {
				return
			}
		}
	}
}

// kind names a value's type in an error.
func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case *view:
		return "a tensor"
	case *list:
		return "a list"
	case tuple:
		return "a tuple"
	case class:
		return "the class " + v.String()
	default:
		return fmt.Sprintf("a value of type %T", v)
	}
}

func (c class) String() string { return c.module + "." + c.name }

// inert are classes that may be mentioned but whose values say nothing about
// tensors: PyTorch's types and what numpy puts around a number.
var inert = map[class]bool{
	{"torch", "Size"}: true, {"torch", "device"}: true,
	{"torch", "float64"}: true, {"torch", "float32"}: true, {"torch", "float16"}: true, {"torch", "bfloat16"}: true,
	{"numpy", "dtype"}: true, {"numpy.core.multiarray", "scalar"}: true, {"numpy._core.multiarray", "scalar"}: true,
	{"_codecs", "encode"}: true, {"collections", "defaultdict"}: true,
	{"builtins", "dict"}: true, {"builtins", "list"}: true, {"builtins", "set"}: true, {"builtins", "int"}: true, {"builtins", "float"}: true,
	{"__builtin__", "dict"}: true, {"__builtin__", "list"}: true, {"__builtin__", "set"}: true, {"__builtin__", "int"}: true, {"__builtin__", "float"}: true,
}

// The classes and functions whose effect is known.
var (
	orderedDict      = class{"collections", "OrderedDict"}
	rebuildTensor    = class{"torch._utils", "_rebuild_tensor"}
	rebuildTensorV2  = class{"torch._utils", "_rebuild_tensor_v2"}
	rebuildParameter = class{"torch._utils", "_rebuild_parameter"}
)

func allowed(c class) bool {
	if _, isStorage := storageTypes[c.name]; isStorage && c.module == "torch" {
		return true
	}
	return inert[c] || c == orderedDict || c == rebuildTensor || c == rebuildTensorV2 || c == rebuildParameter
}

// Bounds of what is built: an instruction may build something new, but never
// more than a constant.
const (
	maxStack = 1 << 20
	maxRank  = 32
)

// machine interprets a pickle.
type machine struct {
	text  []byte
	pos   int
	stack []any
	memo  map[uint64]any
}

// unpickle returns the value that a pickle describes.
func unpickle(text []byte) (any, error) {
	m := &machine{text: text, memo: map[uint64]any{}}
	for {
		at := m.pos
		op, err := m.take(1)
		if err != nil {
			return nil, err
		}
		if op[0] == opStop {
			v, err := m.pop()
			if err == nil && len(m.stack) != 0 {
				err = m.fail("%d values are left over", len(m.stack))
			}
			return v, err
		}
		if err := m.step(op[0]); err != nil {
			return nil, err
		}
		if len(m.stack) > maxStack {
			return nil, m.fail("more than %d values on the stack at byte %d", maxStack, at)
		}
	}
}

func (m *machine) fail(format string, args ...any) error {
	return corrupt("data.pkl", "byte %d: %s", m.pos, fmt.Sprintf(format, args...))
}

// take returns the next n bytes of the text.
func (m *machine) take(n uint64) ([]byte, error) {
	if n > uint64(len(m.text)-m.pos) {
		return nil, m.fail("the pickle ends in the middle of an instruction")
	}
	b := m.text[m.pos:][:n]
	m.pos += int(n)
	return b, nil
}

// number is the little-endian number in the next n bytes.
func (m *machine) number(n uint64) (uint64, error) {
	b, err := m.take(n)
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[:], b)
	return binary.LittleEndian.Uint64(wide[:]), nil
}

// counted is the bytes behind a length of n bytes.
func (m *machine) counted(n uint64) ([]byte, error) {
	length, err := m.number(n)
	if err != nil {
		return nil, err
	}
	return m.take(length)
}

// line is the text up to the end of the line.
func (m *machine) line() (string, error) {
	for i, c := range m.text[m.pos:] {
		if c == '\n' {
			s := string(m.text[m.pos:][:i])
			m.pos += i + 1
			return s, nil
		}
	}
	return "", m.fail("the pickle ends in the middle of a name")
}

func (m *machine) push(v any) { m.stack = append(m.stack, v) }

func (m *machine) pop() (any, error) {
	if len(m.stack) == 0 {
		return nil, m.fail("nothing on the stack")
	}
	v := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	if v == (mark{}) {
		return nil, m.fail("a mark in place of a value")
	}
	return v, nil
}

// popN takes n values off the stack.
func (m *machine) popN(n int) ([]any, error) {
	if len(m.stack) < n {
		return nil, m.fail("nothing on the stack")
	}
	list := append([]any(nil), m.stack[len(m.stack)-n:]...)
	for _, v := range list {
		if v == (mark{}) {
			return nil, m.fail("a mark in place of a value")
		}
	}
	m.stack = m.stack[:len(m.stack)-n]
	return list, nil
}

// popMark takes the values above the last mark off the stack, and the mark.
func (m *machine) popMark() ([]any, error) {
	for i := len(m.stack) - 1; i >= 0; i-- {
		if m.stack[i] == (mark{}) {
			list, err := m.popN(len(m.stack) - i - 1)
			m.stack = m.stack[:i]
			return list, err
		}
	}
	return nil, m.fail("no mark on the stack")
}

// class pushes the name of a class or function, if it is known.
func (m *machine) class(module, name string) error {
	c := class{module, name}
	if !allowed(c) {
		return unsupported(c.String(), "files that use this are not read; save the state_dict alone")
	}
	m.push(c)
	return nil
}

// storage is what a persistent id stands for: ("storage", class, key, device,
// number of elements).
func (m *machine) storage(id any) error {
	t, ok := id.(tuple)
	if !ok || len(t) != 5 || t[0] != "storage" {
		return m.fail("a persistent id that is no storage")
	}
	c, isClass := t[1].(class)
	key, isString := t[2].(string)
	n, isInt := t[4].(int64)
	if _, known := storageTypes[c.name]; !isClass || !known || !isString || !isInt || n < 0 {
		return m.fail("a storage that is not described by class, key, device and size")
	}
	m.push(&storage{c.name, key, n})
	return nil
}

// reduce does what calling one of the known functions would do.
func (m *machine) reduce(callee, args any) (any, error) {
	c, isClass := callee.(class)
	a, isTuple := args.(tuple)
	if !isClass || !isTuple {
		return nil, m.fail("calls %s", kind(callee))
	}
	switch {
	case c == orderedDict && len(a) == 0, c.name == "defaultdict":
		return &dict{}, nil
	case (c == rebuildTensorV2 && len(a) >= 6 || c == rebuildTensor && len(a) == 4):
		return m.view(a)
	case c == rebuildParameter && len(a) == 3:
		if v, ok := a[0].(*view); ok {
			return v, nil
		}
	case inert[c]:
		return opaque{}, nil
	}
	return nil, m.fail("calls %s with arguments that it does not take", c)
}

// view is a tensor's storage, offset, shape and strides.
func (m *machine) view(args tuple) (*view, error) {
	v := &view{}
	var ok, isInt bool
	v.storage, ok = args[0].(*storage)
	v.offset, isInt = args[1].(int64)
	shape, err := m.sizes(args[2])
	if err != nil || !ok || !isInt {
		return nil, m.fail("a tensor without a storage, offset or shape")
	}
	stride, err := m.sizes(args[3])
	if err != nil || len(stride) != len(shape) {
		return nil, m.fail("a tensor of %d dimensions whose strides are not as many", len(shape))
	}
	v.shape, v.stride = shape, stride
	return v, nil
}

func (m *machine) sizes(v any) ([]int64, error) {
	t, ok := v.(tuple)
	if !ok || len(t) > maxRank {
		return nil, m.fail("a shape that is not a tuple of at most %d numbers", maxRank)
	}
	list := make([]int64, len(t))
	for i := range t {
		if list[i], ok = t[i].(int64); !ok {
			return nil, m.fail("a shape that is not a tuple of numbers")
		}
	}
	return list, nil
}

// add sets entries of a dictionary, or appends to a list.
func (m *machine) add(target any, items []any) error {
	switch t := target.(type) {
	case *dict:
		if len(items)%2 != 0 {
			return m.fail("a key without a value")
		}
		for i := 0; i < len(items); i += 2 {
			t.set(items[i], items[i+1])
		}
	case *list:
		t.items = append(t.items, items...)
	default:
		return m.fail("adds to %s", kind(target))
	}
	return nil
}

func (m *machine) top() (any, error) {
	v, err := m.pop()
	if err == nil {
		m.push(v)
	}
	return v, err
}

func (m *machine) get(key uint64) error {
	v, ok := m.memo[key]
	if !ok {
		return m.fail("value %d was not stored", key)
	}
	m.push(v)
	return nil
}

func (m *machine) put(key uint64) error {
	v, err := m.top()
	if err == nil {
		m.memo[key] = v
	}
	return err
}

// long is a two's complement number of any length, of which this package
// takes what fits into 64 bits.
func long(b []byte) any {
	if len(b) > 8 {
		return opaque{} // a random seed, say
	}
	var wide [8]byte
	if len(b) > 0 && b[len(b)-1] >= 0x80 {
		for i := range wide {
			wide[i] = 0xff
		}
	}
	copy(wide[:], b)
	return int64(binary.LittleEndian.Uint64(wide[:]))
}

func float(b []byte) float64 { return math.Float64frombits(binary.BigEndian.Uint64(b)) }
