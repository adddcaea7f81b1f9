package flow

import (
	"errors"
	"reflect"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

var linkType = reflect.TypeFor[nodebus.Link]()

// setRaw makes the field an input that receives its link instead of a value.
func (f *field) setRaw(t reflect.Type, sf reflect.StructField) {
	if sf.Type != linkType {
		panic(mistake(t, sf.Name, "tag `in` has the flag raw, which gives a nodebus.Link, but the field is a %s; change its type", sf.Type))
	}
	f.Raw = true
	if _, ok := sf.Tag.Lookup("type"); !ok {
		f.Type = "*"
	}
}

// errNotLinked is the error for a literal where the node wants a link.
var errNotLinked = errors.New("the node receives the link itself; connect the input to an output")

// checkGeneric panics if the field has a type of package nodebus that an input cannot have.
func checkGeneric(t reflect.Type, sf reflect.StructField, elem reflect.Type) {
	for _, name := range []string{"Lazy", "List"} {
		if base := underlying(elem); elem.Kind() == reflect.Pointer && value.IsGeneric(base, name) {
			panic(mistake(t, sf.Name, "is a pointer to a %s; write %[1]s[%s], which needs no pointer", name, valueOf(base)))
		}
	}
	if value.IsGeneric(underlying(elem), "Out") {
		panic(mistake(t, sf.Name, "has the type %s, which only a result has; write the type of its Value", elem))
	}
}

// literals has a literal of each port type that converts literals.
var literals = map[string]any{"INT": int64(1), "FLOAT": 1.0, "STRING": "1", "BOOLEAN": true}

// checkType panics if the field cannot hold any value of the types in its tag.
func (f *field) checkType(t reflect.Type, sf reflect.StructField) {
	if _, tagged := sf.Tag.Lookup("type"); !tagged || f.Raw || f.Choices != nil || value.Decodes(f.elem) {
		return // what a type with methods of its own takes depends on the text
	}
	var err error
	for typ := range strings.SplitSeq(f.Type, ",") {
		lit, known := literals[strings.TrimSpace(typ)]
		if !known {
			return
		}
		if _, err = value.Literal(f.elem, lit); err == nil {
			return
		}
	}
	panic(mistake(t, sf.Name, "tag `type:%q` gives values that the field cannot hold: it %v; change the type of the field, or the tag", f.Type, err))
}

// bareLink returns a link in its form on the wire, and any other value unchanged.
func bareLink(v any) any {
	if l, ok := v.(nodebus.Link); ok {
		return []any{l.Node, l.Slot}
	}
	return v
}
