package flow

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/nodebus/nodebus"
)

// linkTypeValidator is a node that checks the types of its links itself.
type linkTypeValidator interface {
	ValidateLinks(ctx *nodebus.Context, types map[string]string) error
}

// ownMethods are the methods of a node that the executor calls if the node has them.
var ownMethods = []reflect.Type{
	reflect.TypeFor[nodebus.Validator](),
	reflect.TypeFor[linkTypeValidator](),
	reflect.TypeFor[nodebus.Fingerprinter](),
}

// checkMethods panics if the node has a method with the name of one of ownMethods and
// another form. Otherwise the author would not learn that nobody calls the method.
func checkMethods(t reflect.Type) {
	for _, own := range ownMethods {
		want := own.Method(0)
		m, has := reflect.PointerTo(t).MethodByName(want.Name)
		if has && !reflect.PointerTo(t).Implements(own) {
			panic(fmt.Sprintf("nodebus: node %s: the method %s has the form %s, so that nobody calls it; write %[2]s%[4]s, or give it another name",
				t, want.Name, formOf(m.Type), strings.TrimPrefix(want.Type.String(), "func")))
		}
	}
}

// formOf returns the type of a method without its receiver.
func formOf(m reflect.Type) reflect.Type {
	in, out := []reflect.Type{}, []reflect.Type{}
	for i := 1; i < m.NumIn(); i++ {
		in = append(in, m.In(i))
	}
	for i := range m.NumOut() {
		out = append(out, m.Out(i))
	}
	return reflect.FuncOf(in, out, m.IsVariadic())
}
