package flow

import (
	"reflect"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// setChoices makes the field a drop-down if it has a tag options, or if its type has a method
// Options. If the tag is empty, the node chooses: see askNode. A slice of such a type is a drop-down with several choices.
func (f *field) setChoices(t reflect.Type, sf reflect.StructField) {
	member := f.elem
	tag, tagged := sf.Tag.Lookup("options")
	if underlying(member).Kind() == reflect.Slice {
		member = underlying(member).Elem()
	}
	f.Choices = choicesOf(t, sf.Name, member)
	if tagged && tag == "" {
		if underlying(member).Kind() != reflect.String {
			panic(mistake(t, sf.Name, "tag `options:\"\"` lets the method Choices of the node list texts, which %s cannot hold; change the type to string", f.elem))
		}
		f.chooser = &nodeChoices{field: sf.Name, input: f.Name}
		f.Choices = f.chooser.choices
	} else if tagged {
		if !isBasic(member) {
			panic(mistake(t, sf.Name, "tag `options` makes a drop-down, whose field must be a string, a number, or a slice of them, not %s", f.elem))
		}
		list, err := parseList(member, tag)
		if err != nil {
			panic(mistake(t, sf.Name, "tag `options:%q` has a choice that is %v; write values of type %s", tag, err, member))
		}
		f.Choices = func() []any { return list }
	}
	if f.Choices != nil && member != f.elem && underlying(f.elem).Kind() == reflect.Slice {
		f.Multi, f.Combo = true, true
	}
}

// nodeChoices is where a drop-down with an empty tag options takes its choices from. Copies of
// the field share it.
type nodeChoices struct {
	field, input string
	node         nodebus.Chooser // the registered node
}

func (a *nodeChoices) choices() []any {
	return choiceList(reflect.ValueOf(a.node.Choices(a.input)))
}

// askNode gives node, which is the registered node, to the drop-downs that ask it.
func askNode(t reflect.Type, inputs []field, node any) {
	for i := range inputs {
		f := &inputs[i]
		if f.dyn != nil && f.dyn.element != nil {
			askNode(t, []field{*f.dyn.element}, node)
		}
		for k := 0; f.dyn != nil && k < len(f.dyn.cases); k++ {
			askNode(t, f.dyn.cases[k], node)
		}
		if f.chooser == nil {
			continue
		}
		chooser, is := node.(nodebus.Chooser)
		if !is {
			panic(mistake(t, f.chooser.field, "tag `options:\"\"` needs a method Choices(input string) []string of the node; add it, or list the choices in the tag"))
		}
		f.chooser.node = chooser
	}
}

// member returns the type of a choice.
func (f *field) member() reflect.Type {
	if t := underlying(f.elem); f.Multi && t.Kind() == reflect.Slice {
		return t.Elem()
	}
	return f.elem
}

// isBasic reports whether a value of type t, or what it points to, is a string, a number or a
// truth value.
func isBasic(t reflect.Type) bool {
	kind := underlying(t).Kind()
	return kind == reflect.String || kind == reflect.Bool || isNumber(t)
}

// choicesOf returns a function that calls the method Options of type typ; nil if typ is no
// basic type with such a method. It panics if the method has another form than ours.
func choicesOf(t reflect.Type, where string, typ reflect.Type) func() []any {
	typ = underlying(typ)
	if !isBasic(typ) {
		return nil
	}
	m, has := reflect.PointerTo(typ).MethodByName("Options")
	if !has {
		return nil
	}
	kind, form := reflect.New(typ).Elem(), m.Type
	if form.NumIn() == 1 && form.NumOut() == 1 && form.Out(0).Kind() == reflect.Slice {
		one := reflect.New(form.Out(0).Elem()).Elem()
		if one.Kind() == kind.Kind() || isNumber(one.Type()) && isNumber(typ) {
			return func() []any { return choiceList(reflect.New(typ).MethodByName("Options").Call(nil)[0]) }
		}
	}
	panic(mistake(t, where, "the method Options of %s has the form %s, so that nobody calls it; let it return a slice of %s, or give it another name", typ, formOf(form), kind.Kind()))
}

// choiceList returns the elements of a slice as choices; nil if the slice is nil.
func choiceList(slice reflect.Value) []any {
	if slice.IsNil() {
		return nil
	}
	list := make([]any, slice.Len())
	for i := range list {
		list[i], _ = value.Basic(slice.Index(i).Interface())
		if u, ok := list[i].(uint64); ok && u <= 1<<63-1 {
			list[i] = int64(u)
		}
	}
	return list
}

// find returns the choice that is equal to a literal. As in ComfyUI, numbers are equal if
// their values are, and true is 1; a text is never equal to a number.
func find(choices []any, v any) (choice any, ok bool) {
	v = countable(v)
	for _, c := range choices {
		if text, isText := c.(string); isText {
			if v == any(text) {
				return c, true
			}
			continue
		}
		if sign, ok := value.Compare(countable(c), v); ok && sign == 0 {
			return c, true
		}
	}
	return nil, false
}

// countable returns a truth value as a number, and any other value in its basic form.
func countable(v any) any {
	switch v = value.Text(v); v {
	case any(true):
		return 1
	case any(false):
		return 0
	}
	return v
}

// fillMulti sets the field of a drop-down with several choices. A source may give a single
// choice.
func fillMulti(dst reflect.Value, v any) error {
	err := value.Assign(dst, v)
	if err != nil && value.Assign(dst, []any{v}) == nil {
		return nil
	}
	return err
}
