package appkit

// frameworks are what table.go declares, in order of search.
var frameworks = []string{
	"/System/Library/Frameworks/AppKit.framework/AppKit",
	"/System/Library/Frameworks/WebKit.framework/WebKit",
	"/System/Library/Frameworks/Carbon.framework/Carbon",
	"/usr/lib/libobjc.A.dylib",
	"/usr/lib/libSystem.B.dylib",
}
