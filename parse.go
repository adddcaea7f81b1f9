package nodebus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// ParseOptions holds the limits of [ParseNodesWithin]. A nil pointer, and zero or less in
// any field, select the defaults.
type ParseOptions struct {
	// Nodes is the maximum number of nodes. Default 100 000.
	Nodes int
	// Bytes is the maximum memory of the graph, in bytes, as estimated from its JSON
	// before it is decoded. The JSON is often much smaller: a list without elements is two
	// bytes, and takes about 60 in memory. Default 128 MiB.
	Bytes int
}

// ParseNodes reads a graph in the API format, as ComfyUI saves it. If data is not a
// JSON object of nodes, it returns a [*ValidationError]. It does not check whether the
// graph can run; Submit does. A list of a string and a whole number becomes a [Link].
// A number that no float64 can hold becomes an infinity. So do the words NaN, Infinity and
// -Infinity, which Python writes: they become such a float64. Every other number stays a
// [json.Number]. It has the default limits of [ParseNodesWithin].
func ParseNodes(data []byte) (Nodes, error) { return ParseNodesWithin(data, nil) }

// ParseNodesWithin does the same as [ParseNodes], with limits. It stops reading at the
// first limit that data exceeds, and then returns a [*ValidationError] whose type is
// "prompt_too_large".
func ParseNodesWithin(data []byte, opts *ParseOptions) (Nodes, error) {
	var o ParseOptions
	if opts != nil {
		o = *opts
	}
	if o.Nodes <= 0 {
		o.Nodes = 100_000
	}
	if o.Bytes <= 0 {
		o.Bytes = 128 << 20
	}
	r := graphReader{limits: o, size: len(data), cost: jsonenc.Cost(data, o.Bytes)}
	if err := r.keep(0); err != nil {
		return nil, err
	}
	return r.read(data)
}

func tooLarge(message, details string) *ValidationError {
	return promptError("prompt_too_large", message, details)
}

// graphReader reads the nodes of a graph.
type graphReader struct {
	limits ParseOptions
	size   int // of the JSON
	cost   int // the estimated memory of the graph so far, and of what is not read yet

	nodes  Nodes
	ids    map[string]bool
	orders map[string]*order // by class: the last order that is not the default

	members []string // of the current node; memory that is used again
	names   [][]byte // of its inputs; memory that is used again
}

// What a graph keeps beside its values, in bytes.
const (
	costExtra  = 352 // the map of the members that nothing uses
	costMember = 64  // one of them
	costOrder  = 96  // an order, without its names
	costName   = 16
)

// keep counts memory that the decoded JSON values do not have.
func (r *graphReader) keep(bytes int) error {
	if r.cost += bytes; r.cost > r.limits.Bytes {
		return tooLarge("The prompt needs too much memory",
			fmt.Sprintf("more than %d bytes after decoding, from %d bytes of JSON; raise the limit, or submit less", r.limits.Bytes, r.size))
	}
	return nil
}

func (r *graphReader) read(data []byte) (Nodes, error) {
	r.ids, r.orders = map[string]bool{}, map[string]*order{}
	data = jsonenc.Plain(data)
	err := eachMember(data, func(id string, dec *json.Decoder) error {
		if limit := r.limits.Nodes; len(r.nodes) >= limit {
			return tooLarge("The prompt has too many nodes", fmt.Sprintf("more than %d nodes; raise the limit, or split the prompt", limit))
		}
		return r.node(id, dec)
	})
	var large *ValidationError
	switch {
	case errors.As(err, &large):
		return nil, large
	case err != nil:
		if bad := jsonenc.Read(data, new(json.RawMessage), ""); bad != nil && !errors.Is(err, errMore) {
			err = bad // it has the place
		}
		return nil, promptError("invalid_json", "The prompt is not a JSON object of nodes", err.Error())
	}
	return r.nodes, nil
}

func (r *graphReader) node(id string, dec *json.Decoder) error {
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return err
	}
	spec := NodeSpec{ID: id}
	if len(raw) == 0 || raw[0] != '{' {
		spec.Malformed = notObject
	} else if err := r.object(&spec, raw); err != nil {
		return fmt.Errorf("node %q: %w", id, err)
	}
	if r.ids[id] {
		spec.Malformed = "appears twice"
	}
	r.ids[id] = true
	r.nodes = append(r.nodes, spec)
	return nil
}

// object reads a node. If a member appears twice, the last value counts, as in Python.
func (r *graphReader) object(n *NodeSpec, raw []byte) error {
	r.members, r.names = r.members[:0], r.names[:0]
	err := eachMember(raw, func(name string, dec *json.Decoder) (err error) {
		r.members = append(r.members, name)
		switch name {
		case memberClass:
			n.Class, err = className(dec)
		case memberInputs:
			err = r.inputs(n, raw, dec)
		case memberMeta:
			n.Meta, err = rawMember(dec)
		default:
			err = r.extra(n, name, dec)
		}
		return err
	})
	if err == nil {
		err = r.orderOf(n)
	}
	return err
}

