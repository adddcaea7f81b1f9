package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// remote is an executor that runs each prompt in a worker process of its own.
type remote struct {
	registry *flow.Registry   // the classes of the worker; the host uses only their schemas
	command  func() *exec.Cmd // starts a worker
}

// Execute runs what the outputs of a prompt need, one node after another. All of it
// happens in one goroutine, so that nothing needs a lock.
func (x remote) Execute(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (report nodebus.Report, err error) {
	w, err := start(x.command())
	if err != nil {
		return report, fmt.Errorf("starting a worker: %w", err)
	}
	defer w.end()
	stop := context.AfterFunc(ctx, w.cancel)
	defer stop()
	r := &run{x.registry, w, job.Host, pub, nodebus.NewTracker(&job, pub), map[string]*node{}}
	defer func() { r.tracker.Close(err) }()
	for n, spec := range job.Prompt.Nodes {
		r.nodes[spec.ID] = &node{spec: spec, at: nodebus.Place{UniqueID: spec.ID}.WithDefaults(), number: n}
	}
	w.send(message{Begin: &job})
	for _, id := range job.Prompt.Outputs {
		if err := r.need(ctx, id); err != nil {
			return report, err
		}
	}
	return report, nil // the engine has kept what the nodes showed
}

// run is one run of a prompt.
type run struct {
	registry *flow.Registry
	w        *process
	host     nodebus.Host // answers the questions of nodes; nil without an engine
	pub      nodebus.Publisher
	tracker  *nodebus.Tracker // publishes what happens to the nodes
	nodes    map[string]*node
}

// node is a node of the prompt, or a node that another node has made.
type node struct {
	spec        nodebus.NodeSpec
	at          nodebus.Place
	number      int // in the tracker
	begun, done bool
	inbox       []message // from the worker, about this node
}

// need runs a node unless it has run, after the nodes that it takes its inputs from.
func (r *run) need(ctx context.Context, id string) error {
	n := r.nodes[id]
	if n == nil {
		return fmt.Errorf("there is no node %q", id)
	}
	class, ok := r.registry.Class(n.spec.Class)
	switch {
	case n.done:
		return nil
	case n.begun:
		return r.failed(n, flow.ErrCycle)
	case !ok:
		return r.failed(n, fmt.Errorf("there is no class %q", n.spec.Class))
	}
	n.begun = true
	for _, in := range class.InputsOf(n.spec) {
		if link, ok := n.spec.Inputs[in.Name].(nodebus.Link); ok && !in.Lazy {
			if err := r.need(ctx, link.Node); err != nil {
				return err
			}
		}
	}
	r.tracker.Begin(n.number)
	r.w.send(message{Call: &n.at})
	for {
		m, err := r.next(n)
		switch {
		case ctx.Err() != nil:
			return r.failed(n, context.Cause(ctx))
		case err != nil:
			return r.failed(n, err)
		case m.Error != nil:
			return r.failed(n, m.Error)
		case m.Ask != nil:
			if err := r.ask(ctx, n, *m.Ask); err != nil {
				return r.failed(n, err)
			}
		case m.Need != "": // the node waits for a lazy input, or for a node that it has made
			for _, spec := range m.Made {
				if r.nodes[spec.ID] != nil {
					continue // of an earlier request: the graph has grown
				}
				at := nodebus.Place{UniqueID: spec.ID, ParentID: id, DisplayID: n.at.DisplayID, RealID: n.at.RealID}
				r.nodes[spec.ID] = &node{spec: spec, at: at, number: r.tracker.Add(at)}
			}
			if err := r.need(ctx, m.Need); err != nil {
				return err
			}
			r.tracker.Resume(n.number)
			r.w.send(message{Ready: id})
		default:
			n.done = true
			if m.UI != nil {
				_ = r.tracker.Executed(n.number, m.UI)
			}
			r.tracker.Finish(n.number)
			return nil
		}
	}
}

// ask forwards a question. No other node of the prompt runs, so the prompt gives its place
// to other prompts meanwhile. The worker checks whether the answer fits.
func (r *run) ask(ctx context.Context, n *node, q nodebus.Waiting) error {
	if r.host == nil {
		r.w.send(message{Reply: replyOf(q.UniqueID, nil, errors.New("no engine runs this prompt"))})
		return nil
	}
	r.host.Rest()
	answer, asked := r.host.Await(ctx, q, nil)
	if err := r.host.Resume(ctx); err != nil {
		return err
	}
	r.tracker.Resume(n.number)
	r.w.send(message{Reply: replyOf(q.UniqueID, answer, asked)})
	return nil
}

func (r *run) failed(n *node, err error) error {
	return &nodebus.NodeError{Place: n.at, Class: n.spec.Class, RealClass: r.nodes[n.at.RealID].spec.Class, Err: err}
}

// next returns the next message about a node. It publishes what nodes send on the way.
func (r *run) next(n *node) (m message, err error) {
	for len(n.inbox) == 0 {
		m, err := r.w.receive()
		switch from := r.nodes[m.Node]; {
		case err != nil:
			return m, err
		case m.Steps != nil:
			_ = r.tracker.Progress(from.number, m.Steps.Value, m.Steps.Max)
		case m.Frame == nil:
			from.inbox = append(from.inbox, m)
		default:
			if ev, err := nodebus.JSON.Decode(*m.Frame); err == nil {
				_ = r.pub.Publish(nodebus.Event{Broadcast: m.Everyone, Payload: ev.Payload})
			}
		}
	}
	m, n.inbox = n.inbox[0], n.inbox[1:]
	return m, nil
}
