//go:build linux && amd64

package appkit

import (
	"fmt"
	"io"
	"net/http"
	"unsafe"

	"github.com/go-openelm/go-openelm/internal/objc"
)

// What GNUstep's AppKit lacks, made of what it has: a status bar, of panels in the screen's upper right corner; a web
// view, of a text view that shows what the address answers; and methods that are newer than GNUstep's API, which do
// nothing but take their arguments, or the nearest thing.

// standIns are the stand-ins' own state.
var standIns struct {
	itemPanel, itemButton, itemMenu, bar uintptr
	store                                uintptr
	delegate                             uintptr // the web view's
	web                                  uintptr
	request                              uintptr // what its delegate is asked about
	template                             bool
	said                                 func(format string, args ...any)
}

var sel = objc.Selector

// meta is a class's own class, which has its class methods.
func meta(class uintptr) uintptr { return *(*uintptr)(objc.Pointer(class)) }

// lacking adds methods to a class of GNUstep's that has them not.
func lacking(class string, methods ...objc.Implementation) error {
	c := objc.Class(class)
	for _, m := range methods {
		if objc.Bool(objc.Send(c, sel("instancesRespondToSelector:"), sel(m.Selector))) {
			return fmt.Errorf("GNUstep has -[%s %s]: no need of a stand-in", class, m.Selector)
		}
		if err := objc.AddMethod(c, m); err != nil {
			return err
		}
	}
	return nil
}

func makeStandIns(libraries objc.Libraries, said func(format string, args ...any)) error {
	standIns.said = said
	s := objc.OpenScope()
	defer s.Close()
	nothing := func(selector, types string) objc.Implementation {
		return objc.Implementation{Selector: selector, Types: types, Function: func(_, _, _ uintptr) {}}
	}
	for class, methods := range map[string][]objc.Implementation{
		"NSApplication": {{Selector: "setActivationPolicy:", Types: "B@:q", Function: func(_, _, policy uintptr) uintptr { return flag(policy == 1) }}},
		"NSImage": {
			{Selector: "setTemplate:", Types: "v@:B", Function: func(_, _ uintptr, t bool) { standIns.template = t }},
			nothing("setAccessibilityDescription:", "v@:@"),
		},
		"NSPasteboard": {{Selector: "clearContents", Types: "q@:", Function: func(self, _ uintptr) uintptr {
			s := objc.OpenScope()
			defer s.Close()
			return s.Send(self, sel("declareTypes:owner:"), s.Send(objc.Class("NSArray"), sel("arrayWithObject:"), pasteboardType.object()), 0)
		}}},
	} {
		if err := lacking(class, methods...); err != nil {
			return err
		}
	}
	return statusBarStandIn(libraries)
}

func statusBarStandIn(libraries objc.Libraries) error {
	item, err := objc.NewClass("StandInStatusItem", "NSObject", []objc.Implementation{
		{Selector: "button", Types: "@@:", Function: func(_, _ uintptr) uintptr { return standIns.itemButton }},
		{Selector: "setMenu:", Types: "v@:@", Function: func(_, _, menu uintptr) {
			standIns.itemMenu = objc.Send(menu, sel("retain"))
		}},
		{Selector: "setVisible:", Types: "v@:B", Function: func(_, _ uintptr, visible bool) {
			if visible {
				objc.Send(standIns.itemPanel, sel("orderFrontRegardless"))
			} else {
				objc.Send(standIns.itemPanel, sel("orderOut:"), 0)
			}
			standIns.said("icon visible %v", visible)
		}},
	})
	if err != nil {
		return err
	}
	// A button's own mouseDown: waits for the mouse's button to go up, which the menu has seen already.
	button, err := objc.NewClass("StandInStatusButton", "NSButton", []objc.Implementation{
		{Selector: "acceptsFirstMouse:", Types: "B@:@", Function: func(_, _, _ uintptr) bool { return true }},
		{Selector: "mouseDown:", Types: "v@:@", Function: func(self, _, event uintptr) {
			s := objc.OpenScope()
			defer s.Close()
			s.Send(s.Send(standIns.itemMenu, sel("delegate")), implMenuNeedsUpdate.sel, standIns.itemMenu)
			s.Send(objc.Class("NSMenu"), sel("popUpContextMenu:withEvent:forView:"), standIns.itemMenu, event, self)
		}},
	})
	if err != nil {
		return err
	}
	var initFrame func(obj, sel uintptr, r rect) uintptr
	var initWindow func(obj, sel uintptr, r rect, style, backing uint64, deferred bool) uintptr
	objc.Bind(&initFrame)
	objc.Bind(&initWindow)
	bar, err := objc.NewClass("StandInStatusBar", "NSObject", []objc.Implementation{
		{Selector: "statusItemWithLength:", Types: "@@:d", Function: func(_, _ uintptr, length float64) uintptr {
			s := objc.OpenScope()
			defer s.Close()
			standIns.itemPanel = initWindow(s.Send(objc.Class("NSPanel"), sel("alloc")), sel("initWithContentRect:styleMask:backing:defer:"),
				rect{iconX, screenHeight - iconHeight, iconWidth, iconHeight}, 0, 2, false)
			s.Send(standIns.itemPanel, sel("setLevel:"), 101)
			s.Send(standIns.itemPanel, sel("setBecomesKeyOnlyIfNeeded:"), 1)
			standIns.itemButton = initFrame(s.Send(button, sel("alloc")), sel("initWithFrame:"), rect{0, 0, iconWidth, iconHeight})
			s.Send(s.Send(standIns.itemPanel, sel("contentView")), sel("addSubview:"), standIns.itemButton)
			s.Send(standIns.itemButton, sel("setTitle:"), s.String(""))
			o := s.Send(s.New(item), sel("retain"))
			s.Send(standIns.itemPanel, sel("orderFrontRegardless"))
			standIns.said("status item of length %v", length)
			return o
		}},
	})
	if err != nil {
		return err
	}
	standIns.bar = objc.Send(objc.Send(bar, sel("alloc")), sel("init"))
	replace := libraries.Symbol("class_replaceMethod")
	types := []byte("@@:\x00")
	objc.Call(replace, meta(objc.Class("NSStatusBar")), sel("systemStatusBar"), objc.Callback(func(_, _ uintptr) uintptr { return standIns.bar }), uintptr(unsafe.Pointer(&types[0])))

	types = []byte("B@:@\x00")
	objc.Call(replace, objc.Class("NSWorkspace"), sel("openURL:"), objc.Callback(func(_, _, address uintptr) bool {
		s := openScope()
		defer s.Close()
		standIns.said("browser %s", s.text(s.send(address, urlAbsoluteString)))
		return true
	}), uintptr(unsafe.Pointer(&types[0])))
	return webStandIn(libraries)
}

