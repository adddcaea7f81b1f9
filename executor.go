package nodebus

import (
	"context"
	"errors"
	"strings"
)

// Executor runs one prompt. It publishes what happens to nodes ([ExecutionCached],
// [Executing], [Progress], [ProgressState], [Executed]); [Tracker] does this for it.
// The engine publishes what happens to the prompt ([ExecutionStart], the end).
//
// Execute returns when nothing of the prompt runs any more, soon after ctx has
// ended, and publishes nothing after it has returned. An event without an address
// goes to the client that submitted the prompt. Execute must be safe for concurrent
// use.
//
// An error that wraps [ErrInterrupted], or ctx's cause, ends the prompt as
// interrupted; any other error ends it as failed. A [*NodeError] names the node.
type Executor interface {
	Execute(ctx context.Context, job Job, pub Publisher) (Report, error)
}

// Preparer is an [Executor] that makes a prompt ready before it waits in a queue.
// The engine asks it once for each prompt: when the prompt is submitted, or when it
// is taken from a queue that is older than the process. The answer comes back in
// [Job].Prepared and is never stored.
//
// Prepare replaces p.Nodes by a copy whose literals have the declared types, and
// p.Outputs by the outputs that will run. An error refuses the prompt, as a rule
// with a [*ValidationError]. If only some outputs are invalid, Prepare returns
// both: what it has prepared of the others, and the *ValidationError.
type Preparer interface {
	Prepare(p *Prompt) (prepared any, err error)
}

// Job is a prompt to be run, and what belongs to this run of it. Its JSON is for workers
// in other processes. Whoever writes the JSON sends the secrets, too: write it to a pipe
// or an encrypted connection, and keep it out of logs and files.
type Job struct {
	Prompt *Prompt `json:"prompt"` // read-only
	// Attempt counts how often the prompt was begun, from 1.
	Attempt int `json:"attempt"`
	// Secrets reach the nodes that ask for a secret by name in a `hidden` tag. They
	// are in no listing, log or record.
	Secrets map[string]string `json:"secrets,omitempty"`
	// Prepared is the answer of the executor's Prepare, if it is a [Preparer]. It is of
	// use in this process only: the JSON leaves it out.
	Prepared any `json:"-"`
}

// Report is what an executor knows of a prompt that it has run, also if it failed.
type Report struct {
	// Outputs lists what nodes showed. The engine adds to it what nodes showed by
	// Executed events, so that an executor may leave it empty.
	Outputs []NodeOutput
}

// Runtime is what an executor lends to a node while the node runs. Its methods must
// be safe for concurrent use; after the call of the node they fail with [ErrClosed].
type Runtime interface {
	// Input waits for a lazy input of the node. The value of an input that is not
	// connected is nil.
	Input(ctx context.Context, name string) (any, error)
	// Eval waits for an output of nodes that the node made. If g is nil, out is an
	// output of another node: of the prompt, or made earlier.
	Eval(ctx context.Context, g *Graph, out Link) (any, error)
	// Progress takes a report of the node; see [Tracker.Progress].
	Progress(value, max float64) error
	// Graph returns the prompt's nodes and all nodes made at run time so far.
	Graph() Nodes
}

// State is how a prompt ended.
type State string

// The ways in which a prompt ends.
const (
	Succeeded   State = "success"
	Failed      State = "error"
	Interrupted State = "interrupted"
)

// Outcome is how a prompt ended, and what its nodes showed.
type Outcome struct {
	PromptID string
	State    State
	Outputs  []NodeOutput    // in the order in which nodes first showed something
	Error    *ExecutionError // what went wrong; nil unless State is Failed
}

// NodeOutput is what one node showed.
type NodeOutput struct {
	Place
	UI UI `json:"ui"`
}

// Err returns nil if the prompt succeeded, an error that is [ErrInterrupted] if it
// was interrupted, and a [*NodeError] or another error with the text of Error if it
// failed.
func (o *Outcome) Err() error {
	switch {
	case o.State == Succeeded:
		return nil
	case o.State == Interrupted:
		return ErrInterrupted
	case o.Error == nil:
		return errors.New("nodebus: the prompt failed without an error")
	}
	err := errors.New(strings.TrimSpace(o.Error.ExceptionMessage))
	if o.Error.NodeID == "" {
		return err
	}
	return &NodeError{
		Place: Place{UniqueID: o.Error.NodeID}, Class: o.Error.Class,
		Executed: o.Error.Executed, Inputs: o.Error.CurrentInputs, Err: err,
	}
}

// Output returns what a node showed, and nil if it showed nothing.
func (o *Outcome) Output(uniqueID string) UI {
	for i := range o.Outputs {
		if o.Outputs[i].UniqueID == uniqueID {
			return o.Outputs[i].UI
		}
	}
	return nil
}
