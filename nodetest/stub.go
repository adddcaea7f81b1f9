package nodetest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/jsonenc"
)

// StubOptions are the options of [Stub] and [Stubs]. A nil *StubOptions, and each zero field,
// means the default.
type StubOptions struct {
	// AnyChoice makes drop-downs accept values that are not in their list, for example the
	// name of a model file that only the author of a workflow has. Default: such a value is
	// refused with value_not_in_list, as by the server that has described the class.
	AnyChoice bool
}

// Placeholder is the value of an output of a stand-in whose type is not a basic type.
type Placeholder struct {
	Class  string // of the node
	Output string // the name of the output
}

// String names the class and the output.
func (p Placeholder) String() string { return p.Class + "." + p.Output }

// StandsIn makes inputs of classes made at run time accept a Placeholder, whatever their type.
func (Placeholder) StandsIn() {}

// Stub returns a stand-in for a class of another server, for example of ComfyUI, so that a
// program can check a workflow and run it without that server. info is what the server answers
// at /object_info/<name>, or at /object_info, or only the entry of the class. opts may be nil.
//
// A prompt with the stand-in is accepted or refused as by the server: inputs, links, types,
// choices and limits. Run computes nothing. Each output has a placeholder: 0 for INT, 0.0 for
// FLOAT, "" for STRING, false for BOOLEAN, the first choice for a drop-down, and a
// [Placeholder] for any other type; an output that is a list has one element. A node that is an
// output of the graph shows the text "stand-in for <class>".
//
// The description of a class does not say all that its code does. So a stand-in differs from
// the class:
//
//   - It has no validator of its own. If the class checks some inputs itself, the stand-in
//     checks their limits and choices nevertheless. Only a drop-down of files that users may
//     upload, as in LoadImage, takes any name.
//   - It accepts inputs that the description does not have, also links: many classes take such
//     inputs.
//   - It needs all its inputs, also lazy ones, so that every node of the workflow runs.
//   - It accepts any value for inputs of a kind that the schema does not have.
//   - A default has no effect when a prompt leaves out an optional input, as in ComfyUI.
//
// A node of the program that needs a value of its own type fails if it gets a Placeholder.
func Stub(name string, info []byte, opts *StubOptions) (*flow.Class, error) {
	entries, err := entriesOf(info)
	if err != nil {
		return nil, fmt.Errorf("nodetest: class %q: %w", name, err)
	}
	entry, ok := entries[name]
	if _, isEntry := entries["input"]; !ok && isEntry {
		entry, ok = jsonenc.Plain(info), true
	}
	if !ok {
		return nil, fmt.Errorf("nodetest: class %q: the JSON has no entry for it; save the answer of /object_info or /object_info/%s", name, name)
	}
	return stub(name, entry, opts)
}

// Stubs adds a stand-in to r for each class of info, the saved answer of /object_info. It does
// not replace classes that r has already: register the classes of the program first. If some
// entries cannot be read, Stubs adds the others, and returns the errors, joined. opts may be
// nil.
func Stubs(r *flow.Registry, info []byte, opts *StubOptions) error {
	entries, err := entriesOf(info)
	if err != nil {
		return fmt.Errorf("nodetest: %w", err)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if _, has := r.Class(name); has {
			continue
		}
		c, err := stub(name, entries[name], opts)
		if err == nil {
			err = r.Add(c)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// entriesOf returns the members of an object.
func entriesOf(info []byte) (entries map[string]json.RawMessage, err error) {
	if err := json.Unmarshal(jsonenc.Plain(info), &entries); err != nil || entries == nil {
		return nil, fmt.Errorf("not an object of entries of /object_info: %w", cmp.Or(err, errors.New("it is null")))
	}
	return entries, nil
}

func stub(name string, entry []byte, opts *StubOptions) (*flow.Class, error) {
	var s flow.Schema
	if err := json.Unmarshal(entry, &s); err != nil {
		return nil, fmt.Errorf("nodetest: class %q: %w", name, err)
	}
	s.Name = name // the key of an entry counts
	rest := "others"
	for s.Inputs = loosen(s.Inputs, opts != nil && opts.AnyChoice); slices.ContainsFunc(s.Inputs, func(p flow.Port) bool { return p.Name == rest }); {
		rest += "_"
	}
	s.Inputs = append(s.Inputs, flow.Port{Name: rest, Rest: true})
	outputs := make([]any, len(s.Outputs))
	for i := range s.Outputs {
		outputs[i] = placeholder(name, &s.Outputs[i])
	}
	return flow.NewClass(s, func(*nodebus.Context, nodebus.Inputs) (res flow.Result, err error) {
		if s.Output {
			res.UI = nodebus.Text("stand-in for " + name)
		}
		res.Outputs = outputs
		return res, nil
	}, nil)
}

// loosen takes from inputs what a server does not check, or what could not be right.
func loosen(ports []flow.Port, anyChoice bool) []flow.Port {
	for i := range ports {
		p := &ports[i]
		p.Default, p.Lazy, p.Raw = nil, false, false // they stay among the options
		switch {
		case p.Grow != nil:
			p.Grow.Element = loosen([]flow.Port{p.Grow.Element}, anyChoice)[0]
		case p.Cases != nil:
			for k := range p.Cases {
				p.Cases[k].Inputs = loosen(p.Cases[k].Inputs, anyChoice)
			}
		case strings.HasPrefix(p.Type, "COMFY_DYNAMIC") || strings.HasPrefix(p.Type, "COMFY_AUTOGROW"):
			p.Kind = flow.PortOptional // a prompt has only names below it
		case p.Choices != nil:
			p.Unchecked = anyChoice || slices.ContainsFunc(p.Options, isUpload)
		}
	}
	return ports
}

// isUpload reports whether users may upload a file for an input. ComfyUI's classes with such an
// input look for the file, and do not look into the list.
func isUpload(o flow.PortOption) bool { return strings.HasSuffix(o.Name, "_upload") && o.Value == true }

// placeholder returns the value of an output.
func placeholder(class string, p *flow.Port) any {
	for typ := range strings.SplitSeq(p.Type, ",") {
		switch strings.TrimSpace(typ) {
		case "INT":
			return 0
		case "FLOAT":
			return 0.0
		case "STRING":
			return ""
		case "BOOLEAN":
			return false
		}
	}
	if list, err := p.ListChoices(); err == nil && len(list) > 0 {
		return list[0]
	}
	return Placeholder{class, p.Name}
}
