package metal

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-openelm/go-openelm/internal/metalsim"
	"github.com/go-openelm/go-openelm/internal/objc"
)

// appleAPI is what was extracted from Apple's metal-cpp headers; see testdata/metal-api/README.md.
type appleAPI struct {
	methods map[string]string // "class selector" to types in the letters of objc.Method
	static  map[string]bool   // the same key: whether it is a class method
	bases   map[string]string
	enums   map[string]int64 // constant to value
}

func rows(t *testing.T, name string) [][]string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "testdata", "metal-api", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out [][]string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		out = append(out, strings.Split(sc.Text(), "\t"))
	}
	return out[1:]
}

func readAPI(t *testing.T) *appleAPI {
	t.Helper()
	api := &appleAPI{methods: map[string]string{}, static: map[string]bool{}, bases: map[string]string{}, enums: map[string]int64{}}
	letters := map[string]string{ // of C++ types that are neither pointers nor functions
		"void": "v", "bool": "B", "double": "d", "CFTimeInterval": "d", "uint64_t": "Q", "NS::UInteger": "Q", "UInteger": "Q",
		"NS::Integer": "q", "Integer": "q", "id": "@", "NS::ErrorDomain": "@", "MTL::Size": "S", "SEL": ":",
		"MTL::CommandBufferHandler": "?", "const MTL::CommandBufferHandler": "?", "const char*": "*", "void*": "^", "const void*": "^",
	}
	for _, r := range rows(t, "enums.tsv") {
		v, err := strconv.ParseInt(r[3], 0, 64)
		if err != nil {
			continue // the one above 63 bits is not used
		}
		api.enums[r[1]] = v
		letter := "Q"
		if strings.HasSuffix(r[2], "Integer") && !strings.HasSuffix(r[2], "UInteger") {
			letter = "q"
		}
		letters["MTL::"+strings.TrimPrefix(r[0], "MTL")] = letter
		letters["NS::"+strings.TrimPrefix(r[0], "NS")] = letter
	}
	for _, r := range rows(t, "classes.tsv") {
		api.bases[r[0]] = r[1]
	}
	for _, r := range rows(t, "selectors.tsv") {
		types := letterOf(letters, r[3])
		for _, a := range arguments(r[4]) {
			// Wrappers of messages to any object or class name it in an argument of their own.
			if a != "const void* pObj" && a != "const char* pClassName" && a != "const void* pClass" {
				types += letterOf(letters, a)
			}
		}
		api.methods[r[0]+" "+r[2]] = types
		api.static[r[0]+" "+r[2]] = r[1] == "class"
	}
	return api
}

// arguments splits a C++ parameter list at its outer commas.
func arguments(list string) []string {
	var out []string
	depth, start := 0, 0
	for i, c := range list + "," {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			out = append(out, strings.TrimSpace(list[start:min(i, len(list))]))
			start = i + 1
		}
	}
	if list == "" {
		return nil
	}
	return out
}

// letterOf is the letter of a C++ type, which may be followed by a parameter's name.
func letterOf(letters map[string]string, declaration string) string {
	if strings.Contains(declaration, "(^") {
		return "?"
	}
	typ := declaration
	if i := strings.LastIndexByte(declaration, ' '); i >= 0 && letters[declaration] == "" && !strings.HasSuffix(declaration, "*") {
		typ = declaration[:i]
	}
	switch l := letters[typ]; {
	case l != "":
		return l
	case strings.HasSuffix(declaration, "[]"), strings.HasSuffix(typ, "**"), strings.HasSuffix(typ, "* const*"), strings.HasSuffix(typ, "Reflection*"):
		return "^"
	case strings.HasSuffix(typ, "*"):
		return "@"
	}
	return "(" + declaration + ")"
}

// lookup finds a method in a class or those it inherits from.
func (api *appleAPI) lookup(class, selector string) (types string, ok bool) {
	for c := class; c != ""; c = api.bases[c] {
		if types, ok = api.methods[c+" "+selector]; ok {
			return types, true
		}
	}
	for _, c := range [...]string{"NSObject", "NSReferencing"} {
		if types, ok = api.methods[c+" "+selector]; ok {
			return types, true
		}
	}
	return "", false
}

// declared are all messages that this package sends, itself or through package objc.
func declared() []objc.Method { return slices.Concat(objc.Basics[:], methods[:]) }

