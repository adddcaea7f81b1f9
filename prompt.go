package nodebus

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nodebus/nodebus/internal/jsonenc"
	"github.com/nodebus/nodebus/internal/value"
)

// Prompt is a graph that a client submits. It holds only data that a queue or a store
// may keep. After Submit the prompt belongs to the engine: nobody may change it.
type Prompt struct {
	ID       string  `json:"id"`                  // if empty, Submit sets a new id
	ClientID string  `json:"client_id,omitempty"` // the client that receives the events; empty: only watchers receive them
	Priority float64 `json:"priority"`            // a smaller number runs first; equal numbers run in order of arrival
	// Nodes is the graph. Submit replaces Nodes with a copy whose literals are
	// converted to the declared types. It does not modify the original Nodes: a program
	// may submit them again, also at the same time.
	Nodes Nodes `json:"nodes"`
	// Outputs lists the ids of the output nodes to run; nil means all. Submit replaces
	// it with the output nodes that will run.
	Outputs []string `json:"outputs"`
	// Extra holds data of the submitter. It stays with the prompt and appears in
	// listings and records. Only the hidden inputs EXTRA_PNGINFO and COMFY_USAGE_SOURCE read it.
	Extra map[string]any `json:"extra,omitempty"`
	// Created is the time at which Submit accepted the prompt.
	Created time.Time `json:"created"`
	// Policy says what happens after errors, and how long the prompt may take.
	Policy Policy `json:"policy,omitzero"`
	// Rejected lists the outputs that were not valid and will not run. Submit sets it, so
	// that the record knows it, whichever process runs the prompt. nil: all outputs run.
	Rejected *ValidationError `json:"rejected,omitempty"`
}

// Policy says what happens to a prompt after errors, and how long it may take. The zero
// value is what ComfyUI does: the first error ends the prompt, and there is no time limit.
type Policy struct {
	// Continue lets the other nodes go on after a node has failed; only the nodes that need
	// the failed node are skipped. The prompt still fails, but at the end, with the first
	// error. For each further error, clients receive a [NodeFailed]. A node that asks for
	// the output of a failed node, with [Lazy.Get] or [Eval], receives the error and may
	// handle it; what depends on such a result is not cached. An interrupt or a refusal ends
	// the prompt at once. Default: the first error ends the prompt.
	Continue bool `json:"continue,omitempty"`
	// Deadline ends the prompt as failed at this time, also if it still waits in the queue.
	// If its process is gone, another engine that runs ends it a minute later. Default: none.
	Deadline time.Time `json:"deadline,omitzero"`
	// Timeout limits the time from the start of an attempt to its end; in JSON it is in
	// nanoseconds. The time in which every node waits for an answer counts, too. Default:
	// none.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Retries is the number of further attempts after an attempt has failed. An attempt whose
	// lease has lapsed does not count. An engine counts the failures that it has seen itself:
	// if engines share a queue, there may be more, but no prompt begins more often than Retries
	// and EngineOptions.Attempts together. Interrupted and refused prompts are not attempted
	// again, nor are prompts whose next attempt could not begin before Deadline. Only the
	// engine's Logger learns why an attempt failed that another follows. Default 0.
	Retries int `json:"retries,omitempty"`
	// RetryAfter is the time between an attempt and the next; in JSON it is in nanoseconds. The
	// prompt waits meanwhile: other prompts run, also of the same client, and a drain does not
	// wait for it. Engines other than the one that made the attempt list it as a prompt that
	// runs. Default: 0, the next attempt begins as soon as the queue gives it out.
	RetryAfter time.Duration `json:"retry_after,omitempty"`
}

// Link points at an output of a node. In JSON it is [node, slot].
type Link struct {
	Node string
	Slot int
}

// At returns the link to another output of the same node.
func (l Link) At(slot int) Link { return Link{l.Node, slot} }

// MarshalJSON writes [node, slot].
func (l Link) MarshalJSON() ([]byte, error) { return json.Marshal([]any{l.Node, l.Slot}) }

// Graph builds nodes in Go code: the nodes of a prompt, or nodes that a running node
// makes (see [Context.NewGraph]). It is not safe for concurrent use.
type Graph struct {
	prefix string
	n      int
	nodes  Nodes
}

// NewGraph returns an empty graph for a prompt.
func NewGraph() *Graph { return &Graph{} }

