package login

import "github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"

// Follow makes the setting what the system does, and the system do what the setting
// says from now on, until stop is called. What the system does not do is the setting
// no more. It tells complain what goes wrong.
func (i Item) Follow(a desktop.Assistant, complain func(error)) (stop func()) {
	try := func(err error) {
		if err != nil {
			complain(err)
		}
	}
	on, err := i.Enabled()
	try(err)
	if err == nil && on != a.Settings().StartAtLogin {
		try(a.Change(func(s *desktop.Settings) { s.StartAtLogin = on }))
	}
	return a.Watch(func(desktop.State) {
		was, want := on, a.Settings().StartAtLogin
		if want == was {
			return
		}
		on = want
		err := i.Set(want)
		if err == nil {
			return
		}
		complain(err)
		on = was
		if err := a.Change(func(s *desktop.Settings) { s.StartAtLogin = was }); err != nil {
			on = want // it is not tried again with each change
			complain(err)
		}
	})
}