// Every selector is Apple's, on the class that has it, with its type; exceptions name their public source.
func TestSelectorsAreApples(t *testing.T) {
	api := readAPI(t)
	for i, m := range declared() {
		types, known := api.lookup(m.Class, m.Name)
		switch {
		case m.Name == "" || m.Class == "":
			t.Errorf("selector %d is not declared", i)
		case !known && m.Source == "":
			t.Errorf("%s %s: not in metal-cpp's headers, and without another source", m.Class, m.Name)
		case !known && !strings.HasPrefix(m.Source, appleDocs):
			t.Errorf("%s %s: source %q is not Apple's documentation", m.Class, m.Name, m.Source)
		case known && m.Source != "":
			t.Errorf("%s %s: is in metal-cpp's headers, needs no exception", m.Class, m.Name)
		case known && types != m.Types:
			t.Errorf("%s %s: types %q, Apple's headers say %q", m.Class, m.Name, m.Types, types)
		case known && m.Static != api.static[m.Class+" "+m.Name] && m.Name != "alloc": // metal-cpp wraps alloc as a function
			t.Errorf("%s %s: class method %v, Apple's headers say %v", m.Class, m.Name, m.Static, !m.Static)
		}
		if n := strings.Count(m.Name, ":"); n != len(m.Types)-1 {
			t.Errorf("%s %s: %d arguments declared, the selector has %d", m.Class, m.Name, len(m.Types)-1, n)
		}
		if n := len(m.Types) - 1; n > 4 {
			t.Errorf("%s %s: %d arguments do not fit a message", m.Class, m.Name, n)
		}
		if strings.Contains(m.Types, "S") && m.Types != "vSS" {
			t.Errorf("%s %s: a message carries exactly two MTLSize or none", m.Class, m.Name)
		}
	}
	for _, name := range classNames {
		if _, ok := api.bases[name]; !ok && name != "MTLResidencySetDescriptor" && !strings.HasPrefix(name, "NS") {
			t.Errorf("class %s is not in metal-cpp's headers", name)
		}
	}
}

// The simulator has no selector that Metal lacks, and with the type Metal has.
func TestSimulatorHasOnlyApplesSelectors(t *testing.T) {
	sim := metalsim.Start(t)
	api := readAPI(t)
	ours := map[string]string{}
	for _, m := range declared() {
		if m.Source != "" {
			ours[m.Class+" "+m.Name] = m.Types
		}
	}
	list := sim.Methods()
	if sim.Simulated() && len(list) < len(methods)/2 {
		t.Fatalf("the simulator lists %d methods", len(list))
	}
	for _, m := range list {
		types, known := api.lookup(m.Class, m.Selector)
		if !known {
			types, known = ours[m.Class+" "+m.Selector]
		}
		switch extra := []string{"MTLResidencySet device", "MTLResidencySet label", "MTLResidencySetDescriptor label", "NSObject new"}; {
		case slices.Contains(extra, m.Class+" "+m.Selector): // Apple's documentation has them, metal does not use them
		case !known:
			t.Errorf("the simulator has %s[%s %s], Metal has not", m.Kind, m.Class, m.Selector)
		case types != m.Types:
			t.Errorf("%s[%s %s]: types %q in the simulator, Apple's headers say %q", m.Kind, m.Class, m.Selector, m.Types, types)
		}
	}
}

