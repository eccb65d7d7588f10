//go:build !linux

package assistant

// sameUser is for Linux, where any user may read others' command lines.
func sameUser(string, string) bool { return true }
