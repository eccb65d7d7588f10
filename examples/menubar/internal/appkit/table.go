package appkit

import "github.com/go-openelm/go-openelm/internal/objc"

// Everything of Apple's interface that this package touches: classes, methods with their types, constants, C functions.

var (
	nsString         = named("NSString")
	nsURL            = named("NSURL")
	nsURLRequest     = named("NSURLRequest")
	nsData           = named("NSData")
	nsArray          = named("NSArray")
	nsApplication    = named("NSApplication")
	nsWorkspace      = named("NSWorkspace")
	nsStatusBar      = named("NSStatusBar")
	nsMenu           = named("NSMenu")
	nsMenuItem       = named("NSMenuItem")
	nsImage          = named("NSImage")
	nsEvent          = named("NSEvent")
	nsAlert          = named("NSAlert")
	nsPasteboard     = named("NSPasteboard")
	webView          = named("WKWebView")
	webConfiguration = named("WKWebViewConfiguration")
	websiteDataStore = named("WKWebsiteDataStore")
	panelSuper       = "NSPanel"
	controllerSuper  = "NSObject"
)

// Variables: strings' but for the last one.
var (
	pasteboardType = variable("NSPasteboardTypeString")
	defaultMode    = variable("NSDefaultRunLoopMode")
	modalMode      = variable("NSModalPanelRunLoopMode")
	trackingMode   = variable("NSEventTrackingRunLoopMode")
	pressureType   = variable("_dispatch_source_type_memorypressure")
)

