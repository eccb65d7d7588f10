//go:build linux && amd64

package gnustep_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ebitengine/purego"

	"github.com/go-openelm/go-openelm/internal/testing/gnustep"
)

// Messages arrive with their arguments, doubles included, and nil answers all of them with zero.
func TestMessages(t *testing.T) {
	path, err := gnustep.Build()
	if err != nil {
		t.Fatal(err)
	}
	h, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		t.Fatal(err)
	}
	var (
		class, selector func(string) uintptr
		push            func() uintptr
		pop             func(uintptr)
		send            func(obj, sel uintptr) uintptr
		sendDouble      func(obj, sel uintptr) float64
		withDouble      func(obj, sel uintptr, v float64) uintptr
	)
	for name, f := range map[string]any{"objc_getClass": &class, "sel_registerName": &selector, "objc_autoreleasePoolPush": &push, "objc_autoreleasePoolPop": &pop} {
		purego.RegisterLibFunc(f, h, name)
	}
	for _, f := range []any{&send, &sendDouble, &withDouble} {
		purego.RegisterLibFunc(f, h, "objc_msgSend")
	}
	runtime.LockOSThread() // a pool belongs to its thread
	defer runtime.UnlockOSThread()
	pool := push()
	n := withDouble(class("NSNumber"), selector("numberWithDouble:"), 2.25)
	if got := sendDouble(n, selector("doubleValue")); got != 2.25 {
		t.Errorf("%v, want 2.25", got)
	}
	if sendDouble(0, selector("doubleValue")) != 0 || send(0, selector("hash")) != 0 {
		t.Error("nil answers something")
	}
	o := send(class("NSObject"), selector("new"))
	send(send(o, selector("retain")), selector("autorelease"))
	inner := push()
	send(send(o, selector("retain")), selector("autorelease"))
	if got := send(o, selector("retainCount")); got != 3 {
		t.Errorf("%d references, want 3", got)
	}
	pop(inner)
	if got := send(o, selector("retainCount")); got != 2 {
		t.Errorf("%d references after the inner pool, want 2", got)
	}
	pop(pool)
	if got := send(o, selector("retainCount")); got != 1 {
		t.Errorf("%d references after both pools, want 1", got)
	}
	send(o, selector("release"))
}

func TestBuildErrors(t *testing.T) {
	if _, err := gnustep.Build("absent.m"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent source: %v", err)
	}
	broken := filepath.Join(t.TempDir(), "broken.m")
	if err := os.WriteFile(broken, []byte("@interface"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := gnustep.Build(broken); err == nil || !strings.Contains(err.Error(), "broken.m:1:11: error") {
		t.Errorf("broken source: %v", err)
	}
}
