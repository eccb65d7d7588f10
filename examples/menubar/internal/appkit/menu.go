package appkit

import (
	"image/color"
	"path/filepath"
	"unsafe"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/examples/menubar/internal/icon"
	"github.com/go-openelm/go-openelm/internal/objc"
)

// menu is the icon in the menubar and the menu behind it.
type menu struct {
	item, button uintptr

	state, open, model, unload, undo uintptr
	actions                          []uintptr // in the order of actions
	login, hide, key, quit           uintptr
}

// actions are what the menu offers for the text on the clipboard.
var actions = []struct {
	action desktop.Action
	title  string
	done   string
}{
	{desktop.Rewrite, "Rewrite", "rewritten"},
	{desktop.Shorten, "Shorten", "shortened"},
	{desktop.Fix, "Fix Spelling and Grammar", "fixed"},
	{desktop.Friendlier, "Make Friendlier", "made friendlier"},
	{desktop.Summarise, "Summarise", "summarised"},
	{desktop.Explain, "Explain", "explained"},
	{desktop.Continue, "Continue", "continued"},
}

var (
	openPage    = ours("openelmOpen:")
	actOnText   = ours("openelmAct:")
	undoText    = ours("openelmUndo:")
	unloadModel = ours("openelmUnload:")
	toggleLogin = ours("openelmLogin:")
	toggleIcon  = ours("openelmHide:")
	toggleKey   = ours("openelmKey:")
	quitProgram = ours("openelmQuit:")
)

// menuMethods are the methods that items of the menu send.
func (d *Desktop) menuMethods() []objc.Implementation {
	action := func(o *selector, run func(item uintptr)) objc.Implementation {
		return objc.Implementation{Selector: o.name, Types: "v@:@", Function: func(_, _, item uintptr) { run(item) }}
	}
	return []objc.Implementation{
		implMenuNeedsUpdate.implementation("v@:@", func(_, _, _ uintptr) { d.update() }),
		action(openPage, func(uintptr) { d.show() }),
		action(actOnText, func(item uintptr) { d.act(int(send(item, menuItemTag))) }),
		action(undoText, func(uintptr) { d.undo() }),
		action(unloadModel, func(uintptr) { d.a.Unload() }),
		action(toggleLogin, func(uintptr) { d.change(func(s *desktop.Settings) { s.StartAtLogin = !s.StartAtLogin }) }),
		action(toggleIcon, func(uintptr) { d.hideIcon() }),
		action(toggleKey, func(uintptr) { d.change(func(s *desktop.Settings) { s.GlobalKey = !s.GlobalKey }) }),
		action(quitProgram, func(uintptr) { d.quit() }),
	}
}

