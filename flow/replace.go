package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/jsonenc"
	"github.com/nodebus/nodebus/internal/value"
)

// Replacement says how nodes of an old class become nodes of a new class, so that saved
// workflows still run after a class was renamed, split or removed; see [Registry.AddReplacement].
// Its JSON is an entry of ComfyUI's /node_replacements.
type Replacement struct {
	New string `json:"new_node_id"` // the name of the class that takes the place
	Old string `json:"old_node_id"` // the name of the class that workflows still have
	// Widgets lists the inputs of the old class that have a widget, in the order in which saved
	// workflows list the values of widgets. Only the front end uses it: without it, the front end
	// replaces a node but loses what the user has typed into it. nil: unknown.
	Widgets []string `json:"old_widget_ids"`
	// Inputs lists the inputs of the new node. Inputs that it does not list are dropped, even
	// if the two classes have them under the same name. nil and an empty list drop all inputs;
	// nil makes the front end keep the links of a node, by their position.
	Inputs []ReplacedInput `json:"input_mapping"`
	// Outputs maps outputs of the old class to outputs of the new class. The link to an output
	// that it does not list keeps its number. nil: all links keep their numbers.
	Outputs []ReplacedOutput `json:"output_mapping"`
}

// ReplacedInput says what an input of the new node receives: the link or the literal of an
// input of the old node, or a fixed value. Exactly one of Old and Value must be set.
type ReplacedInput struct {
	New string // the name of the input of the new class
	// Old is the name of an input of the old class. If a node does not have the input, the new
	// node does not have New. Inputs of a growing input or of a choice are named as in a
	// prompt, for example images.image0.
	Old   string
	Value any // a value that has a form in JSON, but no link
}

// ReplacedOutput maps output number Old of the old class to output number New of the new
// class. Both count from 0.
type ReplacedOutput struct {
	New int `json:"new_idx"`
	Old int `json:"old_idx"`
}

// MarshalJSON writes a nil list as null.
func (r Replacement) MarshalJSON() ([]byte, error) {
	type plain Replacement // without this method
	return json.Marshal(plain(r))
}