// Methods that this package sends.
var (
	objectAlloc         = static("NSObject", "alloc", "@")
	objectRetain        = instance("NSObject", "retain", "@")
	objectRelease       = instance("NSObject", "release", "v")
	objectAutorelease   = instance("NSObject", "autorelease", "@")
	objectPerformOnMain = instance("NSObject", "performSelectorOnMainThread:withObject:waitUntilDone:modes:", "v:@B@")
	arrayWithObjects    = static("NSArray", "arrayWithObjects:count:", "@^Q")

	stringInitWithBytes = instance("NSString", "initWithBytes:length:encoding:", "@^QQ")
	stringLengthOfBytes = instance("NSString", "lengthOfBytesUsingEncoding:", "QQ")
	stringUTF8          = instance("NSString", "UTF8String", "*")
	urlWithString       = static("NSURL", "URLWithString:", "@@")
	urlAbsoluteString   = instance("NSURL", "absoluteString", "@")
	requestWithURL      = static("NSURLRequest", "requestWithURL:", "@@")
	requestURL          = instance("NSURLRequest", "URL", "@")
	dataWithBytes       = static("NSData", "dataWithBytes:length:", "@^Q")

	applicationShared         = static("NSApplication", "sharedApplication", "@")
	applicationSetPolicy      = instance("NSApplication", "setActivationPolicy:", "Bq")
	applicationSetDelegate    = instance("NSApplication", "setDelegate:", "v@")
	applicationSetMainMenu    = instance("NSApplication", "setMainMenu:", "v@")
	applicationSetServices    = instance("NSApplication", "setServicesProvider:", "v@")
	applicationActivate       = instance("NSApplication", "activateIgnoringOtherApps:", "vB")
	applicationRun            = instance("NSApplication", "run", "v")
	applicationStop           = instance("NSApplication", "stop:", "v@")
	applicationPostEvent      = instance("NSApplication", "postEvent:atStart:", "v@B")
	applicationReplyTerminate = instance("NSApplication", "replyToApplicationShouldTerminate:", "vB")
	eventOther                = static("NSEvent", "otherEventWithType:location:modifierFlags:timestamp:windowNumber:context:subtype:data1:data2:", "@QPQdq@sqq")
	workspaceShared           = static("NSWorkspace", "sharedWorkspace", "@")
	workspaceOpenURL          = instance("NSWorkspace", "openURL:", "B@")

	statusBarSystem      = static("NSStatusBar", "systemStatusBar", "@")
	statusBarItem        = instance("NSStatusBar", "statusItemWithLength:", "@d")
	statusItemButton     = instance("NSStatusItem", "button", "@")
	statusItemSetMenu    = instance("NSStatusItem", "setMenu:", "v@")
	statusItemSetVisible = instance("NSStatusItem", "setVisible:", "vB")
	buttonSetImage       = instance("NSButton", "setImage:", "v@")
	buttonSetPosition    = instance("NSButton", "setImagePosition:", "vQ")
	buttonSetTitle       = instance("NSButton", "setTitle:", "v@")
	viewSetToolTip       = instance("NSView", "setToolTip:", "v@")
	viewWindow           = instance("NSView", "window", "@")
	viewSetAutoresizing  = instance("NSView", "setAutoresizingMask:", "vQ")
	imageWithData        = instance("NSImage", "initWithData:", "@@")
	imageSetTemplate     = instance("NSImage", "setTemplate:", "vB")
	imageSetSize         = instance("NSImage", "setSize:", "vZ")
	imageSetDescription  = instance("NSImage", "setAccessibilityDescription:", "v@")

	menuAddItem            = instance("NSMenu", "addItem:", "v@")
	menuAddItemWithTitle   = instance("NSMenu", "addItemWithTitle:action:keyEquivalent:", "@@:@")
	menuSetAutoenables     = instance("NSMenu", "setAutoenablesItems:", "vB")
	menuSetDelegate        = instance("NSMenu", "setDelegate:", "v@")
	menuSetSubmenu         = instance("NSMenu", "setSubmenu:forItem:", "v@@")
	menuItemSeparator      = static("NSMenuItem", "separatorItem", "@")
	menuItemSetTarget      = instance("NSMenuItem", "setTarget:", "v@")
	menuItemSetTag         = instance("NSMenuItem", "setTag:", "vq")
	menuItemTag            = instance("NSMenuItem", "tag", "q")
	menuItemSetTitle       = instance("NSMenuItem", "setTitle:", "v@")
	menuItemSetEnabled     = instance("NSMenuItem", "setEnabled:", "vB")
	menuItemSetState       = instance("NSMenuItem", "setState:", "vq")
	menuItemSetModifiers   = instance("NSMenuItem", "setKeyEquivalentModifierMask:", "vQ")
	alertSetMessage        = instance("NSAlert", "setMessageText:", "v@")
	alertSetInformation    = instance("NSAlert", "setInformativeText:", "v@")
	alertRun               = instance("NSAlert", "runModal", "q")
	pasteboardGeneral      = static("NSPasteboard", "generalPasteboard", "@")
	pasteboardAvailable    = instance("NSPasteboard", "availableTypeFromArray:", "@@")
	pasteboardString       = instance("NSPasteboard", "stringForType:", "@@")
	pasteboardClear        = instance("NSPasteboard", "clearContents", "q")
	pasteboardSetString    = instance("NSPasteboard", "setString:forType:", "B@@")
	pasteboardChangeCount  = instance("NSPasteboard", "changeCount", "q")
	windowInit             = instance("NSWindow", "initWithContentRect:styleMask:backing:defer:", "@RQQB")
	windowFrame            = instance("NSWindow", "frame", "R")
	windowSetTopLeft       = instance("NSWindow", "setFrameTopLeftPoint:", "vP")
	windowCenter           = instance("NSWindow", "center", "v")
	windowSetTitle         = instance("NSWindow", "setTitle:", "v@")
	windowSetContentView   = instance("NSWindow", "setContentView:", "v@")
	windowSetReleased      = instance("NSWindow", "setReleasedWhenClosed:", "vB")
	windowSetLevel         = instance("NSWindow", "setLevel:", "vq")
	windowSetHides         = instance("NSWindow", "setHidesOnDeactivate:", "vB")
	windowSetBehavior      = instance("NSWindow", "setCollectionBehavior:", "vQ")
	windowFront            = instance("NSWindow", "makeKeyAndOrderFront:", "v@")
	windowOut              = instance("NSWindow", "orderOut:", "v@")
	windowSetFirst         = instance("NSWindow", "makeFirstResponder:", "B@")
	configurationSetStore  = instance("WKWebViewConfiguration", "setWebsiteDataStore:", "v@")
	dataStoreNonPersistent = static("WKWebsiteDataStore", "nonPersistentDataStore", "@")
	webViewInit            = instance("WKWebView", "initWithFrame:configuration:", "@R@")
	webViewSetNavigation   = instance("WKWebView", "setNavigationDelegate:", "v@")
	webViewSetUI           = instance("WKWebView", "setUIDelegate:", "v@")
	webViewLoad            = instance("WKWebView", "loadRequest:", "@@")
	navigationRequest      = instance("WKNavigationAction", "request", "@")

	editUndo           = instance("NSResponder", "undo:", "v@") // sent by items of the menu Edit, to who has the keys
	editRedo           = instance("NSResponder", "redo:", "v@")
	editCut            = instance("NSText", "cut:", "v@")
	editCopy           = instance("NSText", "copy:", "v@")
	editPaste          = instance("NSText", "paste:", "v@")
	editSelectAll      = instance("NSText", "selectAll:", "v@")
	windowPerformClose = instance("NSWindow", "performClose:", "v@")
)

// Messages with doubles and structs.
var (
	sendStatusItem func(obj, sel uintptr, length float64) uintptr
	sendSize       func(obj, sel uintptr, s size)
	sendPoint      func(obj, sel uintptr, p point)
	sendWindowInit func(obj, sel uintptr, r rect, style, backing uint64, deferred bool) uintptr
	sendFrame      func(obj, sel uintptr) rect
	sendWebInit    func(obj, sel uintptr, r rect, configuration uintptr) uintptr
	sendEvent      func(obj, sel uintptr, kind uint64, at point, flags uint64, time float64, window int64, context uintptr, subtype int16, data1, data2 int64) uintptr
)

