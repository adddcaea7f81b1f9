package nodebus

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a prompt, in the words of the wire.
type Problem struct {
	Type    string         `json:"type"` // e.g. "required_input_missing"
	Message string         `json:"message"`
	Details string         `json:"details"` // what it is about: a name, a value, a path
	Extra   map[string]any `json:"extra_info"`
}

// NodeProblems is what is wrong with one node.
type NodeProblems struct {
	Errors           []Problem `json:"errors"`
	DependentOutputs []string  `json:"dependent_outputs"` // outputs that cannot run because of it
	Class            string    `json:"class_type"`
}

// ValidationError says why a prompt cannot run, or, as [Prompt].Rejected, why
// some of its outputs do not. Its JSON is the answer that clients of ComfyUI
// expect.
type ValidationError struct {
	Problem
	Nodes map[string]*NodeProblems // by node id
}

// Error is the message and, in order of their ids, what is wrong with the nodes.
func (e *ValidationError) Error() string {
	var b strings.Builder
	b.WriteString("nodebus: " + e.Message)
	if len(e.Nodes) == 0 && e.Details != "" {
		b.WriteString(": " + e.Details)
	}
	for _, id := range e.ids() {
		for _, p := range e.Nodes[id].Errors {
			fmt.Fprintf(&b, "; node %s (%s): %s: %s", id, e.Nodes[id].Class, p.Message, p.Details)
		}
	}
	return b.String()
}

func (e *ValidationError) ids() []string {
	ids := make([]string, 0, len(e.Nodes))
	for id := range e.Nodes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// MarshalJSON writes {"error": …, "node_errors": …}.
func (e *ValidationError) MarshalJSON() ([]byte, error) {
	nodes := e.Nodes
	if nodes == nil {
		nodes = map[string]*NodeProblems{}
	}
	return json.Marshal(map[string]any{"error": e.Problem, "node_errors": nodes})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (e *ValidationError) UnmarshalJSON(b []byte) error {
	var w struct {
		Error Problem                  `json:"error"`
		Nodes map[string]*NodeProblems `json:"node_errors"`
	}
	err := json.Unmarshal(b, &w)
	e.Problem, e.Nodes = w.Error, w.Nodes
	return err
}

func promptError(typ, message, details string) *ValidationError {
	return &ValidationError{Problem: Problem{typ, message, details, map[string]any{}}}
}

// InputError is an error about one input of a node. A node's Validate may return
// one, so that clients mark that input alone.
type InputError struct {
	Input string
	Err   error
}

func (e *InputError) Error() string { return fmt.Sprintf("input %q: %v", e.Input, e.Err) }

func (e *InputError) Unwrap() error { return e.Err }

// Config describes an input as the wire does: its type, or for a drop-down its
// choices, and its options. The error is that of [Port.Choices], without which
// there are none.
func (p Port) Config() (typ any, options map[string]any, err error) {
	options = make(map[string]any, len(p.Options))
	for _, o := range p.Options {
		options[o.Name] = o.Value
	}
	if p.choices == nil {
		return p.Type, options, nil
	}
	choices, err := p.Choices()
	if choices == nil {
		choices = []string{}
	}
	if p.newForm {
		options["options"] = choices
		return p.Type, options, err
	}
	return choices, options, err
}

// config is [type, options], for a problem with the input: what is wrong with
// its choices is said elsewhere.
func (p *Port) config() []any {
	typ, options, _ := p.Config()
	return []any{typ, options}
}
