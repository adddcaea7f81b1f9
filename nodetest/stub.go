package nodetest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
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
	// AnyLink makes all inputs accept links to outputs of any type. Some classes accept more
	// types than they describe, for example MultiInput of the VideoHelperSuite: their type is a
	// Python object that is equal to several types, and the description has only its text.
	// Default: a link between types that differ is refused with return_type_mismatch. With
	// AnyLink, a mistake of this kind is not found.
	AnyLink bool
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
// A prompt with the stand-in is accepted or refused as the description says: inputs, links,
// types, choices and limits. Run computes nothing. Each output has a placeholder: 0 for INT, 0.0 for
// FLOAT, "" for STRING, false for BOOLEAN, the first choice for a drop-down, and a
// [Placeholder] for any other type; an output that is a list has one element. A node that is an
// output of the graph shows the text "stand-in for <class>".
//
// The description of a class does not say all that its code does. So a stand-in differs from
// the class:
//
//   - It refuses a link whose type the class accepts without saying so; see StubOptions.AnyLink.
//   - It has no validator of its own. If the class checks some inputs itself, the stand-in
//     checks their limits and choices nevertheless. Only a drop-down of files that users may
//     upload, as in LoadImage, takes any name.
//   - It accepts inputs that the description does not have, also links: many classes take such
//     inputs.
//   - It needs all its inputs, also lazy ones, so that every node of the workflow runs.
//   - It accepts any value for inputs of a kind that the schema does not have, for drop-downs
//     whose choices come from an address, and for drop-downs that say nothing of choices.
//   - What is odd in a description does not make the class fail: an input without a type
//     accepts anything, limits that exclude each other are not checked, and of two inputs with
//     the same name the first counts. If the outputs are a text and not a list, each letter is
//     the type of an output, as in ComfyUI.
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
// entries are no descriptions, Stubs adds the others, and returns the errors, joined. opts may
// be nil.
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
		return nil, fmt.Errorf("nodetest: class %q: not an entry of /object_info: %w", name, cmp.Or(errors.Unwrap(err), err))
	}
	s.Name = name // the key of an entry counts
	l := looseness{}
	if opts != nil {
		l.StubOptions = *opts
	}
	s.Inputs = l.loosen(s.Inputs)
	for i := range s.Outputs {
		s.Outputs[i].Type = cmp.Or(s.Outputs[i].Type, "*")
	}
	return l.class(s)
}

// class returns the stand-in. If an input of the schema is not possible here, the stand-in
// treats it like an input that the description does not have.
func (l looseness) class(s flow.Schema) (*flow.Class, error) {
	var hooks flow.Hooks
	if l.AnyLink {
		hooks.ValidateLinks = func(*nodebus.Context, map[string]string) error { return nil }
	}
	outputs := make([]any, len(s.Outputs))
	for i := range s.Outputs {
		outputs[i] = placeholder(s.Name, &s.Outputs[i])
	}
	run := func(*nodebus.Context, nodebus.Inputs) (res flow.Result, err error) {
		if s.Output {
			res.UI = nodebus.Text("stand-in for " + s.Name)
		}
		res.Outputs = outputs
		return res, nil
	}
	for {
		all := s
		all.Inputs = append(slices.Clip(s.Inputs), flow.Port{Name: restName(s.Inputs), Rest: true})
		c, err := flow.NewClass(all, run, &hooks)
		var wrong *flow.SchemaError
		if !errors.As(err, &wrong) {
			return c, err
		}
		i := slices.IndexFunc(s.Inputs, func(p flow.Port) bool { return p.Name == wrong.Port })
		if i < 0 { // it may be inside another input
			i = slices.IndexFunc(s.Inputs, func(p flow.Port) bool { return strings.HasPrefix(wrong.Port, p.Name+".") })
		}
		if i < 0 {
			return nil, fmt.Errorf("nodetest: %w", err)
		}
		s.Inputs = slices.Delete(slices.Clone(s.Inputs), i, i+1)
	}
}

// restName returns a name for the input that takes all others.
func restName(ports []flow.Port) string {
	rest := "others"
	for slices.ContainsFunc(ports, func(p flow.Port) bool { return p.Name == rest }) {
		rest += "_"
	}
	return rest
}

// looseness says how stand-ins differ from what classes describe.
type looseness struct{ StubOptions }

// loosen takes from inputs what a server does not check, and what could not be right.
func (l looseness) loosen(ports []flow.Port) (loose []flow.Port) {
	seen := map[string]bool{"": true} // a prompt has no value for an input without a name
	for _, p := range ports {
		if seen[p.Name] || p.Kind == flow.PortHidden && p.Type == "" {
			continue
		}
		seen[p.Name] = true
		l.loosenOne(&p)
		loose = append(loose, p)
	}
	return loose
}

func (l looseness) loosenOne(p *flow.Port) {
	p.Default, p.Lazy, p.Raw = nil, false, false // they stay among the options
	p.Options = slices.DeleteFunc(p.Options, func(o flow.PortOption) bool { return o.Name == "" })
	switch {
	case p.Grow != nil:
		l.loosenOne(&p.Grow.Element)
	case p.Cases != nil:
		for k := range p.Cases {
			p.Cases[k].Inputs = l.loosen(p.Cases[k].Inputs)
		}
	case strings.HasPrefix(p.Type, "COMFY_DYNAMIC") || strings.HasPrefix(p.Type, "COMFY_AUTOGROW"):
		p.Kind = flow.PortOptional // a prompt has only names below it
	case p.Choices != nil:
		p.Unchecked = l.AnyChoice || slices.ContainsFunc(p.Options, isUpload) || isRemote(p)
	case p.Match == nil:
		p.Type = cmp.Or(p.Type, "*")
	}
	if excludes(p.Min, p.Max) {
		p.Min, p.Max = nil, nil
	}
}

// excludes reports whether no number is within the limits.
func excludes(low, high any) bool {
	a, err1 := strconv.ParseFloat(fmt.Sprint(low), 64)
	b, err2 := strconv.ParseFloat(fmt.Sprint(high), 64)
	return err1 == nil && err2 == nil && a > b
}

// isRemote reports whether the choices come from an address, so that nobody knows them.
func isRemote(p *flow.Port) bool {
	list, err := p.ListChoices()
	return err == nil && len(list) == 0 && slices.ContainsFunc(p.Options, func(o flow.PortOption) bool {
		return o.Name == "remote" || o.Name == "remote_combo"
	})
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
