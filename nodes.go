package nodebus

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// Inputs holds the inputs of one node by name. A value is a literal, or a [Link] to an
// output of another node.
type Inputs map[string]any

// NodeSpec is one node of a graph. A node that was read from JSON also remembers the order
// of its members and of its inputs, so that it is written in the same order; see
// [NodeSpec.InputNames]. A copy of the NodeSpec keeps the order.
type NodeSpec struct {
	ID     string
	Class  string
	Inputs Inputs
	Meta   json.RawMessage // "_meta" of the API format; not used. It must be JSON

	// Extra holds the other members of the node in JSON, by name: what a tool keeps beside
	// class_type, inputs and _meta. Nothing uses them, except override_display_id of a node made
	// at run time, see [Graph.DisplayAs]. They come back in listings, in records
	// and in the hidden inputs PROMPT and DYNPROMPT. Each must be JSON. nil: there are none.
	Extra map[string]json.RawMessage

	// Malformed describes what ParseNodes found wrong with the JSON of the node, for
	// example "is not an object". Submit refuses a graph with such a node. It is empty
	// for a valid node.
	Malformed string

	order *order
}

const (
	notObject = "is not an object"
	badInputs = "has inputs that are not an object"
)

// Nodes is a graph in ComfyUI's API format. In JSON it is an object with the node ids
// as names. Nodes keeps the order of the object.
type Nodes []NodeSpec

// order is the order of a node in JSON. Nodes share orders, so nobody modifies an order.
type order struct {
	members []string // nil: as in usual, then the others, sorted
	inputs  []string // nil: sorted
}

// The members of a node that have a meaning.
const (
	memberClass  = "class_type"
	memberInputs = "inputs"
	memberMeta   = "_meta"

	// memberDisplay is a member of nodes that are made at run time.
	memberDisplay = "override_display_id"
)

// usual is the order of a node that was made in Go.
var usual = []string{memberClass, memberInputs, memberMeta}

// InputNames returns the names of Inputs in the order in which they were sent. Names that
// were added to Inputs later, and all names of a node that was made in Go, are sorted and
// come last. The caller owns the result.
func (n *NodeSpec) InputNames() []string {
	if n.order == nil {
		return arrange(n.Inputs, nil)
	}
	return arrange(n.Inputs, n.order.inputs)
}

// DisplayID returns the id that [Graph.DisplayAs] has set; empty if there is none.
func (n *NodeSpec) DisplayID() (id string) {
	if json.Unmarshal(n.Extra[memberDisplay], &id) != nil {
		return ""
	}
	return id
}

// OrderInputs sets the order of the inputs: InputNames returns these names first. A name
// that Inputs does not have is ignored.
func (n *NodeSpec) OrderInputs(names ...string) {
	o := order{inputs: distinct(slices.Clone(names))}
	if n.order != nil {
		o.members = n.order.members
	}
	n.order = &o
}

// arrange returns the names of m: first those that first lists, in its order, then the
// others, sorted.
func arrange[V any](m map[string]V, first []string) []string {
	names := make([]string, 0, len(m))
	for _, name := range first {
		if _, has := m[name]; has {
			names = append(names, name)
		}
	}
	if len(names) == len(m) {
		return names
	}
	listed := slices.Sorted(slices.Values(names))
	for name := range m {
		if _, is := slices.BinarySearch(listed, name); !is {
			names = append(names, name)
		}
	}
	slices.Sort(names[len(listed):])
	return names
}

// distinct removes each name from names that is there already, as Python keeps the place
// of a name that JSON repeats.
func distinct(names []string) []string {
	seen := make(map[string]bool, len(names))
	return slices.DeleteFunc(names, func(name string) bool {
		twice := seen[name]
		seen[name] = true
		return twice
	})
}

// members returns the names of the members of the node in JSON, in order.
func (n *NodeSpec) members() []string {
	first := usual
	if n.order != nil && n.order.members != nil {
		first = n.order.members
	}
	names := make([]string, 0, len(usual)+len(n.Extra))
	extras := 0
	for _, name := range first {
		switch _, extra := n.Extra[name]; {
		case slices.Contains(usual, name):
			if n.has(name) || name == memberClass {
				names = append(names, name)
			}
		case extra:
			names, extras = append(names, name), extras+1
		}
	}
	for _, name := range usual {
		if n.has(name) && !slices.Contains(first, name) {
			names = append(names, name)
		}
	}
	if extras == len(n.Extra) {
		return names
	}
	for _, name := range arrange(n.Extra, first)[extras:] {
		if !slices.Contains(usual, name) {
			names = append(names, name)
		}
	}
	return names
}

// has reports whether the node has a value for the member, which must be usual.
func (n *NodeSpec) has(member string) bool {
	switch member {
	case memberClass:
		return n.Class != ""
	case memberInputs:
		return n.Inputs != nil || n.Malformed == badInputs
	}
	return len(n.Meta) > 0
}

// UnmarshalJSON does the same as [ParseNodes], without limits: a queue or a store must be
// able to read what it has accepted.
func (n *Nodes) UnmarshalJSON(b []byte) (err error) {
	r := graphReader{limits: ParseOptions{Nodes: math.MaxInt, Bytes: math.MaxInt}}
	*n, err = r.read(b)
	return err
}

// MarshalJSON writes the API format.
func (n Nodes) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i := range n {
		s := &n[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(jsonenc.String(b, s.ID), ':')
		var err error
		if b, err = s.append(b); err != nil {
			return nil, fmt.Errorf("node %q: %w", s.ID, err)
		}
	}
	return append(b, '}'), nil
}

// append appends the JSON of a node. It also writes an error of its JSON again, so that
// the next ParseNodes finds the same error.
func (n *NodeSpec) append(b []byte) (_ []byte, err error) {
	if n.Malformed == notObject {
		return append(b, "null"...), nil
	}
	b = append(b, '{')
	for i, name := range n.members() {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(jsonenc.String(b, name), ':')
		switch name {
		case memberClass:
			b = jsonenc.String(b, n.Class)
		case memberInputs:
			b, err = n.appendInputs(b)
		case memberMeta:
			b, err = jsonenc.Append(b, n.Meta)
		default:
			b, err = jsonenc.Append(b, n.Extra[name])
		}
		if err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func (n *NodeSpec) appendInputs(b []byte) (_ []byte, err error) {
	if n.Inputs == nil {
		return append(b, "null"...), nil
	}
	b = append(b, '{')
	for i, name := range n.InputNames() {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(jsonenc.String(b, name), ':')
		if l, isLink := n.Inputs[name].(Link); isLink {
			b = append(jsonenc.String(append(b, '['), l.Node), ',')
			b = append(strconv.AppendInt(b, int64(l.Slot), 10), ']')
		} else if b, err = jsonenc.Append(b, n.Inputs[name]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}
