// Package gnustep lets tests run Objective-C code against a Foundation that is not this project's own: GNUstep's, on Linux.
//
// Go programs for macOS send Objective-C messages with the C functions of Apple's runtime. GNUstep's libraries come with
// GCC's runtime, which has most of them under the same names. [Build] makes a shared library with those that are missing,
// objc_msgSend foremost; dlopen of it brings Foundation with it, and all functions are found in it or what it needs:
//
//	path, err := gnustep.Build("testdata/metal.m")
//	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
//	msgSend, err := purego.Dlsym(handle, "objc_msgSend")
//
// What is in the library beyond Foundation, the caller brings as Objective-C sources; a program that wants windows opens
// libgnustep-gui itself. A second runtime that defines objc_msgSend, such as the simulated Metal's, cannot be in the same
// process: a test starts itself again as a child, with [Environ].
//
// GNUstep is not Apple's: it shows that messages, references, pools, blocks and strings are used as Objective-C has them,
// and nothing about how macOS looks or behaves. It has few methods that are newer than macOS 10.9. Two differences met so
// far: some methods fail without filling their NSError, and NSLocalizedDescriptionKey has another value (use the variable).
package gnustep

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Packages are the Debian packages that Build needs and programs load, one a line.
//
//go:embed packages.txt
var Packages string

// Environ is the environment for a process that uses GNUstep: this process's, with GNUstep's own files (defaults, caches,
// the sockets of its daemons) kept below home. The superuser's GNUstep does not look at HOME, only at its configuration.
func Environ(home string) ([]string, error) {
	config := filepath.Join(home, "GNUstep.conf")
	text := fmt.Sprintf("GNUSTEP_USER_DIR_APPS=%[1]s/Applications\nGNUSTEP_USER_DIR_LIBRARY=%[1]s/Library\nGNUSTEP_USER_DEFAULTS_DIR=%[1]s/Defaults\n", home)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("gnustep: %w", err)
	}
	return append(os.Environ(), "HOME="+home, "TEMP="+home, "GNUSTEP_CONFIG_FILE="+config), nil
}

// EndDaemons ends the processes that GNUstep started by itself for those with the environment that Environ made for home:
// its notification centre and its pasteboard live on otherwise.
func EndDaemons(home string) {
	environments, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range environments {
		text, err := os.ReadFile(name)
		id, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil || id == os.Getpid() || !slices.Contains(strings.Split(string(text), "\x00"), "TEMP="+home) {
			continue
		}
		if p, err := os.FindProcess(id); err == nil {
			_ = p.Kill() // or it has ended
		}
	}
}
