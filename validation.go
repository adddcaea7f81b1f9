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

// ValidationError says why a prompt cannot run, or why some of its outputs do not
// run. Its JSON is the answer that ComfyUI's clients expect.
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

// PromptError returns a ValidationError about the prompt as a whole.
func promptError(typ, message, details string) *ValidationError {
	return &ValidationError{Problem: Problem{typ, message, details, map[string]any{}}}
}
