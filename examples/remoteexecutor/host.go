package main

import (
	"context"
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
// happens in one goroutine.
func (x remote) Execute(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
	w, err := start(x.command())
	if err != nil {
		return nodebus.Report{}, fmt.Errorf("starting a worker: %w", err)
	}
	defer w.end()
	stop := context.AfterFunc(ctx, w.cancel)
	defer stop()
	r := &run{x.registry, w, job.Prompt, pub, map[string]*node{}}
	r.add(job.Prompt.Nodes, nodebus.Place{})
	job.Prepared = nil // it is of use in this process only
	w.send(message{Begin: &job})
	for _, id := range job.Prompt.Outputs {
		if err := r.need(ctx, id); err != nil {
			return nodebus.Report{}, err
		}
	}
	return nodebus.Report{}, nil // the engine has kept what the nodes showed
}

// run is one run of a prompt.
type run struct {
	registry *flow.Registry
	w        *process
	prompt   *nodebus.Prompt
	pub      nodebus.Publisher
	nodes    map[string]*node
}

// node is a node of the prompt, or a node that another node has made.
type node struct {
	spec        nodebus.NodeSpec
	at          nodebus.Place
	begun, done bool
	inbox       []message // from the worker, about this node
}

func (r *run) add(nodes nodebus.Nodes, maker nodebus.Place) {
	for _, spec := range nodes {
		at := nodebus.Place{UniqueID: spec.ID, ParentID: maker.UniqueID, DisplayID: maker.DisplayID, RealID: maker.RealID}
		r.nodes[spec.ID] = &node{spec: spec, at: at.WithDefaults()}
	}
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
	for _, in := range class.Schema().Inputs {
		if link, ok := n.spec.Inputs[in.Name].(nodebus.Link); ok && !in.Lazy {
			if err := r.need(ctx, link.Node); err != nil {
				return err
			}
		}
	}
	for m := (message{Call: &n.at}); !n.done; m = (message{Ready: id}) {
		r.tell(nodebus.Executing{UniqueID: id, DisplayID: n.at.DisplayID, PromptID: r.prompt.ID})
		r.w.send(m)
		m, err := r.next(n)
		switch {
		case ctx.Err() != nil:
			return r.failed(n, context.Cause(ctx))
		case err != nil:
			return r.failed(n, err)
		case m.Error != nil:
			return r.failed(n, m.Error)
		case m.Need == "":
			n.done = true
			if m.UI != nil {
				r.tell(nodebus.Executed{Place: n.at, Output: m.UI, PromptID: r.prompt.ID})
			}
		default: // the node waits for a lazy input, or for a node that it has made
			r.add(m.Made, n.at)
			if err := r.need(ctx, m.Need); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) failed(n *node, err error) error {
	return &nodebus.NodeError{Place: n.at, Class: n.spec.Class, RealClass: r.nodes[n.at.RealID].spec.Class, Err: err}
}

func (r *run) tell(p nodebus.Payload) { _ = r.pub.Publish(nodebus.Event{Payload: p, Frozen: true}) }

// next returns the next message about a node, and publishes events on the way.
func (r *run) next(n *node) (m message, err error) {
	for len(n.inbox) == 0 {
		m, err := r.w.receive()
		if err != nil {
			return m, err
		}
		if m.Frame == nil {
			r.nodes[m.Node].inbox = append(r.nodes[m.Node].inbox, m)
		} else if ev, err := nodebus.JSON.Decode(*m.Frame); err == nil {
			_ = r.pub.Publish(nodebus.Event{Broadcast: m.Everyone, Payload: ev.Payload})
		}
	}
	m, n.inbox = n.inbox[0], n.inbox[1:]
	return m, nil
}
