package metal

import "fmt"

// openLibraries opens the frameworks whose classes and functions this package uses, in order of search.
func openLibraries() ([]uintptr, error) {
	var handles []uintptr
	for _, path := range [...]string{
		"/System/Library/Frameworks/Metal.framework/Metal",
		"/System/Library/Frameworks/Foundation.framework/Foundation",
		"/usr/lib/libobjc.A.dylib",
		"/usr/lib/libSystem.B.dylib",
	} {
		h, err := openLibrary(path)
		if err != nil {
			return nil, fmt.Errorf("metal: %w", err)
		}
		handles = append(handles, h)
	}
	// Outside an application MTLCreateSystemDefaultDevice returns nil unless CoreGraphics is loaded. iOS has it too.
	_, _ = openLibrary("/System/Library/Frameworks/CoreGraphics.framework/CoreGraphics")
	return handles, nil
}
