package appkit

import (
	"bufio"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/bundle"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/plist"
)

// apple is what testdata/apple.tsv says.
type apple struct {
	bases     map[string]string
	methods   map[string][2]string // "class selector" to kind and types
	constants map[string]string
	functions map[string]string
	variables map[string]bool
}

func readApple(t *testing.T) apple {
	t.Helper()
	f, err := os.Open("testdata/apple.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a := apple{map[string]string{}, map[string][2]string{}, map[string]string{}, map[string]string{}, map[string]bool{}}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		r := strings.Split(lines.Text(), "\t")
		switch r[0] {
		case "class":
			a.bases[r[1]] = r[2]
		case "method":
			a.methods[r[1]+" "+r[3]] = [2]string{r[2], r[4]}
		case "constant":
			a.constants[r[1]] = r[2]
		case "function":
			a.functions[r[1]] = r[2]
		case "variable":
			a.variables[r[1]] = true
		}
	}
	return a
}

// Every class, method, function and variable is Apple's, with its type.
func TestTableIsApples(t *testing.T) {
	a := readApple(t)
	for _, c := range classes {
		if _, ok := a.bases[c.name]; !ok {
			t.Errorf("Apple has no class %s", c.name)
		}
	}
	for _, name := range []string{panelSuper, controllerSuper} {
		if _, ok := a.bases[name]; !ok && name != "NSObject" {
			t.Errorf("Apple has no class %s", name)
		}
	}
	for _, m := range methods {
		var fact [2]string
		ok := false
		for c := m.Class; c != "" && !ok; c = a.bases[c] {
			fact, ok = a.methods[c+" "+m.Name]
		}
		kind := map[bool]string{true: "class", false: "instance"}[m.Static]
		switch {
		case !ok:
			t.Errorf("Apple has no %s %s", m.Class, m.Name)
		case fact != [2]string{kind, m.Types}:
			t.Errorf("%s %s: %s %q, Apple's headers say %q", m.Class, m.Name, kind, m.Types, fact)
		case strings.Count(m.Name, ":") != len(m.Types)-1:
			t.Errorf("%s %s: %q does not have a type for each argument", m.Class, m.Name, m.Types)
		}
	}
	for _, f := range functions {
		if a.functions[f.Name] != f.Types {
			t.Errorf("%s: %q, Apple's headers say %q", f.Name, f.Types, a.functions[f.Name])
		}
	}
	for _, v := range variables {
		if !a.variables[v.name] {
			t.Errorf("Apple has no variable %s", v.name)
		}
	}
}

// parsed is this package without its tests, by file.
func parsed(t *testing.T) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	set := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*ast.File{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if files[name], err = parser.ParseFile(set, name, nil, parser.ParseComments); err != nil {
			t.Fatal(err)
		}
	}
	return set, files
}

// Every constant of table.go names Apple's, and has its value.
func TestConstantsAreApples(t *testing.T) {
	a := readApple(t)
	set, files := parsed(t)
	info := types.Info{Defs: map[*ast.Ident]types.Object{}}
	config := types.Config{Error: func(error) {}} // what the file imports is not looked at
	_, _ = config.Check("appkit", set, []*ast.File{files["table.go"]}, &info)
	seen := 0
	ast.Inspect(files["table.go"], func(n ast.Node) bool {
		d, ok := n.(*ast.GenDecl)
		if !ok || d.Tok != token.CONST {
			return true
		}
		for _, spec := range d.Specs {
			s := spec.(*ast.ValueSpec)
			name, _, _ := strings.Cut(strings.TrimSpace(s.Comment.Text()), ":")
			value := constant.ToInt(info.Defs[s.Names[0]].(*types.Const).Val()).ExactString()
			if want, ok := a.constants[name]; !ok || value != want {
				t.Errorf("%s = %s, Apple's %q is %q", s.Names[0].Name, value, name, want)
			}
			seen++
		}
		return true
	})
	if seen != len(a.constants) {
		t.Errorf("%d constants, Apple's headers are asked for %d", seen, len(a.constants))
	}
}

// declared finds the variables of table.go that are methods and functions.
func declared(files map[string]*ast.File) (byName map[string]*method, called map[string]*function) {
	byName, called = map[string]*method{}, map[string]*function{}
	ast.Inspect(files["table.go"], func(n ast.Node) bool {
		s, ok := n.(*ast.ValueSpec)
		if !ok || len(s.Values) != 1 {
			return true
		}
		c, ok := s.Values[0].(*ast.CallExpr)
		if !ok {
			return true
		}
		var args []string
		for _, a := range c.Args {
			if l, ok := a.(*ast.BasicLit); ok {
				text, _ := strconv.Unquote(l.Value)
				args = append(args, text)
			}
		}
		for _, m := range methods {
			if len(args) == 3 && m.Class == args[0] && m.Name == args[1] {
				byName[s.Names[0].Name] = m
			}
		}
		for _, f := range functions {
			if len(args) == 2 && f.Name == args[0] {
				called[s.Names[0].Name] = f
			}
		}
		return true
	})
	return byName, called
}