// Add adds a node and returns the link to its first output. Inputs that are a [Link]
// are connected. Other inputs may be any Go values. A slice is a list. In a prompt, Add
// writes a list as {"__value__": […]}, because a plain JSON list could be a link. A node made
// at run time reads an object of decoded JSON as a prompt does, also {"__value__": literal}.
func (g *Graph) Add(class string, in Inputs) Link {
	g.n++
	return g.AddAs(strconv.Itoa(g.n), class, in)
}

// AddAs does the same as Add, with a name instead of a number as the id. The name must
// be new in this graph.
func (g *Graph) AddAs(name, class string, in Inputs) Link {
	if in == nil {
		in = Inputs{}
	}
	if g.prefix == "" {
		in = wrapLists(in)
	}
	g.nodes = append(g.nodes, NodeSpec{ID: g.prefix + name, Class: class, Inputs: in})
	return g.Link(name)
}

// DisplayAs makes clients show the node of at, which g already has, on the node id of the
// submitted prompt: its events have id as their display id. It returns at. The default is
// the node that made g. A copy of a loop's body can so light up the body. If id is itself
// made at run time, its display id counts. DisplayAs has no effect on the nodes of a prompt.
// It panics if g does not have the node.
func (g *Graph) DisplayAs(at Link, id string) Link {
	for i := len(g.nodes) - 1; i >= 0; i-- { // usually it is the newest node
		if n := &g.nodes[i]; n.ID == at.Node {
			n.Extra = maps.Clone(n.Extra)
			if n.Extra == nil {
				n.Extra = map[string]json.RawMessage{}
			}
			n.Extra[memberDisplay] = jsonenc.String(nil, id)
			return at
		}
	}
	panic("nodebus: DisplayAs: the graph has no node " + strconv.Quote(at.Node) + "; add the node first")
}

// wrapLists returns a copy of in whose lists are literals, or in itself if it has no
// lists.
func wrapLists(in Inputs) Inputs {
	var own Inputs
	for name, v := range in {
		if t := reflect.TypeOf(v); t == nil || t.Kind() != reflect.Slice || value.IsBytes(t) {
			continue
		}
		if own == nil {
			own = maps.Clone(in)
		}
		own[name] = value.Wrap(v)
	}
	if own == nil {
		return in
	}
	return own
}

// Link returns the link to the first output of the node with this name. The node may be
// added later.
func (g *Graph) Link(name string) Link { return Link{Node: g.prefix + name} }

// Nodes returns the nodes that were added so far. A nil Graph has no nodes.
func (g *Graph) Nodes() Nodes {
	if g == nil {
		return nil
	}
	return g.nodes
}

// Problem is one error of a prompt. Its texts are part of the wire: clients compare
// them.
type Problem struct {
	Type    string         `json:"type"` // e.g. "required_input_missing"
	Message string         `json:"message"`
	Details string         `json:"details"` // the name, value or path that is wrong
	Extra   map[string]any `json:"extra_info"`
}

// NodeProblems lists the errors of one node.
type NodeProblems struct {
	Errors           []Problem `json:"errors"`
	DependentOutputs []string  `json:"dependent_outputs"` // ids of outputs that cannot run because of these errors
	Class            string    `json:"class_type"`
}

// ValidationError contains the reasons why a prompt cannot run, or why some of its
// outputs will not run. Its JSON has the form that ComfyUI's clients expect.
type ValidationError struct {
	Problem
	Nodes map[string]*NodeProblems // by node id
}

// Error returns the message and the errors of the nodes, in order of node ids.
func (e *ValidationError) Error() string {
	var b strings.Builder
	b.WriteString("nodebus: " + strings.TrimSuffix(e.Message, "."))
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
	return jsonenc.Marshal(map[string]any{"error": e.Problem, "node_errors": nodes})
}

// UnmarshalJSON reads the JSON that MarshalJSON writes.
func (e *ValidationError) UnmarshalJSON(b []byte) error {
	var w struct {
		Error Problem                  `json:"error"`
		Nodes map[string]*NodeProblems `json:"node_errors"`
	}
	err := json.Unmarshal(b, &w)
	e.Problem, e.Nodes = w.Error, w.Nodes
	return err
}

// promptError returns a ValidationError about the whole prompt.
func promptError(typ, message, details string) *ValidationError {
	return &ValidationError{Problem: Problem{typ, message, details, map[string]any{}}}
}
