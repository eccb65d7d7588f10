package appkit

import (
	"net/url"

	"github.com/go-openelm/go-openelm/internal/objc"
)

// The page's size in points, when it opens first.
const (
	pageWidth  = 420
	pageHeight = 600
)

// page is the window with the page, which is made when it is first asked for.
type page struct {
	panel, web uintptr
	loaded     string // the address; empty if there is no page, or it was lost
}

// pageMethods are what the web view asks.
func (d *Desktop) pageMethods() []objc.Implementation {
	return []objc.Implementation{
		implNavigation.implementation("v@:@@@?", func(_, _, _, action, decide uintptr) {
			policy := uintptr(navigationCancel)
			if d.page.follows(d, action) {
				policy = navigationAllow
			}
			objc.CallBlock(decide, policy)
		}),
		implNewWindow.implementation("@@:@@@@", func(_, _, _, _, action, _ uintptr) uintptr {
			s := openScope()
			defer s.Close()
			d.browse(s, s.send(s.send(action, navigationRequest), requestURL))
			return 0
		}),
		implNavigationFailed.implementation("v@:@@@", func(_, _, _, _, err uintptr) {
			s := openScope()
			defer s.Close()
			_, _, why := s.Describe(err)
			d.Log.Error("page", "error", why)
			d.page.loaded = ""
		}),
		implWebEnded.implementation("v@:@", func(_, _, _ uintptr) { d.page.load(d) }),
	}
}

// show opens the page, or brings it to the front.
func (d *Desktop) show() {
	if d.closing {
		return
	}
	s := openScope()
	defer s.Close()
	p := &d.page
	if p.panel == 0 {
		if err := p.make(d, s); err != nil {
			d.Log.Error("page", "error", err)
			return
		}
	}
	if p.loaded == "" {
		p.load(d)
	}
	s.send(d.app, applicationActivate, flag(true))
	s.send(p.panel, windowFront, 0)
	s.send(p.panel, windowSetFirst, p.web)
}

// make makes the window, below the icon or, where that is hidden, in the middle.
func (p *page) make(d *Desktop, s scope) error {
	class, err := objc.NewClass("OpenELMPanel", panelSuper, []objc.Implementation{
		// Escape, if the page has no use for it.
		implCancel.implementation("v@:@", func(self, _, _ uintptr) { send(self, windowOut, 0) }),
	})
	if err != nil {
		return err
	}
	p.panel = sendWindowInit(s.send(class, objectAlloc), windowInit.sel, rect{0, 0, pageWidth, pageHeight},
		styleTitled|styleClosable|styleResizable, backingBuffered, true)
	s.send(p.panel, windowSetReleased, flag(false))
	s.send(p.panel, windowSetHides, flag(false))
	s.send(p.panel, windowSetLevel, levelFloating)
	s.send(p.panel, windowSetBehavior, behaviorMoveToActiveSpace|behaviorFullScreen)
	s.send(p.panel, windowSetTitle, s.string(name))

	configuration := s.New(webConfiguration.id)
	s.send(configuration, configurationSetStore, s.send(websiteDataStore.id, dataStoreNonPersistent))
	p.web = sendWebInit(s.send(webView.id, objectAlloc), webViewInit.sel, rect{0, 0, pageWidth, pageHeight}, configuration)
	s.send(p.web, viewSetAutoresizing, widthSizable|heightSizable)
	s.send(p.web, webViewSetNavigation, d.controller)
	s.send(p.web, webViewSetUI, d.controller)
	s.send(p.panel, windowSetContentView, p.web)

	if window := s.send(d.menu.button, viewWindow); window != 0 && !d.a.Settings().HideIcon {
		icon := sendFrame(window, windowFrame.sel)
		sendPoint(p.panel, windowSetTopLeft.sel, point{icon.X + icon.Width - pageWidth, icon.Y - 4})
	} else {
		s.send(p.panel, windowCenter)
	}
	return nil
}

// hide closes the window, if there is one.
func (p *page) hide() {
	if p.panel != 0 {
		send(p.panel, windowOut, 0)
	}
}

// load loads the page, with a ticket of its own: each is good for one load.
func (p *page) load(d *Desktop) {
	s := openScope()
	defer s.Close()
	p.loaded = d.a.Page()
	s.send(p.web, webViewLoad, s.send(nsURLRequest.id, requestWithURL, s.send(nsURL.id, urlWithString, s.string(p.loaded))))
}

// follows reports whether the page itself may go where an action leads: within its own origin. The browser shows the rest.
func (p *page) follows(d *Desktop, action uintptr) bool {
	s := openScope()
	defer s.Close()
	target := s.send(s.send(action, navigationRequest), requestURL)
	if sameOrigin(p.loaded, s.text(s.send(target, urlAbsoluteString))) {
		return true
	}
	d.browse(s, target)
	return false
}

// browse shows a web page, and nothing else, in the person's browser.
func (d *Desktop) browse(s scope, target uintptr) {
	u, err := url.Parse(s.text(s.send(target, urlAbsoluteString)))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		d.Log.Error("page: an address that no browser shows")
		return
	}
	s.send(s.send(nsWorkspace.id, workspaceShared), workspaceOpenURL, target)
}

func sameOrigin(a, b string) bool {
	x, err := url.Parse(a)
	if err != nil {
		return false
	}
	y, err := url.Parse(b)
	return err == nil && x.Host != "" && x.Scheme == y.Scheme && x.Host == y.Host
}
