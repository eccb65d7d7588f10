package objc

import "fmt"

// Implementation is a method written in Go. Function takes the receiver, the selector (uintptr both) and the arguments
// that Types says, as Go's types of the same size or structs of them, and returns nothing or what fits a register but
// for doubles. Types has the runtime's letters with the two hidden arguments written out, such as "v@:@".
type Implementation struct {
	Selector string
	Types    string
	Function any
}

// NewClass makes and registers a class, which lives as long as the process, as its methods do.
func NewClass(name, super string, methods []Implementation) (uintptr, error) {
	if functions.allocateClass == 0 || functions.registerClass == 0 || functions.addMethod == 0 {
		return 0, fmt.Errorf("the runtime makes no classes, such as %s", name)
	}
	above := Class(super)
	if above == 0 {
		return 0, fmt.Errorf("class %s: there is no class %s", name, super)
	}
	class := Call(functions.allocateClass, above, cString(name), 0)
	if class == 0 {
		return 0, fmt.Errorf("there is a class %s already", name)
	}
	for _, m := range methods {
		if err := AddMethod(class, m); err != nil {
			return 0, fmt.Errorf("class %s: %w", name, err)
		}
	}
	Call(functions.registerClass, class)
	return class, nil
}

// AddMethod adds a method to a class that does not have it itself.
func AddMethod(class uintptr, m Implementation) error {
	if !Bool(Call(functions.addMethod, class, Selector(m.Selector), Callback(m.Function), cString(m.Types))) {
		return fmt.Errorf("cannot add method %s", m.Selector)
	}
	return nil
}