// standInBlock is a block of a Go function of one argument, for the web view to ask its delegate.
type standInBlock struct{ objc.Block }

func webStandIn(libraries objc.Libraries) error {
	keyDown := objc.Call(libraries.Symbol("class_getMethodImplementation"), objc.Class("NSTextView"), sel("keyDown:"))
	policy := make(chan uintptr, 1)
	decided := &standInBlock{}
	decided.Block = objc.NewBlock(objc.Callback(func(_, p uintptr) { policy <- p }), unsafe.Sizeof(*decided))
	classes := []struct {
		name, super string
		methods     []objc.Implementation
		static      []objc.Implementation
	}{
		{"WKWebsiteDataStore", "NSObject", nil, []objc.Implementation{{Selector: "nonPersistentDataStore", Types: "@@:", Function: func(class, _ uintptr) uintptr {
			if standIns.store == 0 {
				standIns.store = objc.Send(objc.Send(class, sel("alloc")), sel("init"))
			}
			return standIns.store
		}}}},
		{"WKWebViewConfiguration", "NSObject", []objc.Implementation{{Selector: "setWebsiteDataStore:", Types: "v@:@", Function: func(_, _, store uintptr) {
			standIns.said("page kept nowhere %v", store == standIns.store)
		}}}, nil},
		{"WKNavigationAction", "NSObject", []objc.Implementation{{Selector: "request", Types: "@@:", Function: func(_, _ uintptr) uintptr { return standIns.request }}}, nil},
		{"WKWebView", "NSTextView", []objc.Implementation{
			{Selector: "initWithFrame:configuration:", Types: "@@:{NSRect=dddd}@", Function: func(self, _ uintptr, r rect, _ uintptr) uintptr {
				var initFrame func(obj, sel uintptr, r rect) uintptr
				objc.Bind(&initFrame)
				standIns.web = initFrame(self, sel("initWithFrame:"), r)
				return standIns.web
			}},
			{Selector: "setNavigationDelegate:", Types: "v@:@", Function: func(_, _, delegate uintptr) { standIns.delegate = delegate }},
			{Selector: "setUIDelegate:", Types: "v@:@", Function: func(_, _, _ uintptr) {}},
			{Selector: "keyDown:", Types: "v@:@", Function: func(self, cmd, event uintptr) { // a web view passes on what its page has no use for
				s := openScope()
				defer s.Close()
				if s.text(s.Send(event, sel("characters"))) != "\x1b" {
					objc.Call(keyDown, self, cmd, event)
					return
				}
				s.Send(s.Send(self, sel("nextResponder")), sel("doCommandBySelector:"), implCancel.sel)
			}},
			{Selector: "loadRequest:", Types: "@@:@", Function: func(self, _, request uintptr) uintptr {
				s := openScope()
				defer s.Close()
				standIns.request = request
				s.send(standIns.delegate, implNavigation, self, s.New(objc.Class("WKNavigationAction")), uintptr(unsafe.Pointer(decided)))
				address := s.text(s.send(s.send(request, requestURL), urlAbsoluteString))
				if <-policy != navigationAllow {
					standIns.said("page refused %s", address)
					return 0
				}
				text, err := get(address)
				if err != nil {
					s.send(standIns.delegate, implNavigationFailed, self, 0, 0)
					standIns.said("page failed")
					return 0
				}
				s.Send(self, sel("setString:"), s.string(text))
				standIns.said("page loaded")
				return 0
			}},
		}, nil},
	}
	for _, c := range classes {
		class, err := objc.NewClass(c.name, c.super, c.methods)
		if err != nil {
			return err
		}
		for _, m := range c.static {
			if err := objc.AddMethod(meta(class), m); err != nil {
				return err
			}
		}
	}
	return nil
}

func get(address string) (string, error) {
	r, err := http.Get(address)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}
