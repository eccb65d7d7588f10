package appkit

import (
	"unsafe"

	"github.com/go-openelm/go-openelm/internal/objc"
)

// method is a method of AppKit's or its relatives' that this package sends, or implements for the system to send.
type method struct {
	objc.Method
	sel uintptr
}

// function is a C function, with its type in letters as a method's: besides, i and I are 32 bits and L is unsigned long.
type function struct {
	Name, Types string
	addr        uintptr
}

// What the declarations of table.go make up.
var (
	methods   []*method
	functions []*function
	classes   []*class
	variables []*symbol
)

func instance(class, name, types string) *method {
	m := &method{Method: objc.Method{Class: class, Name: name, Types: types}}
	methods = append(methods, m)
	return m
}

func static(class, name, types string) *method {
	m := instance(class, name, types)
	m.Static = true
	return m
}

func cFunction(name, types string) *function {
	f := &function{Name: name, Types: types}
	functions = append(functions, f)
	return f
}

// call calls the function.
//
//go:uintptrescapes
func (f *function) call(args ...uintptr) uintptr { return objc.Call(f.addr, args...) }

// symbol is a variable of the system's.
type symbol struct {
	name string
	addr uintptr
}

func variable(name string) *symbol {
	v := &symbol{name: name}
	variables = append(variables, v)
	return v
}

// object is the object that the variable has.
func (v *symbol) object() uintptr { return *(*uintptr)(objc.Pointer(v.addr)) }

// class is a class by its name; id is nil where the system lacks it.
type class struct {
	name string
	id   uintptr
}

func named(name string) *class {
	c := &class{name: name}
	classes = append(classes, c)
	return c
}

// send sends one message, with a pool of its own, from any goroutine.
//
//go:uintptrescapes
func send(obj uintptr, m *method, args ...uintptr) uintptr { return objc.Send(obj, m.sel, args...) }

// scope is an autorelease pool for several messages.
type scope struct{ objc.Scope }

func openScope() scope { return scope{objc.OpenScope()} }

// send sends one message whose result lives until the scope closes.
//
//go:uintptrescapes
func (s scope) send(obj uintptr, m *method, args ...uintptr) uintptr {
	return s.Send(obj, m.sel, args...)
}

// text is the Go copy of an NSString, NULs included.
func (s scope) text(ns uintptr) string {
	n := int(s.send(ns, stringLengthOfBytes, utf8))
	if n == 0 {
		return ""
	}
	p := s.send(ns, stringUTF8)
	if p == 0 {
		return ""
	}
	return string(unsafe.Slice((*byte)(objc.Pointer(p)), n))
}

// string makes an NSString, NULs included, that lives until the scope closes.
func (s scope) string(v string) uintptr {
	if v == "" {
		return s.String("")
	}
	b := []byte(v)
	ns := s.send(s.send(nsString.id, objectAlloc), stringInitWithBytes, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), utf8)
	if ns == 0 { // not UTF-8
		return s.String(v)
	}
	return s.send(ns, objectAutorelease)
}

// flag is a BOOL argument.
func flag(b bool) uintptr {
	if b {
		return 1
	}
	return 0
}