// Every message that is sent has the arguments that its method takes, and every method that AppKit sends us takes what
// it is declared to.
func TestUsesFitTheTable(t *testing.T) {
	set, files := parsed(t)
	byName, called := declared(files)
	if len(byName) != len(methods) || len(called) != len(functions) {
		t.Fatalf("found %d of %d methods, %d of %d functions", len(byName), len(methods), len(called), len(functions))
	}
	isBound := map[*method]bool{}
	for _, b := range bound {
		for _, m := range b.methods {
			isBound[m] = true
		}
	}
	uses := 0
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			where := set.Position(c.Pos())
			name := ""
			var receiver ast.Expr
			switch f := c.Fun.(type) {
			case *ast.Ident:
				name = f.Name
			case *ast.SelectorExpr:
				name, receiver = f.Sel.Name, f.X
			}
			switch of, _ := receiver.(*ast.Ident); {
			case name == "send" && len(c.Args) >= 2:
				id, ok := c.Args[1].(*ast.Ident)
				if !ok {
					return true
				}
				m := byName[id.Name]
				if m == nil {
					return true // not of the table: a parameter
				}
				uses++
				if n := len(c.Args) - 2; n != len(m.Types)-1 {
					t.Errorf("%v: %d arguments, %s takes %d", where, n, m.Name, len(m.Types)-1)
				}
				if isBound[m] || strings.ContainsAny(m.Types, "dRZPs") || len(m.Types) > 5 {
					t.Errorf("%v: %s takes what no words hold, or too many", where, m.Name)
				}
			case name == "implementation" && of != nil && byName[of.Name] != nil:
				m := byName[of.Name]
				uses++
				encoding, _ := strconv.Unquote(c.Args[0].(*ast.BasicLit).Value)
				if want := m.Types[:1] + "@:" + strings.ReplaceAll(m.Types[1:], "?", "@?"); encoding != want {
					t.Errorf("%v: %s is declared %q, want %q", where, m.Name, encoding, want)
				}
				if f, ok := c.Args[1].(*ast.FuncLit); ok && f.Type.Params.NumFields() != len(m.Types)+1 {
					t.Errorf("%v: %s has %d parameters, want %d", where, m.Name, f.Type.Params.NumFields(), len(m.Types)+1)
				}
			case name == "call" && of != nil && called[of.Name] != nil:
				f := called[of.Name]
				uses++
				if len(c.Args) != len(f.Types)-1 {
					t.Errorf("%v: %d arguments, %s takes %d", where, len(c.Args), f.Name, len(f.Types)-1)
				}
			}
			return true
		})
	}
	t.Logf("%d uses", uses)
	if uses < len(methods) {
		t.Errorf("%d uses of %d methods", uses, len(methods))
	}
}

// What purego is told of messages with doubles and structs is what the table says.
func TestBoundFunctionsFitTheTable(t *testing.T) {
	letters := map[rune][]reflect.Type{
		'd': {reflect.TypeFor[float64]()}, 'R': {reflect.TypeFor[rect]()}, 'Z': {reflect.TypeFor[size]()}, 'P': {reflect.TypeFor[point]()},
		'Q': {reflect.TypeFor[uint64]()}, 'q': {reflect.TypeFor[int64]()}, 's': {reflect.TypeFor[int16]()}, 'B': {reflect.TypeFor[bool]()},
		'@': {reflect.TypeFor[uintptr]()}, 'v': nil,
	}
	for _, b := range bound {
		f := reflect.TypeOf(b.function).Elem()
		for _, m := range b.methods {
			var in []reflect.Type
			for _, l := range "@@" + m.Types[1:] {
				in = append(in, letters[l]...)
			}
			if want := reflect.FuncOf(in, letters[rune(m.Types[0])], false); f != want {
				t.Errorf("%s: %v, want %v", m.Name, f, want)
			}
		}
	}
}

// The bundle's Info.plist names the services as the methods are called, and has who asks wait longer than they take.
func TestServicesOfTheBundle(t *testing.T) {
	text, err := plist.Marshal(bundle.Info("1"))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]string{}
	for _, m := range regexp.MustCompile(`<key>(\w+)</key>\s*<string>([^<]*)</string>`).FindAllStringSubmatch(string(text), -1) {
		values[m[1]] = append(values[m[1]], m[2])
	}
	var messages []string
	for _, s := range services {
		messages = append(messages, s.message)
	}
	if !slices.Equal(values["NSMessage"], messages) || !slices.Equal(values["NSPortName"], []string{name, name}) {
		t.Errorf("services %q of ports %q", values["NSMessage"], values["NSPortName"])
	}
	for _, wait := range values["NSTimeout"] {
		if ms, err := strconv.Atoi(wait); err != nil || time.Duration(ms)*time.Millisecond <= ServiceTime {
			t.Errorf("who asks waits %s ms, a service takes up to %v", wait, ServiceTime)
		}
	}
}
