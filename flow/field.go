package flow

import (
	"context"
	"reflect"

	"github.com/nodebus/nodebus"
)

// field is a Port with its field in the node's struct or in the result.
type field struct {
	Port
	index []int // see reflect.Value.FieldByIndex
	elem  reflect.Type
	// defaultValue is Default converted to the type of the field.
	defaultValue any
	special      bool // the output has type Out

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
