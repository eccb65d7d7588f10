package metal

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseDiagnostics(t *testing.T) {
	log := "program_source:3:10: error: use of undeclared identifier 'y'\n" +
		"  x[0] = y;\n         ^\n" +
		"C:/kernels/a:b.metal:12:1: warning: unused variable: error: not really\r\n" +
		"program_source:9:2: fatal error: 'missing.h' file not found\n" +
		"program_source:4:1: note: declared here\n" +
		"error: nothing to point at\nprogram_source:0:1: error: line 0\n:x:1: error: not a line\n1:2: error: no file\n"
	want := []Diagnostic{
		{"program_source", 3, 10, SeverityError, "use of undeclared identifier 'y'"},
		{"C:/kernels/a:b.metal", 12, 1, SeverityWarning, "unused variable: error: not really"},
		{"program_source", 9, 2, SeverityError, "'missing.h' file not found"},
		{"program_source", 4, 1, SeverityNote, "declared here"},
	}
	if diff := cmp.Diff(want, parseDiagnostics(log)); diff != "" {
		t.Error(diff)
	}
	err := &CompileError{Label: "k.metal", Diagnostics: want, Log: log}
	if got := err.Error(); got != "metal: compile k.metal: 3:10: use of undeclared identifier 'y' (and 1 more errors)" {
		t.Errorf("%q", got)
	}
	if got := (&CompileError{Log: "the compiler crashed\n"}).Error(); got != "metal: compile: the compiler crashed" {
		t.Errorf("%q", got)
	}
	if got := want[0].String(); !strings.HasPrefix(log, got) {
		t.Errorf("%q", got)
	}
}

// Whatever the compiler prints, a diagnostic found in it reads like the line it came from.
func FuzzParseDiagnostics(f *testing.F) {
	f.Add("program_source:3:10: error: use of undeclared identifier 'y'\n  ^\n")
	f.Add(":::: error: \n::1:2: note: : warning: ")
	f.Fuzz(func(t *testing.T, log string) {
		for _, d := range parseDiagnostics(log) {
			if d.Line < 1 || d.Column < 0 || d.File == "" || !strings.Contains(log, d.Message) {
				t.Errorf("%q gives %+v", log, d)
			}
		}
	})
}
