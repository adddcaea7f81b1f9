package nodebus

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
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
// for the other outputs and the *ValidationError. ctx is the context of whoever submits the
// prompt: if it ends, Prepare may return its cause.
type Preparer interface {
	Prepare(ctx context.Context, p *Prompt) (prepared any, err error)
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
	// Host offers the services of the engine that runs the prompt. It is of use in this
	// process only. It is nil if the executor runs without an engine.
	Host Host `json:"-"`
}

// Host contains the services that an engine gives to an executor while the executor runs
// a prompt. Its methods are safe for concurrent use.
type Host interface {
	// Await publishes the question q and waits for its answer. It publishes [Answered]
	// before it returns. The answer is JSON. If the answer comes from the same process,
	// Await calls check with it first, unless check is nil: an error of check goes back to
	// whoever has answered, and Await waits on. Errors: [ErrExpired] if the deadline of q
	// passes; a [*RefusedError] if the question is refused; the cause of ctx.
	Await(ctx context.Context, q Waiting, check func(json.RawMessage) error) (json.RawMessage, error)
	// Rest gives back the place that the prompt has among the running prompts. An executor
	// calls it when every node of the prompt that has begun waits in Await. Other prompts may then run. Rest
	// does not wait.
	Rest()
	// Resume waits until the prompt has a place again. An executor calls it after Rest,
	// before a node continues. The error is the cause of ctx.
	Resume(ctx context.Context) error
}

// Report is the result of a prompt that an executor has run, also of a prompt that
// failed.
type Report struct {
	// Outputs lists what nodes showed. An executor may leave it empty: the engine also
	// records the Executed events.
	Outputs []NodeOutput
	// Nodes describes the nodes of the prompt, and nodes made at run time, in the order in which
	// they ended. Usually it is a [NodeRunList]. An executor may leave it nil: the record then
	// does not know the nodes. If there are more than 10 000, the engine keeps those that did
	// not end well, and the first of the others.
	Nodes NodeRuns
	// NodesLeftOut is the number of nodes that the executor has left out of Nodes.
	NodesLeftOut int
	// Errors lists the errors of all nodes that failed, in the order in which they failed,
	// if the prompt continues after errors; see [Policy]. Execute returns the first error,
	// too. The engine keeps the first 1000.
	Errors []NodeFailed
}

// NodeRuns is a list of what became of nodes. It is an interface, because an executor may
// keep the list in a form that takes less memory than a [NodeRun] for each node. The list
// never changes.
type NodeRuns interface {
	// All yields the nodes. It may be called again, and by several goroutines.
	All() iter.Seq[NodeRun]
}

// NodeRunList is a simple [NodeRuns].
type NodeRunList []NodeRun

// All yields the nodes in order.
func (l NodeRunList) All() iter.Seq[NodeRun] { return slices.Values(l) }

// Runtime contains the services that an executor gives to a node while the node runs.
// Its methods must be safe for concurrent use. After the call of the node they must
// return [ErrClosed]. It has five methods, because it is everything that a node can ask
// of its executor; a smaller interface would only hide some of it.
type Runtime interface {
	// Input waits for a lazy input of the node and returns its value. The value of an
	// input that is not connected is nil.
	Input(ctx context.Context, name string) (any, error)
	// Eval runs the nodes of g, which the node made, and returns the values at outs, which
	// may be of any number. If g is nil, outs are outputs of other nodes: of the prompt, or
	// made earlier. Nodes that do not depend on each other may run side by side. If outs is
	// empty, the output nodes of g run as a part of the prompt, and Eval does not wait for them.
	Eval(ctx context.Context, g *Graph, outs ...Link) ([]any, error)
	// Await asks clients for an answer; see [Await] and [Host]. The node holds no worker
	// while it waits.
	Await(ctx context.Context, q Waiting, check func(json.RawMessage) error) (json.RawMessage, error)
	// Progress reports how far the node is; see [Tracker.Progress].
	Progress(value, max float64) error
	// Graph returns the prompt's nodes and all nodes made at run time so far.
	Graph() Nodes
}