// bound says which methods those are for.
var bound = []struct {
	function any
	methods  []*method
}{
	{&sendStatusItem, []*method{statusBarItem}},
	{&sendSize, []*method{imageSetSize}},
	{&sendPoint, []*method{windowSetTopLeft}},
	{&sendWindowInit, []*method{windowInit}},
	{&sendFrame, []*method{windowFrame}},
	{&sendWebInit, []*method{webViewInit}},
	{&sendEvent, []*method{eventOther}},
}

// NSPoint, NSSize and NSRect; the last one flat, which is the same in memory and in registers.
type (
	point struct{ X, Y float64 }
	size  struct{ Width, Height float64 }
	rect  struct{ X, Y, Width, Height float64 }
)

// Methods that the system sends to this package's classes.
var (
	implDidFinishLaunching = instance("NSApplicationDelegate", "applicationDidFinishLaunching:", "v@")
	implShouldTerminate    = instance("NSApplicationDelegate", "applicationShouldTerminate:", "Q@")
	implShouldReopen       = instance("NSApplicationDelegate", "applicationShouldHandleReopen:hasVisibleWindows:", "B@B")
	implMenuNeedsUpdate    = instance("NSMenuDelegate", "menuNeedsUpdate:", "v@")
	implCancel             = instance("NSStandardKeyBindingResponding", "cancelOperation:", "v@")
	implNavigation         = instance("WKNavigationDelegate", "webView:decidePolicyForNavigationAction:decisionHandler:", "v@@?")
	implNavigationFailed   = instance("WKNavigationDelegate", "webView:didFailProvisionalNavigation:withError:", "v@@@")
	implWebEnded           = instance("WKNavigationDelegate", "webViewWebContentProcessDidTerminate:", "v@")
	implNewWindow          = instance("WKUIDelegate", "webView:createWebViewWithConfiguration:forNavigationAction:windowFeatures:", "@@@@@")
)

// Constants.
const (
	utf8 = 4 // NSUTF8StringEncoding

	activationPolicyAccessory = 1       // NSApplicationActivationPolicyAccessory
	terminateLater            = 2       // NSTerminateLater
	eventApplicationDefined   = 15      // NSEventTypeApplicationDefined
	variableLength            = -1      // NSVariableStatusItemLength
	imageLeft                 = 2       // NSImageLeft
	stateOn                   = 1       // NSControlStateValueOn
	styleTitled               = 1       // NSWindowStyleMaskTitled
	styleClosable             = 2       // NSWindowStyleMaskClosable
	styleResizable            = 8       // NSWindowStyleMaskResizable
	backingBuffered           = 2       // NSBackingStoreBuffered
	levelFloating             = 3       // NSFloatingWindowLevel
	behaviorMoveToActiveSpace = 2       // NSWindowCollectionBehaviorMoveToActiveSpace
	behaviorFullScreen        = 256     // NSWindowCollectionBehaviorFullScreenAuxiliary
	widthSizable              = 2       // NSViewWidthSizable
	heightSizable             = 16      // NSViewHeightSizable
	modifierShift             = 1 << 17 // NSEventModifierFlagShift
	modifierCommand           = 1 << 20 // NSEventModifierFlagCommand

	navigationCancel = 0 // WKNavigationActionPolicyCancel
	navigationAllow  = 1 // WKNavigationActionPolicyAllow
)

// Carbon's part: a key that works in every program.
var (
	hotKeyTarget   = cFunction("GetApplicationEventTarget", "^")
	hotKeyInstall  = cFunction("InstallEventHandler", "i^?L^^^")
	hotKeyRegister = cFunction("RegisterEventHotKey", "iIIh^I^")
	hotKeyRemove   = cFunction("UnregisterEventHotKey", "i^")
)

const (
	eventClassKeyboard = 0x6b657962 // kEventClassKeyboard
	eventHotKeyPressed = 5          // kEventHotKeyPressed
	keySpace           = 49         // kVK_Space
	carbonOption       = 1 << 11    // optionKey
	carbonControl      = 1 << 12    // controlKey
	hotKeyExclusive    = 1          // kEventHotKeyExclusive: an error, if another program has it
	hotKeyExists       = -9878      // eventHotKeyExistsErr
)

// Dispatch's part: memory pressure.
var (
	queueGlobal      = cFunction("dispatch_get_global_queue", "^qL")
	sourceCreate     = cFunction("dispatch_source_create", "^^LL^")
	sourceSetHandler = cFunction("dispatch_source_set_event_handler_f", "v^?")
	sourceData       = cFunction("dispatch_source_get_data", "L^")
	sourceResume     = cFunction("dispatch_resume", "v^")
	sourceCancel     = cFunction("dispatch_source_cancel", "v^")
)

const (
	pressureWarn     = 2 // DISPATCH_MEMORYPRESSURE_WARN
	pressureCritical = 4 // DISPATCH_MEMORYPRESSURE_CRITICAL
)

// implementation is a method of one of our classes that the system sends.
func (m *method) implementation(types string, function any) objc.Implementation {
	return objc.Implementation{Selector: m.Name, Types: types, Function: function}
}
