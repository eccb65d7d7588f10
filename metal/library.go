package metal

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unsafe"
)

// CompileOptions are options of NewLibrary; the zero value is the system's defaults.
type CompileOptions struct {
	Label           string            // names the library in errors, debuggers and captures
	LanguageVersion LanguageVersion   // 0: the newest the OS has
	MathMode        MathMode          // how far from IEEE 754
	Macros          map[string]string // preprocessor macros
}

// Library is compiled Metal code (MTLLibrary). Safe for use by many goroutines.
type Library struct {
	object
	device   *Device
	label    string
	warnings []Diagnostic
}

// NewLibrary compiles MSL source; opts may be nil. A source the compiler rejects is a *CompileError. Several goroutines
// may compile at once, and Metal does so in parallel.
func (d *Device) NewLibrary(source string, opts *CompileOptions) (*Library, error) {
	const op = "metal: Device.NewLibrary"
	if opts == nil {
		opts = &CompileOptions{}
	}
	if err := d.check(op); err != nil {
		return nil, err
	}
	if err := checkText("source", source); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	s := openScope()
	defer s.Close()
	options, err := opts.object(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	id := s.send(d.id, selDeviceNewLibrary, s.String(source), options, s.ErrorOut())
	nsError := s.Error()
	if id == 0 {
		e := s.failure("compile "+opts.Label, nsError)
		if e.Code == libraryErrorCompileFailure {
			return nil, &CompileError{Label: opts.Label, Diagnostics: parseDiagnostics(e.Description), Log: e.Description}
		}
		return nil, e
	}
	l := &Library{device: d, label: opts.Label}
	l.adopt(id, d.id)
	if nsError != 0 {
		l.warnings = parseDiagnostics(s.failure("", nsError).Description)
	}
	if opts.Label != "" {
		s.send(id, selLibrarySetLabel, s.String(opts.Label))
	}
	return l, nil
}

// object makes the MTLCompileOptions.
func (o *CompileOptions) object(s scope) (uintptr, error) {
	options := s.New(api.classes[classCompileOptions])
	if o.LanguageVersion != 0 {
		s.send(options, selOptionsLanguageVersion, uintptr(o.LanguageVersion))
	}
	if err := o.setMathMode(s, options); err != nil {
		return 0, err
	}
	if len(o.Macros) > 0 {
		var keys, values []uintptr
		for _, k := range slices.Sorted(maps.Keys(o.Macros)) {
			if err := errors.Join(checkText("macro", k), checkText("value of macro "+k, o.Macros[k])); err != nil {
				return 0, err
			}
			keys, values = append(keys, s.String(k)), append(values, s.String(o.Macros[k]))
		}
		dict := s.send(api.classes[classNSDictionary], selDictionaryWithObjects,
			uintptr(unsafe.Pointer(&values[0])), uintptr(unsafe.Pointer(&keys[0])), uintptr(len(keys)))
		s.send(options, selOptionsMacros, dict)
	}
	return options, nil
}

func (o *CompileOptions) setMathMode(s scope, options uintptr) error {
	if o.MathMode == MathDefault {
		return nil
	}
	if o.MathMode < 0 || o.MathMode > MathFast {
		return fmt.Errorf("math mode %d: %w", o.MathMode, ErrInvalidArgument)
	}
	err := available(options, selOptionsMathMode)
	switch {
	case err == nil:
		mode := map[MathMode]uintptr{MathSafe: mtlMathModeSafe, MathRelaxed: mtlMathModeRelaxed, MathFast: mtlMathModeFast}
		s.send(options, selOptionsMathMode, mode[o.MathMode])
	case o.MathMode == MathRelaxed:
		return err
	case o.MathMode == MathFast:
		s.send(options, selOptionsFastMath, 1)
	default:
		s.send(options, selOptionsFastMath, 0)
	}
	return nil
}

// Release frees the library; functions and pipelines made from it stay. Idempotent, nil is fine.
func (l *Library) Release() {
	if l != nil {
		l.release()
	}
}

// Warnings are what the compiler said about source it accepted.
func (l *Library) Warnings() []Diagnostic {
	if l == nil {
		return nil
	}
	return l.warnings
}

// FunctionNames lists the kernels, sorted.
func (l *Library) FunctionNames() []string {
	if l == nil || !l.alive() {
		return nil
	}
	s := openScope()
	defer s.Close()
	array := s.send(l.id, selLibraryFunctionNames)
	var out []string
	for i := range s.send(array, selArrayCount) {
		out = append(out, s.Text(s.send(array, selArrayObjectAtIndex, i)))
	}
	slices.Sort(out)
	return out
}

// FunctionConstant is the value of one [[function_constant]]; Constant and NamedConstant make them.
type FunctionConstant struct {
	name  string
	index int
	typ   dataType
	bits  [8]byte
}

// ConstantType is a Go type with a counterpart in MSL a function constant may have: bool, char, short, int, long, their
// unsigned forms, float.
type ConstantType interface {
	bool | int8 | uint8 | int16 | uint16 | int32 | uint32 | int64 | uint64 | float32
}

// Constant sets [[function_constant(index)]] to v.
func Constant[T ConstantType](index int, v T) FunctionConstant {
	c := FunctionConstant{index: index}
	switch any(v).(type) {
	case bool:
		c.typ = dataTypeBool
	case int8:
		c.typ = dataTypeChar
	case uint8:
		c.typ = dataTypeUChar
	case int16:
		c.typ = dataTypeShort
	case uint16:
		c.typ = dataTypeUShort
	case int32:
		c.typ = dataTypeInt
	case uint32:
		c.typ = dataTypeUInt
	case int64:
		c.typ = dataTypeLong
	case uint64:
		c.typ = dataTypeULong
	case float32:
		c.typ = dataTypeFloat
	}
	*(*T)(unsafe.Pointer(&c.bits)) = v
	return c
}

// NamedConstant sets the function constant called name to v.
func NamedConstant[T ConstantType](name string, v T) FunctionConstant {
	c := Constant(0, v)
	c.name = name
	return c
}

// Function is a kernel, specialised by its function constants (MTLFunction).
type Function struct {
	object
	device *Device
	name   string
}

// NewFunction finds a kernel and specialises it. The error is ErrFunctionNotFound for an unknown name and an *Error when
// the constants do not fit.
func (l *Library) NewFunction(name string, constants ...FunctionConstant) (*Function, error) {
	const op = "metal: Library.NewFunction"
	if l == nil || !l.alive() {
		return nil, fmt.Errorf("%s: %w", op, ErrReleased)
	}
	if err := checkText("name", name); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	s := openScope()
	defer s.Close()
	values := s.New(api.classes[classFunctionConstantValues])
	for i := range constants {
		c := &constants[i]
		if err := checkText("name of a function constant", c.name); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", op, name, err)
		}
		switch {
		case c.typ == 0 || c.index < 0 || c.index > 65535:
			return nil, fmt.Errorf("%s: %s: function constant %d: %w", op, name, c.index, ErrInvalidArgument)
		case c.name != "":
			s.send(values, selConstantWithName, uintptr(unsafe.Pointer(&c.bits)), uintptr(c.typ), s.String(c.name))
		default:
			s.send(values, selConstantAtIndex, uintptr(unsafe.Pointer(&c.bits)), uintptr(c.typ), uintptr(c.index))
		}
	}
	id := s.send(l.id, selLibraryNewFunction, s.String(name), values, s.ErrorOut())
	if id == 0 {
		e := s.failure("function "+name, s.Error())
		if s.Error() == 0 || e.Code == libraryErrorFunctionNotFound {
			return nil, fmt.Errorf("%w: %q in library %q, which has %s", ErrFunctionNotFound, name, l.label, strings.Join(l.FunctionNames(), ", "))
		}
		return nil, e
	}
	f := &Function{device: l.device, name: name}
	f.adopt(id, l.dev)
	return f, nil
}

// Name is the kernel's name.
func (f *Function) Name() string {
	if f == nil {
		return ""
	}
	return f.name
}

// Release frees the function; pipelines made from it stay. Idempotent, nil is fine.
func (f *Function) Release() {
	if f != nil {
		f.release()
	}
}
