package appkit

import (
	"context"
	"errors"
	"time"

	"github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"
	"github.com/go-openelm/go-openelm/internal/objc"
)

// ServiceTime is how long a service may take. The program that asks waits longer (NSTimeout in the bundle's Info.plist),
// and so does the main thread of this one: the answer has to be on the pasteboard when the method returns.
const ServiceTime = 60 * time.Second

// The services of the bundle's Info.plist: a service whose NSMessage is "rewrite" is the method rewrite:userData:error:.
var services = []struct {
	message string
	action  desktop.Action
}{{"rewrite", desktop.Rewrite}, {"summarise", desktop.Summarise}}

// errNoText is the answer to a selection of pictures, or of nothing.
var errNoText = errors.New("The selection has no text.") //lint:ignore ST1005 a sentence for the person who asked

// serviceMethods are what other programs call, with the selection on a pasteboard.
func (d *Desktop) serviceMethods() []objc.Implementation {
	var methods []objc.Implementation
	for _, service := range services {
		methods = append(methods, objc.Implementation{
			Selector: service.message + ":userData:error:", Types: "v@:@@^@",
			Function: func(_, _, pasteboard, _, problem uintptr) {
				if err := d.serve(service.action, pasteboard); err != nil && problem != 0 {
					*(*uintptr)(objc.Pointer(problem)) = d.keep(err.Error())
				}
			},
		})
	}
	return methods
}

// serve replaces the text on a pasteboard by what an action makes of it.
func (d *Desktop) serve(action desktop.Action, pasteboard uintptr) error {
	s := openScope()
	defer s.Close()
	text, ok := s.read(pasteboard)
	if !ok {
		return errNoText
	}
	ctx, cancel := context.WithTimeout(d.ctx, ServiceTime)
	defer cancel()
	answer, err := d.a.Do(ctx, action, text)
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("The model took too long. A shorter selection may help.") //lint:ignore ST1005 a sentence
	}
	if err != nil {
		return err
	}
	s.write(pasteboard, answer)
	return nil
}

// keep makes an NSString that lives until the next one: whoever gets it looks at it when our pools are drained.
func (d *Desktop) keep(text string) uintptr {
	s := openScope()
	defer s.Close()
	send(d.problem, objectRelease)
	d.problem = s.send(s.string(text), objectRetain)
	return d.problem
}
