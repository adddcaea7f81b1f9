package flow

import (
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/pyfmt"
	"github.com/nodebus/nodebus/internal/value"
)

// newTree returns the inputs of a call of a function before they have values: nothing is
// linked to the inputs that grow. declared are the inputs of the class.
func newTree(declared []field) nodebus.Inputs {
	in := make(nodebus.Inputs, len(declared))
	plant(in, declared)
	return in
}

func plant(in nodebus.Inputs, declared []field) {
	for i := range declared {
		if f := &declared[i]; f.Grow != nil || f.Rest {
			in[f.last()] = []nodebus.Named[any]{}
		}
	}
}

// put stores the value of a live port in the inputs of a function. An input that grows and a
// rest field are a []nodebus.Named[any]. A drop-down with cases is a nodebus.Inputs that has the
// choice under the last name of the drop-down, and each input of the choice under its name; an
// optional one that is not given is nil. Ports must be stored in their order.
func (f *field) put(in nodebus.Inputs, v any) error {
	if f.parent != nil {
		in = f.parent.holder(in)
	}
	switch {
	case f.isElement():
		list, _ := in[f.parent.local].([]nodebus.Named[any])
		in[f.parent.local] = append(list, nodebus.Named[any]{Name: f.local, Value: v})
	case f.Cases != nil:
		k := f.caseOf(v)
		if k < 0 {
			return f.unknownCase(v)
		}
		inner := nodebus.Inputs{}
		for i := range f.dyn.cases[k] {
			inner[f.dyn.cases[k][i].local] = nil
		}
		plant(inner, f.dyn.cases[k])
		inner[f.local] = f.Cases[k].Key
		in[f.local] = inner
	default:
		in[f.last()] = v
	}
	return nil
}

// holder returns the object that has the inputs below a dynamic input; for an input that grows
// and for a rest field, the object that has the list.
func (f *field) holder(in nodebus.Inputs) nodebus.Inputs {
	if f.parent != nil {
		in = f.parent.holder(in)
	}
	if f.Cases == nil {
		return in
	}
	inner, _ := in[f.local].(nodebus.Inputs)
	return inner
}

// unknownCase is the error of a choice that does not exist.
func (f *field) unknownCase(v any) error {
	return &nodebus.InputError{Input: f.Name, Err: fmt.Errorf("'%s' is not in %s", value.Shorten(pyfmt.Str(v)), describeList(f.Choices()))}
}