// makeMenus makes the icon, its menu, and the main menu, which is never seen but has the keys of editing.
func (d *Desktop) makeMenus(s scope) {
	m := &d.menu
	add := func(menu uintptr, title string, o *selector, key string) uintptr {
		var sel uintptr
		if o != nil {
			sel = o.sel
		}
		item := s.send(menu, menuAddItemWithTitle, s.string(title), sel, s.string(key))
		if o != nil {
			s.send(item, menuItemSetTarget, d.controller)
		}
		return item
	}
	separator := func(menu uintptr) { s.send(menu, menuAddItem, s.send(nsMenuItem.id, menuItemSeparator)) }
	submenu := func(menu uintptr, title string) uintptr {
		sub := s.New(nsMenu.id)
		s.send(menu, menuSetSubmenu, sub, add(menu, title, nil, ""))
		return sub
	}

	top := s.New(nsMenu.id)
	s.send(top, menuSetAutoenables, flag(false))
	s.send(top, menuSetDelegate, d.controller)
	m.state = add(top, "", nil, "")
	s.send(m.state, menuItemSetEnabled, flag(false))
	m.open = add(top, "Open "+name, openPage, "")
	separator(top)
	clip := submenu(top, "Clipboard")
	s.send(clip, menuSetAutoenables, flag(false))
	s.send(clip, menuSetDelegate, d.controller)
	for i, a := range actions {
		item := add(clip, a.title, actOnText, "")
		s.send(item, menuItemSetTag, uintptr(i))
		m.actions = append(m.actions, item)
	}
	separator(clip)
	m.undo = add(clip, "Put the Old Text Back", undoText, "")
	m.model = add(top, "Model", openPage, "")
	m.unload = add(top, "Unload Now", unloadModel, "")
	separator(top)
	m.login = add(top, "Start at Login", toggleLogin, "")
	m.hide = add(top, "Hide Icon", toggleIcon, "")
	m.key = add(top, "Global Key ⌃⌥Space", toggleKey, "")
	separator(top)
	m.quit = add(top, "Quit "+name, quitProgram, "q")

	bar := s.send(nsStatusBar.id, statusBarSystem)
	m.item = sendStatusItem(bar, statusBarItem.sel, variableLength)
	s.send(m.item, objectRetain)
	m.button = s.send(m.item, statusItemButton)
	// macOS takes its shape: 36 pixels, shown as 18 points.
	glyph := icon.PNG(icon.Glyph(36, color.Black))
	image := s.send(s.send(nsImage.id, objectAlloc), imageWithData, s.send(nsData.id, dataWithBytes, uintptr(unsafe.Pointer(&glyph[0])), uintptr(len(glyph))))
	s.send(image, objectAutorelease)
	sendSize(image, imageSetSize.sel, size{18, 18})
	s.send(image, imageSetTemplate, flag(true))
	s.send(image, imageSetDescription, s.string(name))
	s.send(m.button, buttonSetImage, image)
	s.send(m.button, buttonSetPosition, imageLeft)
	s.send(m.item, statusItemSetMenu, top)

	main := s.New(nsMenu.id)
	program := submenu(main, name)
	add(program, "Quit "+name, quitProgram, "q")
	edit := submenu(main, "Edit")
	for _, e := range []struct {
		title string
		m     *method
		key   string
		mask  uintptr
	}{
		{"Undo", editUndo, "z", modifierCommand}, {"Redo", editRedo, "z", modifierCommand | modifierShift},
		{"Cut", editCut, "x", modifierCommand}, {"Copy", editCopy, "c", modifierCommand}, {"Paste", editPaste, "v", modifierCommand},
		{"Select All", editSelectAll, "a", modifierCommand}, {"Close", windowPerformClose, "w", modifierCommand},
	} {
		item := s.send(edit, menuAddItemWithTitle, s.string(e.title), e.m.sel, s.string(e.key))
		s.send(item, menuItemSetModifiers, e.mask)
	}
	s.send(d.app, applicationSetMainMenu, main)
}

// setVisible shows or hides the icon.
func (m *menu) setVisible(visible bool) { send(m.item, statusItemSetVisible, flag(visible)) }

// update shows what there is now: before the menu opens, and when something changed.
func (d *Desktop) update() {
	d.mu.Lock()
	d.stale = false
	d.mu.Unlock()
	m := &d.menu
	if m.item == 0 {
		return
	}
	state, settings := d.a.State(), d.a.Settings()
	if !d.closing {
		d.apply(settings)
	}
	line := state.Line()
	model := filepath.Base(state.Model)
	if state.Story {
		model = "the story-teller"
	}
	if d.closing {
		line = "Closing…"
	}
	s := openScope()
	defer s.Close()
	enable := func(item uintptr, enabled bool) { s.send(item, menuItemSetEnabled, flag(enabled && !d.closing)) }
	check := func(item uintptr, on bool) { s.send(item, menuItemSetState, flag(on)*stateOn) }
	s.send(m.state, menuItemSetTitle, s.string(line))
	s.send(m.button, viewSetToolTip, s.string(name+": "+line))
	s.send(m.button, buttonSetTitle, s.string(badge(state.Status)))
	s.send(m.model, menuItemSetTitle, s.string("Model: "+model+"…"))
	enable(m.open, true)
	enable(m.model, true)
	enable(m.unload, state.Status != desktop.Resting)
	ready := d.clipboard.ready()
	for _, item := range m.actions {
		enable(item, ready)
	}
	enable(m.undo, d.clipboard.canUndo())
	enable(m.login, true)
	check(m.login, settings.StartAtLogin)
	enable(m.hide, true)
	check(m.hide, settings.HideIcon)
	enable(m.key, true)
	check(m.key, settings.GlobalKey)
	enable(m.quit, true)
}

// hideIcon hides the icon, and tells how to come back.
func (d *Desktop) hideIcon() {
	hidden := d.a.Settings().HideIcon
	if !hidden {
		d.tell("The icon will be hidden.", "Open "+name+" again to see it, and the page.")
	}
	d.change(func(s *desktop.Settings) { s.HideIcon = !hidden })
}

// badge is shown beside the icon.
func badge(s desktop.Status) string {
	switch s {
	case desktop.Answering, desktop.Loading:
		return "…"
	case desktop.Downloading:
		return "↓"
	}
	return ""
}
