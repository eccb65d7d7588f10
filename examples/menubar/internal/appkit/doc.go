// Package appkit is the program's half on macOS: an icon with a menu in the menubar, a window with the page, the services
// "Rewrite with OpenELM" and "Summarise with OpenELM" in other programs, a key that works everywhere, the login item, and
// the system's word that memory is short. It sends AppKit's messages from Go, without cgo.
//
// Everything of Apple's interface in use is declared in table.go; tests hold each declaration to facts from Apple's
// headers, and each use to its declaration. On Linux the same code runs in tests against GNUstep's AppKit, with stand-ins
// for what GNUstep lacks.
//
// AppKit belongs to the main thread. What comes from elsewhere (the assistant's goroutines, the system's threads) is
// queued and run there (Desktop.onMain); methods of Desktop in lower case are for the main thread unless they say otherwise.
package appkit
