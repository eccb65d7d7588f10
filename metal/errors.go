package metal

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var (
	// ErrUnsupported: this platform has no Metal. Returned everywhere but on macOS, iOS and, through the simulator, Linux.
	// It is an errors.ErrUnsupported.
	ErrUnsupported = fmt.Errorf("metal: no Metal on this platform: %w", errors.ErrUnsupported)
	// ErrNoDevice: Metal is there but no device: a Mac without a usable GPU, or Linux without METALSIM set.
	ErrNoDevice = errors.New("metal: no device")
	// ErrReleased: the object is nil, or Release was called on it.
	ErrReleased = errors.New("metal: object is nil or was released")
	// ErrForeignDevice: objects of two devices were used together.
	ErrForeignDevice = errors.New("metal: object belongs to another device")
	// ErrInvalidArgument: a size, offset, index or count Metal would not accept.
	ErrInvalidArgument = errors.New("metal: invalid argument")
	// ErrState: the call is not allowed now: encoding after End or Commit, a second Commit, a dispatch without pipeline.
	ErrState = errors.New("metal: not allowed in this state")
	// ErrFunctionNotFound: the library has no function of that name.
	ErrFunctionNotFound = errors.New("metal: function not found")
	// ErrUnavailable is what every *UnavailableError matches with errors.Is. It is an errors.ErrUnsupported.
	ErrUnavailable = fmt.Errorf("metal: not available on this OS: %w", errors.ErrUnsupported)
)

// UnavailableError: the running OS lacks a class or a method this call needs.
type UnavailableError struct {
	Class  string // such as "MTLDevice"
	Method string // the selector; empty when the class itself is missing
	Since  string // the first macOS that has it
}

func (e *UnavailableError) Error() string {
	name := e.Class
	if e.Method != "" {
		name = "-[" + e.Class + " " + e.Method + "]"
	}
	return "metal: " + name + " needs macOS " + e.Since
}

// Is reports whether target is ErrUnavailable or errors.ErrUnsupported.
func (e *UnavailableError) Is(target error) bool {
	return target == ErrUnavailable || target == errors.ErrUnsupported
}

// Error is an error Metal reported for an operation that is not a compilation or a command buffer.
type Error struct {
	Op          string // what failed, such as "create pipeline rms_f32"
	Domain      string // the NSError's domain
	Code        int    // the NSError's code
	Description string // the NSError's localized description
}

func (e *Error) Error() string {
	s := "metal: " + e.Op
	if e.Description != "" {
		s += ": " + e.Description
	}
	if e.Domain != "" {
		s += fmt.Sprintf(" (%s %d)", e.Domain, e.Code)
	}
	return s
}

// AllocationError: a buffer was refused. errors.Is(err, ErrOutOfMemory) holds.
type AllocationError struct {
	Length    int    // bytes asked for
	Allocated uint64 // bytes the device had allocated for this process then
	Working   uint64 // the device's recommended maximum working set, in bytes
}

func (e *AllocationError) Error() string {
	return fmt.Sprintf("metal: cannot allocate a buffer of %d bytes (%d allocated, recommended at most %d)", e.Length, e.Allocated, e.Working)
}

// Unwrap is ErrOutOfMemory.
func (e *AllocationError) Unwrap() error { return ErrOutOfMemory }

// AlignmentError: memory to be wrapped without a copy does not start and end at page boundaries.
type AlignmentError struct {
	Address  uintptr
	Length   int
	PageSize int
}

func (e *AlignmentError) Error() string {
	return fmt.Sprintf("metal: memory at %#x of %d bytes is not made of whole pages of %d bytes", e.Address, e.Length, e.PageSize)
}

// Is reports whether target is ErrInvalidArgument.
func (e *AlignmentError) Is(target error) bool { return target == ErrInvalidArgument }

// CommandBufferError: the GPU did not finish a command buffer. It unwraps to its Code: errors.Is(err, ErrTimeout).
type CommandBufferError struct {
	Code        CommandBufferErrorCode
	Label       string // the command buffer's label
	Domain      string // the NSError's domain
	Description string // the NSError's localized description
}

func (e *CommandBufferError) Error() string {
	s := e.Code.Error()
	if e.Label != "" {
		s += ": command buffer " + strconv.Quote(e.Label)
	}
	if e.Description != "" {
		s += ": " + e.Description
	}
	return s
}

// Unwrap is the code.
func (e *CommandBufferError) Unwrap() error { return e.Code }

// Severity of a Diagnostic.
type Severity string

// Severities the Metal compiler prints.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
	SeverityNote    Severity = "note"
)

// Diagnostic is one message of the Metal compiler.
type Diagnostic struct {
	File     string // "program_source" for source given as text
	Line     int    // from 1
	Column   int    // from 1
	Severity Severity
	Message  string
}

func (d Diagnostic) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s", d.File, d.Line, d.Column, d.Severity, d.Message)
}

// CompileError: the Metal compiler rejected a source.
type CompileError struct {
	Label       string // CompileOptions.Label
	Diagnostics []Diagnostic
	Log         string // the compiler's whole output
}

func (e *CompileError) Error() string {
	s := "metal: compile"
	if e.Label != "" {
		s += " " + e.Label
	}
	more := 0
	for _, d := range e.Diagnostics {
		if d.Severity == SeverityError {
			if more++; more == 1 {
				s += fmt.Sprintf(": %d:%d: %s", d.Line, d.Column, d.Message)
			}
		}
	}
	switch {
	case more == 0:
		s += ": " + strings.TrimSpace(e.Log)
	case more > 1:
		s += fmt.Sprintf(" (and %d more errors)", more-1)
	}
	return s
}

// IsGPUError reports whether err is the GPU, its driver or its compiler refusing or failing work, as opposed to a wrong
// call: what a program may answer by continuing on the CPU.
func IsGPUError(err error) bool {
	var (
		code    CommandBufferErrorCode
		other   *Error
		compile *CompileError
	)
	return errors.As(err, &code) || errors.As(err, &other) || errors.As(err, &compile)
}

// parseDiagnostics finds the lines "file:line:column: severity: message" of a compiler's output.
func parseDiagnostics(log string) []Diagnostic {
	var out []Diagnostic
	for line := range strings.Lines(log) {
		if d, ok := parseDiagnostic(strings.TrimRight(line, "\r\n")); ok {
			out = append(out, d)
		}
	}
	return out
}

func parseDiagnostic(line string) (Diagnostic, bool) {
	line = strings.Replace(line, ": fatal error: ", ": error: ", 1)
	for _, sev := range [...]Severity{SeverityError, SeverityWarning, SeverityNote} {
		at, message, ok := strings.Cut(line, ": "+string(sev)+": ")
		if !ok {
			continue
		}
		rest, col, ok1 := cutLast(at)
		file, num, ok2 := cutLast(rest)
		c, err1 := strconv.Atoi(col)
		l, err2 := strconv.Atoi(num)
		if !ok1 || !ok2 || err1 != nil || err2 != nil || file == "" || l < 1 || c < 0 {
			continue
		}
		return Diagnostic{File: file, Line: l, Column: c, Severity: sev, Message: message}, true
	}
	return Diagnostic{}, false
}

// cutLast splits at the last colon, since a file name may contain one.
func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
