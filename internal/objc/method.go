package objc

// Method declares a method of a framework: the class that has it, or the protocol, whether it is a class method, its
// selector, and its type: result, then arguments, in the letters of Objective-C type encodings:
//
//	v void   @ object or class   Q NSUInteger or a 64-bit unsigned enum   q NSInteger or a 64-bit signed enum   B BOOL
//	d double   * C string   ^ other pointer   : selector   ? block   S MTLSize by value   R NSRect   Z NSSize   P NSPoint
//
// Source names the public documentation of what the headers that a test compares with do not have; Since is the first
// macOS with it, for those that older supported systems lack (ask with Responds before use).
type Method struct {
	Class  string
	Static bool
	Name   string
	Types  string
	Since  string
	Source string
}

// Indices of Basics.
const (
	alloc = iota
	initialise
	autorelease
	responds
	stringWithUTF8String
	utf8String
	errorCode
	errorDomain
	errorDescription
	numBasics
)

// Basics are the methods that this package sends.
var Basics = [numBasics]Method{
	alloc:                {Class: "NSObject", Static: true, Name: "alloc", Types: "@"},
	initialise:           {Class: "NSObject", Name: "init", Types: "@"},
	autorelease:          {Class: "NSObject", Name: "autorelease", Types: "@"},
	responds:             {Class: "NSObject", Name: "respondsToSelector:", Types: "B:"},
	stringWithUTF8String: {Class: "NSString", Static: true, Name: "stringWithUTF8String:", Types: "@*", Source: "https://developer.apple.com/documentation/foundation/nsstring/stringwithutf8string:"},
	utf8String:           {Class: "NSString", Name: "UTF8String", Types: "*"},
	errorCode:            {Class: "NSError", Name: "code", Types: "q"},
	errorDomain:          {Class: "NSError", Name: "domain", Types: "@"},
	errorDescription:     {Class: "NSError", Name: "localizedDescription", Types: "@"},
}

// basic are the selectors of Basics.
var basic [numBasics]uintptr
