package login

import "github.com/go-openelm/go-openelm/examples/menubar/internal/desktop"

// Follow makes the setting what the system does, and the system do what the setting
// says from now on, until stop is called. It tells complain what goes wrong.
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
		if want := a.Settings().StartAtLogin; want != on {
			on = want
			try(i.Set(on))
		}
	})
}
