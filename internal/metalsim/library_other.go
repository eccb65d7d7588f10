//go:build !(linux && (amd64 || arm64))

package metalsim

const simulated = false

// library does nothing where Metal is real or absent.
type library struct{}

func openLibrary(string) (library, error)           { return library{}, nil }
func (library) call(string) string                  { return "" }
func (library) callText(string, string, ...uintptr) {}
func (library) configure(string, string) int        { return 0 }
