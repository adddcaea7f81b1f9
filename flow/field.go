package flow

import (
	"context"
	"reflect"
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// field is a Port with its field in the node's struct or in the result.
type field struct {
	Port
	index []int // see reflect.Value.FieldByIndex
	elem  reflect.Type
	// defaultValue is Default converted to the type of the field.
	defaultValue any
	special      bool         // the output has type Out
	chooser      *nodeChoices // not nil: the node has the choices
	copies       bool         // each call has a copy of a literal or default; see mayCopy

	// These fields are for inputs of classes with dynamic inputs.
	dyn    *dynamic // not nil: the input stands for others
	parent *field   // the dynamic input that the input belongs to
	local  string   // the last part of the name
	number int      // among all fields of the class
}

// These interfaces are the methods of generic types of package nodebus that
// executors use. Reflection finds the type parameters: Lazy has a field of type
// [0]T, and Out has a field named Value.
type (
	lazyPort interface {
		Bind(get func(context.Context) (any, error))
	}
	listPort interface {
		SetValues(values []any) error
	}
	listValue interface{ Values() []any }
	outPort   interface{ Any() nodebus.Out[any] }
)

// dynamic belongs to an input that stands for others: it grows, it is a drop-down with cases,
// or it takes what nobody declares. The others have flat names, for example "images.image0".
// Those that a node has are its live ports. They are ordinary fields.
type dynamic struct {
	element  *field    // of an input that grows, or of a rest field: describes each of the others
	elements []field   // of an input that grows: a field for each name
	cases    [][]field // the inputs of each case
	pointers []int     // of a struct class, for each case: the field that is the pointer to the inputs
}

// concerns reports whether name is the input, or an input that it belongs to.
func (f *field) concerns(name string) bool {
	for ; f != nil; f = f.parent {
		if f.Name == name {
			return true
		}
	}
	return false
}

// isElement reports whether the input is one of those that a growing input or a rest field
// stands for.
func (f *field) isElement() bool { return f.parent != nil && f.parent.Cases == nil }

// last returns the last part of the name.
func (f *field) last() string {
	if f.local != "" {
		return f.local
	}
	return f.Name
}

// caseOf returns the number of the case that v chooses; -1 if there is no such case.
func (f *field) caseOf(v any) int {
	key, isText := value.Text(value.Unwrap(v)).(string)
	if !isText {
		return -1
	}
	return slices.IndexFunc(f.Cases, func(c Case) bool { return c.Key == key })
}

func portsOf(fields []field) []Port {
	ports := make([]Port, len(fields))
	for i, f := range fields {
		ports[i] = f.Port
	}
	return ports
}

// getter is the argument of a lazy input: Lazy calls it when the node asks for the
// value.
type getter func(context.Context) (any, error)

// notGiven is the argument of a missing input: the field keeps the value of the
// prototype.
var notGiven any = new(struct{ _ byte })
