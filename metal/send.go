package metal

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-openelm/go-openelm/internal/objc"
)

// set makes m a message of the table, without flags.
func set(m *objc.Message, s selector, args ...uintptr) { m.Set(api.sels[s], args...) }

// send sends one message in an autorelease pool of its own. For a result that is autoreleased use a scope.
//
//go:uintptrescapes
func send(obj uintptr, s selector, args ...uintptr) uintptr {
	return objc.Send(obj, api.sels[s], args...)
}

// scope is an autorelease pool for several messages.
type scope struct{ objc.Scope }

func openScope() scope { return scope{objc.OpenScope()} }

// send sends one message whose result lives until the scope closes.
//
//go:uintptrescapes
func (s scope) send(obj uintptr, sel selector, args ...uintptr) uintptr {
	return s.Send(obj, api.sels[sel], args...)
}

// checkText is the error for text that no NSString of a C string can hold. Objective-C then has nil, which most methods
// answer by ending the process.
func checkText(what, v string) error {
	if utf8.ValidString(v) && strings.IndexByte(v, 0) < 0 {
		return nil
	}
	return fmt.Errorf("%s %.60q is not UTF-8, or has a NUL: %w", what, v, ErrInvalidArgument)
}

// failure turns the NSError of a failed operation, which may be nil, into an Error.
func (s scope) failure(op string, nsError uintptr) *Error {
	e := &Error{Op: op}
	e.Domain, e.Code, e.Description = s.Describe(nsError)
	return e
}
