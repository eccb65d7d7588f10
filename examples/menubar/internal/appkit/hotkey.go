package appkit

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/go-openelm/go-openelm/internal/objc"
)

// hotKey is the key that opens the page with the clipboard, in every program. Carbon's way needs no permission.
type hotKey struct {
	handler uintptr // installed once
	key     uintptr
}

// set registers or removes the key.
func (h *hotKey) set(d *Desktop, on bool) error {
	if on == (h.key != 0) {
		return nil
	}
	if !on {
		err := status(hotKeyRemove, hotKeyRemove.call(h.key))
		h.key = 0
		return err
	}
	target := hotKeyTarget.call()
	if h.handler == 0 {
		pressed := objc.Callback(func(_, _, _ uintptr) uintptr {
			d.openClipboard()
			return 0
		})
		kind := [2]uint32{eventClassKeyboard, eventHotKeyPressed} // EventTypeSpec
		if err := status(hotKeyInstall, hotKeyInstall.call(target, pressed, 1, uintptr(unsafe.Pointer(&kind)), 0, uintptr(unsafe.Pointer(&h.handler)))); err != nil {
			return err
		}
	}
	const id = 0x456c6d4b | 1<<32 // EventHotKeyID, a struct of two 32-bit words: 'ElmK', 1
	return status(hotKeyRegister, hotKeyRegister.call(keySpace, carbonControl|carbonOption, id, target, hotKeyExclusive, uintptr(unsafe.Pointer(&h.key))))
}

// status is the error for an OSStatus, a sentence for the person who wanted the key.
func status(f *function, result uintptr) error {
	switch code := int32(result); code {
	case 0:
		return nil
	case hotKeyExists:
		//lint:ignore ST1005 a sentence
		return errors.New("Another program has ⌃⌥Space.")
	default:
		//lint:ignore ST1005 a sentence
		return fmt.Errorf("The system refuses it: %s says %d.", f.Name, code)
	}
}

// openClipboard opens the page with the text on the clipboard.
func (d *Desktop) openClipboard() {
	if d.closing {
		return
	}
	s := openScope()
	text, ok := s.read(s.send(nsPasteboard.id, pasteboardGeneral))
	s.Close()
	if ok {
		d.a.Offer(text)
	}
	d.show()
}
