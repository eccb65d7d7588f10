package tuning

import "golang.org/x/sys/unix"

// system is the version of the system, such as "macOS 15.3.1 (24D70)": each brings a
// compiler and driver of its own.
func system() string {
	version, err := unix.Sysctl("kern.osproductversion")
	if err != nil {
		version = "?"
	}
	build, err := unix.Sysctl("kern.osversion")
	if err != nil {
		build = "?"
	}
	return "macOS " + version + " (" + build + ")"
}
