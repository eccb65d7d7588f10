package hub

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxNameLen  = 1024    // bytes of a file name with its folders
	maxPartLen  = 255     // bytes of one path element; NAME_MAX of the common file systems
	maxFileSize = 1 << 40 // 1 TiB; the hub's own limit is below it
)

// checkFileName returns why name must not become a path below a snapshot, or
// "". The rules are the same on every system, so that a cache filled on one can be read on another.
func checkFileName(name string) string {
	switch {
	case name == "":
		return "is empty"
	case len(name) > maxNameLen:
		return fmt.Sprintf("is longer than %d bytes", maxNameLen)
	case !utf8.ValidString(name):
		return "is not valid UTF-8"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "contains a control character"
	case strings.Contains(name, `\`):
		return "contains a backslash"
	case strings.Contains(name, ":"):
		return "contains a colon, which names a drive or stream on Windows"
	case strings.HasPrefix(name, "/"):
		return "is an absolute path"
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part == "." || part == "..":
			return fmt.Sprintf("contains the path element %q", part)
		case len(part) > maxPartLen:
			return fmt.Sprintf("contains a path element longer than %d bytes", maxPartLen)
		case strings.HasSuffix(part, ".") || strings.HasSuffix(part, " "):
			return "contains a path element that ends in a dot or space, which Windows drops"
		case isDeviceName(part):
			return "contains a device name that Windows reserves"
		}
	}
	return ""
}

// isDeviceName reports whether Windows opens a device for this path element,
// with or without an extension.
// https://learn.microsoft.com/windows/win32/fileio/naming-a-file
func isDeviceName(part string) bool {
	base, _, _ := strings.Cut(part, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	port, isCOM := strings.CutPrefix(base, "COM")
	if !isCOM {
		var isLPT bool
		if port, isLPT = strings.CutPrefix(base, "LPT"); !isLPT {
			return false
		}
	}
	return utf8.RuneCountInString(port) == 1 && strings.Contains("0123456789¹²³", port)
}

func isLowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// isCommit reports whether s is a full git commit hash.
func isCommit(s string) bool { return len(s) == 40 && isLowerHex(s) }

// isSHA256 reports whether s is the hash of an LFS file.
func isSHA256(s string) bool { return len(s) == 64 && isLowerHex(s) }

// isBlobHash reports whether s is a hash this package can verify contents with:
// a sha256 or a git blob id.
func isBlobHash(s string) bool { return isSHA256(s) || isCommit(s) }

// parseETag returns the hash in an ETag header, which the hub sets to the sha256 of
// an LFS file and to the git blob id of any other.
func parseETag(header string) (string, error) {
	etag := strings.Trim(strings.TrimPrefix(header, "W/"), `"`)
	if !isBlobHash(etag) {
		return "", bad("ETag %.100q is neither a sha256 nor a git blob id, the contents could not be verified", header)
	}
	return etag, nil
}

// parseSize reads a size in bytes from the named header.
func parseSize(name, header string) (int64, error) {
	n, err := strconv.ParseUint(header, 10, 63)
	if err != nil || n > maxFileSize {
		return 0, bad("%s is %.100q, not a size up to %d", name, header, int64(maxFileSize))
	}
	return int64(n), nil
}

// checkContentRange holds a 206 answer to continuing at offset of a file of this
// size: "bytes offset-(size-1)/size". Another range is an [ErrMismatch], for
// which a download starts anew.
func checkContentRange(header string, offset, size int64) error {
	if want := fmt.Sprintf("bytes %d-%d/%d", offset, size-1, size); header != want {
		return mismatch("Content-Range", strconv.Quote(want), fmt.Sprintf("%.100q", header))
	}
	return nil
}