// MarshalJSON writes {"new_id", "old_id"}, or {"new_id", "set_value"} for a fixed value.
func (in ReplacedInput) MarshalJSON() ([]byte, error) {
	if in.Old != "" {
		return json.Marshal(struct {
			New string `json:"new_id"`
			Old string `json:"old_id"`
		}{in.New, in.Old})
	}
	return json.Marshal(struct {
		New   string `json:"new_id"`
		Value any    `json:"set_value"`
	}{in.New, in.Value})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (in *ReplacedInput) UnmarshalJSON(data []byte) error {
	var from struct {
		New   string `json:"new_id"`
		Old   string `json:"old_id"`
		Value any    `json:"set_value"`
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	err := dec.Decode(&from)
	*in = ReplacedInput{New: from.New, Old: from.Old, Value: from.Value}
	return err
}

// ReplacementError says what is wrong with a [Replacement], and how to correct it.
type ReplacementError struct {
	Old     string // see Replacement
	Problem string
}

func (e *ReplacementError) Error() string {
	return fmt.Sprintf("nodebus: replacement of class %q: %s", e.Old, e.Problem)
}

// AddReplacement adds a replacement to r. From then on, whenever a prompt is submitted or prepared,
// its nodes of the class rep.Old become nodes of the class rep.New, before anything is
// checked. The queue, the record and the hidden input PROMPT have the new nodes; the
// submitter's own graph is not modified. The id and the _meta of a node stay, and links from
// the node get the new numbers.
//
// A node is replaced only if r has the class rep.New and does not have the class rep.Old. So
// AddReplacement may be called before the classes are registered, and a class that is registered is
// never replaced. One prompt takes one step: if rep.New is itself an old class of another
// replacement, the prompt is refused because of an unknown class. Nodes that are made at run time
// are not replaced.
//
// The error is a [*ReplacementError] if rep has a mistake, or if r has a replacement for
// rep.Old already. AddReplacement copies rep.
func (r *Registry) AddReplacement(rep Replacement) error {
	own, problem := rep.checked()
	if problem != "" {
		return &ReplacementError{rep.Old, problem}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if other := r.replaced[rep.Old]; other != nil {
		return &ReplacementError{rep.Old, fmt.Sprintf("it is replaced by class %q already; remove one of the two", other.New)}
	}
	if r.replaced == nil {
		r.replaced = map[string]*Replacement{}
	}
	r.replaced[rep.Old] = own
	return nil
}

// Replacements yields all replacements, sorted by the name of the old class. Callers share
// their lists: do not modify them.
func (r *Registry) Replacements() iter.Seq[Replacement] {
	return func(yield func(Replacement) bool) {
		r.mu.RLock()
		all := maps.Clone(r.replaced)
		r.mu.RUnlock()
		for _, old := range slices.Sorted(maps.Keys(all)) {
			if !yield(*all[old]) {
				return
			}
		}
	}
}

// checked returns a copy of the replacement, or else what is wrong with it.
func (r Replacement) checked() (own *Replacement, problem string) {
	switch {
	case r.Old == "":
		return nil, "the old class has no name; set Old"
	case r.New == "":
		return nil, "the new class has no name; set New"
	case r.New == r.Old:
		return nil, "the new class is the old class; set New to the name of another class"
	}
	r.Widgets, r.Inputs, r.Outputs = slices.Clone(r.Widgets), slices.Clone(r.Inputs), slices.Clone(r.Outputs)
	names := map[string]bool{}
	for i := range r.Inputs {
		in := &r.Inputs[i]
		if names[in.New] {
			return nil, fmt.Sprintf("Inputs names the new input %q twice; remove one of the two entries", in.New)
		}
		names[in.New] = true
		if problem := in.check(); problem != "" {
			return nil, fmt.Sprintf("entry %d of Inputs, for the new input %q: %s", i, in.New, problem)
		}
	}
	old := map[int]bool{}
	for i, out := range r.Outputs {
		switch {
		case out.Old < 0 || out.New < 0:
			return nil, fmt.Sprintf("entry %d of Outputs has a negative number; outputs count from 0", i)
		case old[out.Old]:
			return nil, fmt.Sprintf("Outputs names the old output %d twice; remove one of the two entries", out.Old)
		}
		old[out.Old] = true
	}
	return &r, ""
}

// check returns what is wrong with the entry; "" if it is right. It replaces Value by a copy
// in the form in which a prompt from JSON would have it.
func (in *ReplacedInput) check() (problem string) {
	switch {
	case in.New == "":
		return "the input has no name; set New"
	case in.Old != "" && in.Value != nil:
		return "both Old and Value are set; remove one of the two"
	case in.Old != "":
		return ""
	case in.Value == nil:
		return "neither Old nor Value is set; set Old to the name of an input of the old class, or Value, or remove the entry"
	}
	if _, is := in.Value.(nodebus.Link); is {
		return "Value is a link; links come only from an input of the old node, so set Old"
	}
	_, changed, err := value.Finite(in.Value)
	if changed {
		return "Value is NaN or infinite, which JSON does not have; set another value"
	}
	var text []byte
	if err == nil {
		err = nodebus.Protect(func() (err error) {
			text, err = jsonenc.Marshal(in.Value)
			return err
		})
	}
	if err != nil {
		return fmt.Sprintf("Value has no form in JSON; set a number, a text, a boolean, a list or an object: %v", err)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	in.Value = nil
	if err := dec.Decode(&in.Value); err != nil || in.Value == nil {
		return "Value is null in JSON; remove the entry, or set another value"
	}
	return ""
}

// withoutOld returns nodes, or a copy in which the nodes of old classes are replaced. It
// writes neither to nodes nor to their inputs.
func (r *Registry) withoutOld(nodes nodebus.Nodes) nodebus.Nodes {
	replaced := r.replacements(nodes)
	if replaced == nil {
		return nodes
	}
	nodes = slices.Clone(nodes)
	for i := range nodes {
		n := &nodes[i]
		owned := false
		for name, v := range n.Inputs {
			link, _ := v.(nodebus.Link)
			slot, moved := replaced[link.Node].output(link.Slot)
			if !moved {
				continue
			}
			if !owned {
				n.Inputs, owned = maps.Clone(n.Inputs), true
			}
			n.Inputs[name] = link.At(slot)
		}
		if rep := replaced[n.ID]; rep != nil && n.Class == rep.Old {
			rep.apply(n)
		}
	}
	return nodes
}

// replacements returns the replacements to apply, by node id; nil if there is nothing to
// replace.
func (r *Registry) replacements(nodes nodebus.Nodes) (by map[string]*Replacement) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.replaced) == 0 {
		return nil
	}
	for i := range nodes {
		n := &nodes[i]
		rep := r.replaced[n.Class]
		if rep == nil || n.Malformed != "" || r.classes[rep.Old] != nil || r.classes[rep.New] == nil {
			continue
		}
		if by == nil {
			by = map[string]*Replacement{}
		}
		by[n.ID] = rep
	}
	return by
}

// output returns the new number of an output. moved is false if the output keeps its number,
// or if r is nil: the node is not replaced.
func (r *Replacement) output(old int) (slot int, moved bool) {
	if r == nil {
		return 0, false
	}
	for _, out := range r.Outputs {
		if out.Old == old {
			return out.New, out.New != old
		}
	}
	return old, false
}

// apply makes a node of the old class a node of the new class. A node without inputs, which is
// malformed, stays so.
func (r *Replacement) apply(n *nodebus.NodeSpec) {
	n.Class = r.New
	if n.Inputs == nil {
		return
	}
	inputs, names := nodebus.Inputs{}, make([]string, 0, len(r.Inputs))
	for _, in := range r.Inputs {
		v, given := n.Inputs[in.Old]
		if in.Old == "" {
			v, given = value.Literally(in.Value), true
		}
		if given {
			inputs[in.New], names = v, append(names, in.New)
		}
	}
	n.Inputs = inputs
	n.OrderInputs(names...)
}
