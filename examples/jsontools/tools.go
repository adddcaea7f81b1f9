package main

import (
	_ "embed" // for the file of tools
	"encoding/json"
	"fmt"
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

//go:embed tools.json
var toolsJSON []byte

// tool is a declaration.
type tool struct {
	Name, Title, Description string
	InputSchema              struct {
		Properties map[string]property
		Required   []string
	}
	OutputSchema property
}

// property is the part of JSON Schema that an input of a node can say.
type property struct {
	Type, Description string
	Enum              []any
	Default           any
	Minimum, Maximum  any
	Items             *property
}

// addTools makes a class of each tool.
func addTools(registry *flow.Registry) error {
	var tools []tool
	if err := json.Unmarshal(toolsJSON, &tools); err != nil {
		return err
	}
	for _, t := range tools {
		call, ok := calls[t.Name]
		if !ok {
			return fmt.Errorf("there is no code for the tool %s", t.Name)
		}
		class, err := flow.NewClass(t.schema(), func(_ *nodebus.Context, in nodebus.Inputs) (flow.Result, error) {
			v, err := call(in)
			return flow.Result{Outputs: []any{v}}, err
		}, nil)
		if err != nil {
			return err
		}
		if err := registry.Add(class); err != nil {
			return err
		}
	}
	return nil
}

// schema returns the schema of the class. The members of a JSON object have no order, so the
// required inputs come first, and the others follow by name.
func (t *tool) schema() flow.Schema {
	s := flow.Schema{Info: nodebus.Info{Name: t.Name, Title: t.Title, Description: t.Description, Category: "tools"}}
	names := slices.Clone(t.InputSchema.Required)
	for name := range t.InputSchema.Properties {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names[len(t.InputSchema.Required):])
	for i, name := range names {
		p := t.InputSchema.Properties[name]
		port := p.port(name)
		port.Default, port.Min, port.Max = p.Default, p.Minimum, p.Maximum
		if i >= len(t.InputSchema.Required) {
			port.Kind = flow.PortOptional
		}
		if p.Description != "" {
			port.Options = []flow.PortOption{{Name: "tooltip", Value: p.Description}}
		}
		s.Inputs = append(s.Inputs, port)
	}
	s.Outputs = []flow.Port{t.OutputSchema.port("result")}
	return s
}

// port returns a port of the type of the property.
func (p *property) port(name string) flow.Port {
	port := flow.Port{Name: name, Type: "*"}
	types := map[string]string{"string": "STRING", "integer": "INT", "number": "FLOAT", "boolean": "BOOLEAN"}
	switch {
	case p.Enum != nil:
		port.Type, port.Choices = "", func() []any { return p.Enum }
	case p.Type == "array" && p.Items != nil:
		port = p.Items.port(name)
		port.List = true
	case types[p.Type] != "":
		port.Type = types[p.Type]
	}
	return port
}
