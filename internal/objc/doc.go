// Package objc sends Objective-C messages from Go without cgo, through github.com/ebitengine/purego. It is what packages
// metal and the menubar program's appkit have in common, and knows no framework but Foundation's strings and errors.
//
// A package that uses an Apple framework declares the methods it sends as [Method] values, which a test of its own holds
// to Apple's headers, opens the framework ([Open]), starts the runtime ([Start]) and registers the selectors ([Selector]).
// Then there are three ways to send a message:
//
//   - [Send] sends one whose arguments are integers, pointers and objects, in an autorelease pool of its own, without
//     allocating; any goroutine may, at any time.
//   - A [Scope] is a pool for several messages whose results are used together.
//   - [Sender] sends an array of messages, built beforehand, in one call into C: what a token of a language model takes is
//     three such calls.
//
// Messages with other arguments, doubles and structs, are Go functions that [Bind] makes of a declared type. [NewClass]
// makes classes of Go functions, for delegates, targets and services.
//
// On Linux the same code runs against libraries that tests open: the project's simulated Metal (internal/metalsim), or
// GNUstep (internal/testing/gnustep). A process has one Objective-C runtime, the first that was started.
//
// What raises an exception in Objective-C ends the process, since exceptions cannot pass through Go.
package objc
