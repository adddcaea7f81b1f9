package flow

import (
	"reflect"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// fillLive sets the inputs of a new node of a class with dynamic inputs. It makes new slices,
// maps and structs for these, because all nodes share what the registered node has.
func (c *structCode) fillLive(node reflect.Value, ctx *nodebus.Context, ports []field, args []any) error {
	clearElements(node, c.class.inputs)
	for i := 0; i < len(ports); i++ {
		f := &ports[i]
		var err error
		switch {
		case f.isElement():
			n := 1
			for i+n < len(ports) && ports[i+n].parent == f.parent {
				n++
			}
			err = fillElements(node.FieldByIndex(f.parent.index), ctx, ports[i:i+n], args[i:i+n])
			i += n - 1
		case f.Cases != nil:
			err = choose(node, f, args[i])
		default:
			err = fillOne(node.FieldByIndex(f.index), ctx, f, args[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// clearElements empties the inputs that grow, and the rest field.
func clearElements(node reflect.Value, declared []field) {
	for i := range declared {
		if f := &declared[i]; f.Grow != nil || f.Rest {
			dst := node.FieldByIndex(f.index)
			if dst.Kind() == reflect.Map {
				dst.Set(reflect.MakeMap(dst.Type()))
			} else {
				dst.Set(reflect.MakeSlice(dst.Type(), 0, 0))
			}
		}
	}
}

// fillElements fills a slice or a map.
func fillElements(dst reflect.Value, ctx *nodebus.Context, ports []field, args []any) error {
	t := dst.Type()
	if t.Kind() == reflect.Map {
		for i := range ports {
			v := reflect.New(t.Elem()).Elem()
			if err := fillOne(v, ctx, &ports[i], args[i]); err != nil {
				return err
			}
			dst.SetMapIndex(reflect.ValueOf(ports[i].local).Convert(t.Key()), v)
		}
		return nil
	}
	dst.Set(reflect.MakeSlice(t, len(ports), len(ports)))
	named := value.IsGeneric(t.Elem(), "Named")
	for i := range ports {
		v := dst.Index(i)
		if named {
			v.Field(0).SetString(ports[i].local)
			v = v.Field(1)
		}
		if err := fillOne(v, ctx, &ports[i], args[i]); err != nil {
			return err
		}
	}
	return nil
}

// choose sets the pointer of a choice to a new struct, a copy of the one that the registered
// node has. The pointers of all other choices become nil. The struct may have other fields, which
// stay as they are.
func choose(node reflect.Value, f *field, v any) error {
	union := node.FieldByIndex(f.index)
	k := -1
	if v != notGiven {
		if k = f.caseOf(v); k < 0 {
			return f.unknownCase(v)
		}
	}
	for i, at := range f.dyn.pointers {
		if i != k {
			union.Field(at).SetZero()
		}
	}
	if k < 0 {
		return nil
	}
	old := union.Field(f.dyn.pointers[k])
	inner := reflect.New(old.Type().Elem())
	if !old.IsNil() {
		inner.Elem().Set(old.Elem())
	}
	old.Set(inner)
	clearElements(node, f.dyn.cases[k])
	return nil
}
