package metal

import (
	"fmt"
	"sync"

	"github.com/go-openelm/go-openelm/internal/objc"
)

// Capture is a GPU capture being written (MTLCaptureManager).
type Capture struct {
	stop sync.Once
}

// StartCapture records everything the device does until Stop into a .gputrace document at path, to be opened with Xcode.
// macOS allows it to programs started with METAL_CAPTURE_ENABLED=1 in their environment; otherwise, or if a capture is
// running or path exists, the error is an *Error.
func (d *Device) StartCapture(path string) (*Capture, error) {
	const op = "metal: Device.StartCapture"
	if err := d.check(op); err != nil {
		return nil, err
	}
	if path == "" {
		return nil, fmt.Errorf("%s: no path: %w", op, ErrInvalidArgument)
	}
	if err := checkText("path", path); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	s := openScope()
	defer s.Close()
	manager := s.send(api.classes[classCaptureManager], selCaptureShared)
	if manager == 0 || !objc.Bool(s.send(manager, selCaptureSupports, captureToDocument)) {
		return nil, &Error{Op: "start capture", Description: "the system does not allow captures to files; set METAL_CAPTURE_ENABLED=1"}
	}
	desc := s.New(api.classes[classCaptureDescriptor])
	s.send(desc, selCaptureDescSetObject, d.id)
	s.send(desc, selCaptureDescSetDestination, captureToDocument)
	s.send(desc, selCaptureDescSetURL, s.send(api.classes[classNSURL], selFileURLWithPath, s.String(path)))
	if !objc.Bool(s.send(manager, selCaptureStart, desc, s.ErrorOut())) {
		return nil, s.failure("start capture", s.Error())
	}
	return &Capture{}, nil
}

// Stop ends the capture and finishes its document. Idempotent, nil is fine.
func (c *Capture) Stop() {
	if c == nil {
		return
	}
	c.stop.Do(func() {
		s := openScope()
		defer s.Close()
		if manager := s.send(api.classes[classCaptureManager], selCaptureShared); objc.Bool(s.send(manager, selCaptureIsCapturing)) {
			s.send(manager, selCaptureStop)
		}
	})
}
