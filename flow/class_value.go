package flow

import (
	"fmt"
	"reflect"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

var anyType = reflect.TypeFor[any]()

// elemOf returns the Go type of the values of a port of a class made at run time. INT has no
// type of its own, because its values are of one of two types.
func elemOf(p *Port) reflect.Type {
	switch {
	case p.Choices != nil || p.Raw:
	case p.Type == "FLOAT":
		return reflect.TypeFor[float64]()
	case p.Type == "STRING":
		return reflect.TypeFor[string]()
	case p.Type == "BOOLEAN":
		return reflect.TypeFor[bool]()
	}
	return anyType
}

// take converts an argument to the form in which a function gets it.
func (f *field) take(v any) (any, error) {
	if !f.List {
		return f.takeOne(v)
	}
	elems := value.ListOf(v, f.elem)
	list := make([]any, len(elems))
	for i, e := range elems {
		var err error
		if list[i], err = f.takeOne(e); err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
	}
	return list, nil
}

func (f *field) takeOne(v any) (any, error) {
	got, err := f.convert(v)
	if err != nil {
		if _, is := v.(standIn); is {
			return v, nil
		}
	}
	return got, err
}

// standIn is a value that stands in for a value of any type, in tests without the nodes that
// compute such values.
type standIn interface{ StandsIn() }

func (f *field) convert(v any) (any, error) {
	switch {
	case f.Raw:
		return v, nil
	case f.Multi:
		return chosenOf(v), nil
	case f.Choices != nil:
		return value.Text(v), nil
	}
	if f.Type != "INT" {
		return f.basic(value.Untyped(v))
	}
	switch v := v.(type) {
	case int64:
		return v, nil
	case int:
		return int64(v), nil
	}
	return whole[int64](v)
}

// chosenOf returns the choices of a drop-down that takes several. A source may give one choice.
func chosenOf(v any) []any {
	all, ok := value.Elements(v, anyType)
	if !ok {
		all = []any{v}
	}
	own := make([]any, len(all))
	for i, c := range all {
		own[i] = value.Text(c)
	}
	return own
}

// give converts an output of a function to the form in which a struct would give it.
func (f *field) give(v any) (any, error) {
	switch v.(type) {
	case int, int64, float64, string, bool: // the most common ones, which are no Out
	default:
		if port, ok := v.(outPort); ok {
			return f.giveOut(port)
		}
	}
	return f.giveValue(v)
}

func (f *field) giveOut(port outPort) (any, error) {
	out := port.Any()
	if out.Blocked != nil || out.From != (nodebus.Link{}) {
		return port, nil
	}
	own, err := f.giveValue(out.Value)
	if out.Graph != nil { // it runs beside the value
		return nodebus.Out[any]{Value: own, Graph: out.Graph}, err
	}
	return sealed(own), err
}

// sealed returns the value of an Out. If the value is an Out itself, it stays in an Out: only the
// outer one stands for something.
func sealed(v any) any {
	if _, isOut := v.(outPort); isOut {
		return nodebus.Out[any]{Value: v}
	}
	return v
}

func (f *field) giveValue(v any) (any, error) {
	if !f.List {
		return f.giveOne(v)
	}
	var elems []any
	switch list := v.(type) {
	case *nodebus.BlockedError:
		return list, nil
	case listValue:
		elems = list.Values()
	default:
		elems = value.ListOf(v, f.elem)
	}
	all := make(value.List, len(elems))
	for i, e := range elems {
		var err error
		if all[i], err = f.giveElement(e); err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
	}
	return all, nil
}

// giveElement converts an element of a list, which may be an Out.
func (f *field) giveElement(v any) (any, error) {
	port, ok := v.(outPort)
	if !ok {
		return f.giveOne(v)
	}
	out := port.Any()
	if out.Blocked != nil || out.From != (nodebus.Link{}) || out.Graph != nil {
		return port, nil
	}
	own, err := f.giveOne(out.Value)
	return sealed(own), err
}

func (f *field) giveOne(v any) (any, error) {
	switch v := v.(type) {
	case *nodebus.BlockedError:
		return v, nil
	case int, int64, uint64:
		if f.Type == "INT" {
			return v, nil
		}
	}
	switch {
	case f.Choices != nil:
		return value.Text(v), nil
	case f.Type == "INT":
		return whole[int](v)
	}
	return f.basic(v)
}

// whole converts a number without a fraction to an I, or to a uint64 above the range of I.
func whole[I int | int64](v any) (any, error) {
	n, err := value.To[I](v)
	if err == nil {
		return n, nil
	}
	if u, ok := value.To[uint64](v); ok == nil {
		return u, nil
	}
	return nil, err
}

// basic converts a value to a float64, a string or a bool if the type of the port is FLOAT,
// STRING or BOOLEAN.
func (f *field) basic(v any) (any, error) {
	if f.elem == anyType || reflect.TypeOf(v) == f.elem {
		return v, nil
	}
	dst := reflect.New(f.elem).Elem()
	if err := value.Assign(dst, v); err != nil {
		return nil, err
	}
	return dst.Interface(), nil
}