// className reads a class. A value that is no text is shown as JSON: no class has such a name.
func className(dec *json.Decoder) (name string, err error) {
	var text json.RawMessage
	if err = dec.Decode(&text); err != nil || string(text) == "null" {
		return "", err
	}
	if text[0] != '"' {
		return string(jsonenc.Words(text)), nil
	}
	return jsonenc.Name(text[1 : len(text)-1]), nil
}

func (r *graphReader) inputs(n *NodeSpec, raw []byte, dec *json.Decoder) error {
	start := dec.InputOffset()
	var v any
	if err := dec.Decode(&v); err != nil {
		return err
	}
	n.Inputs, n.Malformed, r.names = nil, "", r.names[:0]
	if m, ok := v.(map[string]any); ok {
		n.Inputs = m
		r.names = jsonenc.Names(r.names, raw[start:dec.InputOffset()])
		findLinks(n.Inputs)
		jsonenc.Infinities(v)
	} else {
		n.Malformed = badInputs
	}
	return nil
}

// extra reads a member that nothing uses.
func (r *graphReader) extra(n *NodeSpec, name string, dec *json.Decoder) error {
	text, err := rawMember(dec)
	if err != nil {
		return err
	}
	cost := costMember
	if n.Extra == nil {
		n.Extra, cost = map[string]json.RawMessage{}, costExtra
	}
	n.Extra[name] = text
	return r.keep(cost)
}

// rawMember reads a value that nothing uses. It replaces the numbers that no float64 can
// hold with null: other programs could not read them.
func rawMember(dec *json.Decoder) (text json.RawMessage, err error) {
	err = dec.Decode(&text)
	return jsonenc.NoInfinities(text), err
}

// orderOf sets the order of a node whose names were read. Nodes of a class mostly have the
// same order, and then share it.
func (r *graphReader) orderOf(n *NodeSpec) error {
	sorted := r.sorted()
	if sorted && isUsual(r.members) {
		return nil
	}
	if last := r.orders[n.Class]; last != nil && r.same(last, sorted) {
		n.order = last
		return nil
	}
	o := &order{}
	if members := distinct(append([]string{}, r.members...)); !isUsual(members) {
		o.members = members
	}
	if !sorted {
		keys := slices.Sorted(maps.Keys(n.Inputs)) // the memory of these names exists already
		names := make([]string, 0, len(r.names))
		for _, text := range r.names {
			if i, is := slices.BinarySearch(keys, jsonenc.Name(text)); is {
				names = append(names, keys[i])
			}
		}
		if names = distinct(names); !slices.IsSorted(names) {
			o.inputs = names
		}
	}
	if o.members == nil && o.inputs == nil {
		return nil
	}
	n.order, r.orders[n.Class] = o, o
	return r.keep(costOrder + costName*(len(o.members)+len(o.inputs)))
}

// sorted reports whether the names of the inputs are sorted, and none needs decoding or
// appears twice.
func (r *graphReader) sorted() bool {
	for i, text := range r.names {
		if !jsonenc.IsPlain(text) || i > 0 && bytes.Compare(r.names[i-1], text) >= 0 {
			return false
		}
	}
	return true
}

// same reports whether o is the order of the names that were read.
func (r *graphReader) same(o *order, sorted bool) bool {
	switch {
	case o.members == nil && !isUsual(r.members), o.members != nil && !slices.Equal(o.members, r.members):
		return false
	case o.inputs == nil:
		return sorted
	}
	return slices.EqualFunc(r.names, o.inputs, func(text []byte, name string) bool { return string(text) == name })
}

// isUsual reports whether the members are in the order of a node that was made in Go.
func isUsual(members []string) bool {
	rank := func(name string) int {
		if i := slices.Index(usual, name); i >= 0 {
			return i
		}
		return len(usual)
	}
	for i, name := range members[min(1, len(members)):] {
		before := members[i]
		if a, b := rank(before), rank(name); a > b || a == b && before >= name {
			return false
		}
	}
	return len(members) > 0 && members[0] == memberClass
}

// findLinks replaces each list of a string and a whole number with a Link.
func findLinks(in Inputs) {
	for name, v := range in {
		list, ok := v.([]any)
		if !ok || len(list) != 2 {
			continue
		}
		id, isString := list[0].(string)
		n, isNumber := list[1].(json.Number)
		if !isString || !isNumber {
			continue
		}
		if slot, err := strconv.Atoi(string(n)); err == nil && slot >= 0 {
			in[name] = Link{id, slot}
		}
	}
}
