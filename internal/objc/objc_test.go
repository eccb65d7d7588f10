//go:build linux && amd64

package objc_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/go-openelm/go-openelm/internal/objc"
	"github.com/go-openelm/go-openelm/internal/testing/gnustep"
)

// point, size and rect are what Foundation calls NSPoint, NSSize and NSRect.
type (
	point struct{ X, Y float64 }
	rect  struct{ X, Y, Width, Height float64 }
)

// start starts the runtime with GNUstep's Foundation.
func start(t *testing.T) objc.Libraries {
	t.Helper()
	path, err := gnustep.Build()
	if err != nil {
		t.Fatal(err)
	}
	l, err := objc.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := objc.Start(l); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestStrings(t *testing.T) {
	start(t)
	s := objc.OpenScope()
	defer s.Close()
	for in, want := range map[string]string{
		"": "", "plain": "plain", "naïve café": "naïve café", "日本語 🙂👩‍👧": "日本語 🙂👩‍👧", "مرحبا": "مرحبا",
		"cut\x00off": "cut", "bad \xff": "bad \uFFFD",
	} {
		if got := s.Text(s.String(in)); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
	if s.Text(0) != "" {
		t.Error("nil is a text")
	}
}

func TestErrors(t *testing.T) {
	start(t)
	s := objc.OpenScope()
	defer s.Close()
	manager := s.Send(objc.Class("NSFileManager"), objc.Selector("defaultManager"))
	if objc.Bool(s.Send(manager, objc.Selector("removeItemAtPath:error:"), s.String("/no/such/file"), s.ErrorOut())) {
		t.Fatal("removed what is not there")
	}
	if domain, code, description := s.Describe(s.Error()); domain == "" || code == 0 || description == "" {
		t.Errorf("%q %d %q", domain, code, description)
	}
	if domain, code, description := s.Describe(0); domain != "" || code != 0 || description != "" {
		t.Errorf("nil: %q %d %q", domain, code, description)
	}
}

// Doubles and structs arrive and come back, in registers, on the stack and behind a pointer.
func TestBind(t *testing.T) {
	start(t)
	s := objc.OpenScope()
	defer s.Close()
	var (
		number   func(obj, sel uintptr, v float64) uintptr
		double   func(obj, sel uintptr) float64
		withRect func(obj, sel uintptr, r rect) uintptr
		getRect  func(obj, sel uintptr) rect
		withSize func(obj, sel uintptr, p point) uintptr
		getSize  func(obj, sel uintptr) point
	)
	for _, f := range []any{&number, &double, &withRect, &getRect, &withSize, &getSize} {
		objc.Bind(f)
	}
	value := objc.Class("NSValue")
	if got := double(number(objc.Class("NSNumber"), objc.Selector("numberWithDouble:"), -2.25), objc.Selector("doubleValue")); got != -2.25 {
		t.Error(got)
	}
	r := rect{1.5, -2.5, 30.25, 40.75}
	if got := getRect(withRect(value, objc.Selector("valueWithRect:"), r), objc.Selector("rectValue")); got != r {
		t.Error(got)
	}
	p := point{3.5, 4.5}
	if got := getSize(withSize(value, objc.Selector("valueWithSize:"), p), objc.Selector("sizeValue")); got != p {
		t.Error(got)
	}
}

var listeners atomic.Int32

// A class of Go functions is a class: its methods are called by Foundation, on its own threads, too.
func TestNewClass(t *testing.T) {
	start(t)
	type call struct {
		argument string
		main     bool
	}
	calls := make(chan call, 10)
	isMain := objc.Selector("isMainThread")
	name := fmt.Sprintf("GoListener%d", listeners.Add(1)) // classes stay, when the test runs again, too
	class, err := objc.NewClass(name, "NSObject", []objc.Implementation{
		{Selector: "hear:", Types: "v@:@", Function: func(_, _, text uintptr) {
			s := objc.OpenScope()
			defer s.Close()
			calls <- call{s.Text(text), objc.Bool(s.Send(objc.Class("NSThread"), isMain))}
		}},
		{Selector: "isEqual:", Types: "B@:@", Function: func(self, _, other uintptr) bool { return self != other }},
		{Selector: "area:", Types: "Q@:{NSRect=dddd}", Function: func(_, _ uintptr, r rect) uintptr { return uintptr(r.Width * r.Height) }},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := objc.OpenScope()
	defer s.Close()
	o := s.New(class)
	hear := objc.Selector("hear:")
	s.Send(o, objc.Selector("performSelector:withObject:"), hear, s.String("größer"))
	if got := <-calls; got.argument != "größer" {
		t.Errorf("%+v", got)
	}
	s.Send(objc.Class("NSThread"), objc.Selector("detachNewThreadSelector:toTarget:withObject:"), hear, o, s.String("🙂"))
	if got := <-calls; got.argument != "🙂" || got.main {
		t.Errorf("%+v", got)
	}
	if isEqual := objc.Selector("isEqual:"); objc.Bool(s.Send(o, isEqual, o)) || !objc.Bool(s.Send(o, isEqual, class)) {
		t.Error("isEqual: is not the class's own")
	}
	var area func(obj, sel uintptr, r rect) uintptr
	objc.Bind(&area)
	if got := area(o, objc.Selector("area:"), rect{1, 2, 3, 5}); got != 15 {
		t.Error(got)
	}
	if !objc.Responds(o, hear) || objc.Responds(o, objc.Selector("see:")) || objc.Responds(0, hear) {
		t.Error("respondsToSelector:")
	}

	if _, err := objc.NewClass(name, "NSObject", nil); err == nil {
		t.Error("two classes of one name")
	}
	if _, err := objc.NewClass("GoOrphan", "NSNothing", nil); err == nil {
		t.Error("a class without the one above")
	}
	if err := objc.AddMethod(class, objc.Implementation{Selector: "hear:", Types: "v@:@", Function: func(_, _, _ uintptr) {}}); err == nil {
		t.Error("two methods of one name")
	}
}

// Blocks that methods are given can be called, and blocks of Go functions be given to methods.
func TestBlocks(t *testing.T) {
	start(t)
	s := objc.OpenScope()
	defer s.Close()
	type adder struct {
		objc.Block
		base uintptr
	}
	a := &adder{base: 40}
	invoke := objc.Callback(func(block, n uintptr) uintptr { return (*adder)(objc.Pointer(block)).base + n })
	a.Block = objc.NewBlock(invoke, unsafe.Sizeof(*a))
	if got := objc.CallBlock(uintptr(unsafe.Pointer(a)), 2); got != 42 {
		t.Error(got)
	}
	runtime.KeepAlive(a)
}

func TestOpenErrors(t *testing.T) {
	if _, err := objc.Open("/no/such/library"); err == nil {
		t.Error("opened what is not there")
	}
	l := start(t)
	if l.Symbol("no_such_function") != 0 {
		t.Error("found what is not there")
	}
	if objc.Class("NSNothing") != 0 {
		t.Error("found a class that is not there")
	}
}

func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "objc-")
	if err != nil {
		panic(err)
	}
	env, err := gnustep.Environ(home)
	if err != nil {
		panic(err)
	}
	for _, v := range env[len(os.Environ()):] {
		k, v, _ := strings.Cut(v, "=")
		if err := os.Setenv(k, v); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	os.RemoveAll(home)
	os.Exit(code)
}
