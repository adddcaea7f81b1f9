package nodebus

import (
	"context"
	"errors"
	"strings"
)

// Executor runs one prompt. It publishes events about nodes: [ExecutionCached],
// [Executing], [Progress], [ProgressState] and [Executed]; a [Tracker] can publish
// them. The engine publishes the events about the prompt: [ExecutionStart] and the end.
//
// Execute returns when nothing of the prompt runs any more, and soon after ctx has
// ended. It publishes nothing after it has returned. An event without an address goes
// to the client that submitted the prompt. Execute must be safe for concurrent use.
//
// An error that wraps [ErrInterrupted] or the cause of ctx ends the prompt as
// interrupted. Any other error ends it as failed. A [*NodeError] names the node that
// failed.
type Executor interface {
	Execute(ctx context.Context, job Job, pub Publisher) (Report, error)
}

// Preparer is an [Executor] that checks and prepares a prompt before it waits in a
// queue. The engine calls Prepare once for each prompt: when the prompt is submitted,
// or when the engine takes it from a queue that was filled before this process started.
// The engine passes the result to Execute in [Job].Prepared and never stores it.
//
// Prepare replaces p.Nodes with a copy whose literals have the declared types, and
// p.Outputs with the outputs that will run. An error refuses the prompt; usually it is
// a [*ValidationError]. If only some outputs are invalid, Prepare returns both a result
// for the other outputs and the *ValidationError.
type Preparer interface {
	Prepare(p *Prompt) (prepared any, err error)
}

// Job is a prompt to run, with the data of this run of the prompt. Its JSON is for
// workers in other processes. The JSON contains the secrets: write it only to a pipe or
// an encrypted connection, and keep it out of logs and files.
type Job struct {
	Prompt *Prompt `json:"prompt"` // read-only
	// Attempt is the number of times that the prompt was started, including this time.
	Attempt int `json:"attempt"`
	// Secrets holds secrets by name. A node reads a secret with a `hidden` tag or with
	// [Context.Hidden]. Secrets do not appear in listings, logs or records.
	Secrets map[string]string `json:"secrets,omitempty"`
	// Prepared is the result of the executor's Prepare, if the executor is a
	// [Preparer]. It is of use in this process only; the JSON leaves it out.
	Prepared any `json:"-"`
}

// Report is the result of a prompt that an executor has run, also of a prompt that
// failed.
type Report struct {
	// Outputs lists what nodes showed. An executor may leave it empty: the engine also
	// records the Executed events.
	Outputs []NodeOutput
}

// Runtime contains the services that an executor gives to a node while the node runs.
// Its methods must be safe for concurrent use. After the call of the node they must
// return [ErrClosed].
type Runtime interface {
	// Input waits for a lazy input of the node and returns its value. The value of an
	// input that is not connected is nil.
	Input(ctx context.Context, name string) (any, error)
	// Eval runs the nodes of g, which the node made, and returns the value at out. If g
	// is nil, out is an output of another node: of the prompt, or made earlier.
	Eval(ctx context.Context, g *Graph, out Link) (any, error)
	// Progress reports how far the node is; see [Tracker.Progress].
	Progress(value, max float64) error
	// Graph returns the prompt's nodes and all nodes made at run time so far.
	Graph() Nodes
}

// State tells how a prompt ended.
type State string

// The values of [State].
const (
	Succeeded   State = "success"
	Failed      State = "error"
	Interrupted State = "interrupted"
)

// Outcome contains the end of a prompt and what its nodes showed.
type Outcome struct {
	PromptID string
	State    State
	Outputs  []NodeOutput    // in the order in which the nodes first showed something
	Error    *ExecutionError // why the prompt failed; nil unless State is Failed
}

// NodeOutput contains what one node showed.
type NodeOutput struct {
	Place
	UI UI `json:"ui"`
}

// Err returns nil if the prompt succeeded and [ErrInterrupted] if it was interrupted.
// If the prompt failed, Err returns an error with the text of Error; it is a
// [*NodeError] if Error names a node.
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

// Output returns what the node with this unique id showed. It returns nil if the node
// showed nothing.
func (o *Outcome) Output(uniqueID string) UI {
	for i := range o.Outputs {
		if o.Outputs[i].UniqueID == uniqueID {
			return o.Outputs[i].UI
		}
	}
	return nil
}
