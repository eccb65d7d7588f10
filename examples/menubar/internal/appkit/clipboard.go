package appkit

import (
	"fmt"
	"strings"
	"unsafe"
)

// clipboard is what the actions of the menu did to the clipboard last.
type clipboard struct {
	busy   bool
	before string  // the text that was replaced
	count  uintptr // the clipboard's count of changes when it was
}

// read is the text of a pasteboard, if it has one that says something.
func (s scope) read(pasteboard uintptr) (text string, ok bool) {
	ns := s.send(pasteboard, pasteboardString, pasteboardType.object())
	if ns == 0 {
		return "", false
	}
	text = s.text(ns)
	return text, strings.TrimSpace(text) != ""
}

// write makes text all that a pasteboard has.
func (s scope) write(pasteboard uintptr, text string) {
	s.send(pasteboard, pasteboardClear)
	s.send(pasteboard, pasteboardSetString, s.string(text), pasteboardType.object())
}

// ready reports whether there may be text for an action. The text itself is not read before somebody wants something
// done with it: it is none of ours, and macOS tells who reads it.
func (c *clipboard) ready() bool {
	if c.busy {
		return false
	}
	s := openScope()
	defer s.Close()
	text := []uintptr{pasteboardType.object()}
	types := s.send(nsArray.id, arrayWithObjects, uintptr(unsafe.Pointer(&text[0])), uintptr(len(text)))
	return s.send(s.send(nsPasteboard.id, pasteboardGeneral), pasteboardAvailable, types) != 0
}

// canUndo reports whether the clipboard still has what an action put there.
func (c *clipboard) canUndo() bool {
	if c.count == 0 || c.busy {
		return false
	}
	s := openScope()
	defer s.Close()
	return s.send(s.send(nsPasteboard.id, pasteboardGeneral), pasteboardChangeCount) == c.count
}

// act performs an action on the text on the clipboard, which the answer replaces unless it changed meanwhile.
func (d *Desktop) act(index int) {
	c, a := &d.clipboard, actions[index]
	s := openScope()
	defer s.Close()
	general := s.send(nsPasteboard.id, pasteboardGeneral)
	if c.busy || d.closing {
		return
	}
	text, ok := s.read(general)
	if !ok {
		d.tell("There is no text on the clipboard.", "Select a text, and copy it.")
		return
	}
	c.busy = true
	count := s.send(general, pasteboardChangeCount)
	go func() {
		answer, err := d.a.Do(d.ctx, a.action, text)
		d.onMain(func() { d.acted(a.done, count, text, answer, err) })
	}()
	d.update()
}

// acted is the end of act.
func (d *Desktop) acted(done string, count uintptr, text, answer string, err error) {
	c := &d.clipboard
	c.busy = false
	defer d.update()
	if d.closing {
		return
	}
	if err != nil {
		d.tell(fmt.Sprintf("The text could not be %s.", done), err.Error())
		return
	}
	s := openScope()
	defer s.Close()
	general := s.send(nsPasteboard.id, pasteboardGeneral)
	if s.send(general, pasteboardChangeCount) != count { // something else was copied: not ours to replace
		d.a.Offer(answer)
		d.show()
		return
	}
	s.write(general, answer)
	c.before, c.count = text, s.send(general, pasteboardChangeCount)
}

// undo puts the text back that an action replaced.
func (d *Desktop) undo() {
	c := &d.clipboard
	if !c.canUndo() {
		return
	}
	s := openScope()
	defer s.Close()
	s.write(s.send(nsPasteboard.id, pasteboardGeneral), c.before)
	*c = clipboard{}
	d.update()
}