// enumNames says which of Apple's constants each constant of enums.go is. Those newer than the headers have their value
// from Apple's documentation: MTLLanguageVersion3_2 and MTLMathMode are of macOS 15; MTLGPUFamilyApple10 and
// MTLGPUFamilyMetal4, of macOS 26, are what programs on an M5 print (ggml-metal's log).
var enumNames = map[string]struct {
	apple string
	value int64
}{
	"FamilyApple1": {"MTLGPUFamilyApple1", int64(FamilyApple1)}, "FamilyApple2": {"MTLGPUFamilyApple2", int64(FamilyApple2)},
	"FamilyApple3": {"MTLGPUFamilyApple3", int64(FamilyApple3)}, "FamilyApple4": {"MTLGPUFamilyApple4", int64(FamilyApple4)},
	"FamilyApple5": {"MTLGPUFamilyApple5", int64(FamilyApple5)}, "FamilyApple6": {"MTLGPUFamilyApple6", int64(FamilyApple6)},
	"FamilyApple7": {"MTLGPUFamilyApple7", int64(FamilyApple7)}, "FamilyApple8": {"MTLGPUFamilyApple8", int64(FamilyApple8)},
	"FamilyApple9": {"MTLGPUFamilyApple9", int64(FamilyApple9)}, "FamilyMac2": {"MTLGPUFamilyMac2", int64(FamilyMac2)},
	"FamilyCommon3": {"MTLGPUFamilyCommon3", int64(FamilyCommon3)}, "FamilyMetal3": {"MTLGPUFamilyMetal3", int64(FamilyMetal3)},
	"FamilyApple10": {"=1010", int64(FamilyApple10)}, "FamilyMetal4": {"=5002", int64(FamilyMetal4)},
	"Language2_3": {"MTLLanguageVersion2_3", int64(Language2_3)}, "Language2_4": {"MTLLanguageVersion2_4", int64(Language2_4)},
	"Language3_0": {"MTLLanguageVersion3_0", int64(Language3_0)}, "Language3_1": {"MTLLanguageVersion3_1", int64(Language3_1)},
	"Language3_2":             {"=196610", int64(Language3_2)},
	"mtlMathModeSafe":         {"=0", mtlMathModeSafe},
	"mtlMathModeRelaxed":      {"=1", mtlMathModeRelaxed},
	"mtlMathModeFast":         {"=2", mtlMathModeFast},
	"StorageModeShared":       {"MTLResourceStorageModeShared", int64(StorageModeShared)},
	"StorageModePrivate":      {"MTLResourceStorageModePrivate", int64(StorageModePrivate)},
	"CPUCacheWriteCombined":   {"MTLResourceCPUCacheModeWriteCombined", int64(CPUCacheWriteCombined)},
	"HazardTrackingUntracked": {"MTLResourceHazardTrackingModeUntracked", int64(HazardTrackingUntracked)},
	"Serial":                  {"MTLDispatchTypeSerial", int64(Serial)},
	"Concurrent":              {"MTLDispatchTypeConcurrent", int64(Concurrent)},
	"StatusNotEnqueued":       {"MTLCommandBufferStatusNotEnqueued", int64(StatusNotEnqueued)},
	"StatusEnqueued":          {"MTLCommandBufferStatusEnqueued", int64(StatusEnqueued)},
	"StatusCommitted":         {"MTLCommandBufferStatusCommitted", int64(StatusCommitted)},
	"StatusScheduled":         {"MTLCommandBufferStatusScheduled", int64(StatusScheduled)},
	"StatusCompleted":         {"MTLCommandBufferStatusCompleted", int64(StatusCompleted)},
	"StatusError":             {"MTLCommandBufferStatusError", int64(StatusError)},
	"barrierScopeBuffers":     {"MTLBarrierScopeBuffers", barrierScopeBuffers},
	"captureToDocument":       {"MTLCaptureDestinationGPUTraceDocument", captureToDocument},
	"dataTypeFloat":           {"MTLDataTypeFloat", int64(dataTypeFloat)},
	"dataTypeInt":             {"MTLDataTypeInt", int64(dataTypeInt)},
	"dataTypeUInt":            {"MTLDataTypeUInt", int64(dataTypeUInt)},
	"dataTypeShort":           {"MTLDataTypeShort", int64(dataTypeShort)},
	"dataTypeUShort":          {"MTLDataTypeUShort", int64(dataTypeUShort)},
	"dataTypeChar":            {"MTLDataTypeChar", int64(dataTypeChar)},
	"dataTypeUChar":           {"MTLDataTypeUChar", int64(dataTypeUChar)},
	"dataTypeBool":            {"MTLDataTypeBool", int64(dataTypeBool)},
	"dataTypeLong":            {"MTLDataTypeLong", int64(dataTypeLong)},
	"dataTypeULong":           {"MTLDataTypeULong", int64(dataTypeULong)},
	"ErrInternal":             {"MTLCommandBufferErrorInternal", int64(ErrInternal)},
	"ErrTimeout":              {"MTLCommandBufferErrorTimeout", int64(ErrTimeout)},
	"ErrPageFault":            {"MTLCommandBufferErrorPageFault", int64(ErrPageFault)},
	"ErrAccessRevoked":        {"MTLCommandBufferErrorAccessRevoked", int64(ErrAccessRevoked)},
	"ErrNotPermitted":         {"MTLCommandBufferErrorNotPermitted", int64(ErrNotPermitted)},
	"ErrOutOfMemory":          {"MTLCommandBufferErrorOutOfMemory", int64(ErrOutOfMemory)},
	"ErrInvalidResource":      {"MTLCommandBufferErrorInvalidResource", int64(ErrInvalidResource)},
	"ErrMemoryless":           {"MTLCommandBufferErrorMemoryless", int64(ErrMemoryless)},
	"ErrDeviceRemoved":        {"MTLCommandBufferErrorDeviceRemoved", int64(ErrDeviceRemoved)},
	"ErrStackOverflow":        {"MTLCommandBufferErrorStackOverflow", int64(ErrStackOverflow)},

	"libraryErrorCompileFailure":   {"MTLLibraryErrorCompileFailure", libraryErrorCompileFailure},
	"libraryErrorFunctionNotFound": {"MTLLibraryErrorFunctionNotFound", libraryErrorFunctionNotFound},
}

// Every constant in enums.go has the value Apple's headers give it; MathMode's are this package's own.
func TestEnumsAreApples(t *testing.T) {
	api := readAPI(t)
	file, err := parser.ParseFile(token.NewFileSet(), "enums.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	own := []string{"MathDefault", "MathSafe", "MathRelaxed", "MathFast"}
	seen := 0
	ast.Inspect(file, func(n ast.Node) bool {
		d, ok := n.(*ast.GenDecl)
		if !ok || d.Tok != token.CONST {
			return true
		}
		for _, spec := range d.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				e, known := enumNames[name.Name]
				if slices.Contains(own, name.Name) {
					continue
				}
				seen++
				want, inHeaders := api.enums[e.apple]
				if literal, ok := strings.CutPrefix(e.apple, "="); ok {
					want, err = strconv.ParseInt(literal, 0, 64)
					inHeaders = err == nil
				}
				switch {
				case !known:
					t.Errorf("%s is compared with nothing", name.Name)
				case !inHeaders:
					t.Errorf("%s: Apple has no %s", name.Name, e.apple)
				case e.value != want:
					t.Errorf("%s = %d, %s is %d", name.Name, e.value, e.apple, want)
				}
			}
		}
		return true
	})
	if seen != len(enumNames) {
		t.Errorf("%d constants in enums.go, %d compared", seen, len(enumNames))
	}
}
