package main

import (
	"context"
	"fmt"
	"os/exec"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// remote is an executor that runs nodes in worker processes.
type remote struct {
	registry *flow.Registry   // the classes of the workers; the host uses only their schemas
	command  func() *exec.Cmd // starts a worker

	mu   sync.Mutex
	idle []*process
}

// Execute runs what the outputs of a prompt need, one node after another.
func (x *remote) Execute(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
	w, err := x.hire()
	if err != nil {
		return nodebus.Report{}, fmt.Errorf("starting a worker: %w", err)
	}
	r := &execution{x.registry, w, job.Prompt, pub, map[string]*node{}}
	r.add(job.Prompt.Nodes, nodebus.Place{})
	job.Prepared = nil // it is of use in this process only
	w.send(message{Begin: &job})
	stop := context.AfterFunc(ctx, w.cancel)
	for _, id := range job.Prompt.Outputs {
		if err = r.need(ctx, id); err != nil {
			break
		}
	}
	stop()
	if r.settle(err) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.idle = append(x.idle, w)
	}
	return nodebus.Report{}, err // the engine has kept what the nodes showed
}

// execution is one run of a prompt. All of it happens in the goroutine of Execute.
type execution struct {
	registry *flow.Registry
	w        *process
	prompt   *nodebus.Prompt
	pub      nodebus.Publisher
	nodes    map[string]*node
}

// node is a node of the prompt, or a node that another node has made.
type node struct {
	spec                nodebus.NodeSpec
	at                  nodebus.Place
	begun, called, done bool
	inbox               []message // from the worker, about this node
}

func (r *execution) add(nodes nodebus.Nodes, maker nodebus.Place) {
	for _, spec := range nodes {
		at := nodebus.Place{UniqueID: spec.ID, ParentID: maker.UniqueID, DisplayID: maker.DisplayID, RealID: maker.RealID}
		r.nodes[spec.ID] = &node{spec: spec, at: at.WithDefaults()}
	}
}

// need runs a node unless it has run, after the nodes that it takes its inputs from.
func (r *execution) need(ctx context.Context, id string) error {
	n := r.nodes[id]
	switch {
	case n == nil:
		return fmt.Errorf("there is no node %q", id)
	case n.done:
		return nil
	case n.begun:
		return r.failed(n, nodebus.ErrCycle)
	}
	n.begun = true
	class, ok := r.registry.Class(n.spec.Class)
	if !ok {
		return r.failed(n, fmt.Errorf("class %q is not registered", n.spec.Class))
	}
	for _, in := range class.Schema().Inputs {
		if link, ok := n.spec.Inputs[in.Name].(nodebus.Link); ok && !in.Lazy {
			if err := r.need(ctx, link.Node); err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return r.failed(n, context.Cause(ctx))
	}
	n.called = true
	r.tell(nodebus.Executing{UniqueID: id, DisplayID: n.at.DisplayID, PromptID: r.prompt.ID})
	r.w.send(message{Call: &n.at})
	for !n.done {
		m, err := r.next(n)
		if err == nil && m.Need != "" { // the node waits for a lazy input, or for a node that it has made
			r.add(m.Made, n.at)
			if err := r.need(ctx, m.Need); err != nil {
				return err
			}
			r.tell(nodebus.Executing{UniqueID: id, DisplayID: n.at.DisplayID, PromptID: r.prompt.ID})
			r.w.send(message{Ready: id})
			continue
		}
		n.done = true
		switch {
		case ctx.Err() != nil:
			return r.failed(n, context.Cause(ctx))
		case err != nil:
			return r.failed(n, err)
		case m.Error != nil:
			return r.failed(n, m.Error)
		case m.UI != nil:
			r.tell(nodebus.Executed{Place: n.at, Output: m.UI, PromptID: r.prompt.ID})
		}
	}
	return nil
}

// next returns the next message about a node, and publishes events on the way.
func (r *execution) next(n *node) (message, error) {
	for len(n.inbox) == 0 {
		m, err := r.w.receive()
		if err != nil {
			return m, err
		}
		if m.Frame == nil {
			to := r.nodes[m.Node]
			to.inbox = append(to.inbox, m)
		} else if ev, err := nodebus.JSON.Decode(*m.Frame); err == nil {
			_ = r.pub.Publish(nodebus.Event{Broadcast: m.Everyone, Payload: ev.Payload})
		}
	}
	m := n.inbox[0]
	n.inbox = n.inbox[1:]
	return m, nil
}

func (r *execution) tell(p nodebus.Payload) {
	_ = r.pub.Publish(nodebus.Event{Payload: p, Frozen: true})
}

func (r *execution) failed(n *node, err error) error {
	return &nodebus.NodeError{Place: n.at, Class: n.spec.Class, RealClass: r.nodes[n.at.RealID].spec.Class, Err: err}
}

// settle waits until nothing of the prompt runs in the worker, and reports whether the
// worker can run another prompt.
func (r *execution) settle(err error) bool {
	if err != nil {
		r.w.cancel()
	}
	for _, n := range r.nodes {
		for n.called && !n.done {
			m, err := r.next(n)
			if err != nil {
				return false
			}
			n.done = m.Need == ""
		}
	}
	return r.w.rest()
}
