package metal

import (
	"fmt"

	"github.com/go-openelm/go-openelm/internal/objc"
)

// openLibraries opens the frameworks whose classes and functions this package uses, in order of search.
func openLibraries() (objc.Libraries, error) {
	l, err := objc.Open(
		"/System/Library/Frameworks/Metal.framework/Metal",
		"/System/Library/Frameworks/Foundation.framework/Foundation",
		"/usr/lib/libobjc.A.dylib",
		"/usr/lib/libSystem.B.dylib",
	)
	if err != nil {
		return nil, fmt.Errorf("metal: %w", err)
	}
	// Outside an application MTLCreateSystemDefaultDevice returns nil unless CoreGraphics is loaded. iOS has it too.
	_, _ = objc.Open("/System/Library/Frameworks/CoreGraphics.framework/CoreGraphics")
	return l, nil
}
