package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// worker runs the nodes of one prompt. Output values are any Go values and stay here: the
// host knows them by their links.
type worker struct {
	registry *flow.Registry
	ctx      context.Context
	job      *nodebus.Job

	mu      sync.Mutex
	to      *json.Encoder
	nodes   map[string]nodebus.NodeSpec // of the prompt and made at run time
	outputs map[string][]any            // by node
}

// serve runs nodes until the host closes the pipe. It then cancels the nodes that still
// run and waits for them.
func serve(registry *flow.Registry, from io.Reader, to io.Writer) {
	w := &worker{registry: registry, to: json.NewEncoder(to), nodes: map[string]nodebus.NodeSpec{}, outputs: map[string][]any{}}
	var running sync.WaitGroup
	defer running.Wait()
	var cancel context.CancelFunc
	w.ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	calls := map[string]*call{}
	for in := json.NewDecoder(from); ; {
		var m message
		if in.Decode(&m) != nil {
			return
		}
		switch {
		case m.Begin != nil:
			w.job = m.Begin
			w.add(m.Begin.Prompt.Nodes)
		case m.Call != nil:
			c := &call{w: w, at: *m.Call, ready: make(chan struct{}, 1), replies: make(chan *reply, 1)}
			calls[m.Call.UniqueID] = c
			running.Go(func() { w.send(c.run()) })
		case m.Ready != "":
			calls[m.Ready].ready <- struct{}{}
		case m.Reply != nil:
			calls[m.Reply.Node].replies <- m.Reply
		}
	}
}

func (w *worker) add(nodes nodebus.Nodes) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range nodes {
		w.nodes[n.ID] = n
	}
}

func (w *worker) send(m message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.to.Encode(m) // if the host is gone, serve returns
}

// call is one call of a node. It is the publisher and the runtime of the node.
type call struct {
	w       *worker
	at      nodebus.Place
	inputs  nodebus.Inputs
	asks    sync.Mutex // held while the node waits for another node, or for an answer
	ready   chan struct{}
	replies chan *reply
}

// run calls the node and returns the message that the node has run.
func (c *call) run() message {
	ui, err := c.result()
	if err == nil {
		return message{Node: c.at.UniqueID, UI: ui}
	}
	var n *nodebus.NodeError
	if errors.As(err, &n) {
		err = n.Err // the host knows the node
	}
	return message{Node: c.at.UniqueID, Error: &failure{err.Error(), strings.TrimPrefix(fmt.Sprintf("%T", err), "*"), errors.Is(err, nodebus.ErrInterrupted)}}
}

func (c *call) result() (nodebus.UI, error) {
	c.w.mu.Lock()
	spec := c.w.nodes[c.at.UniqueID]
	c.w.mu.Unlock()
	class, ok := c.w.registry.Class(spec.Class)
	if !ok {
		return nil, fmt.Errorf("the worker has no class %q", spec.Class)
	}
	c.inputs = spec.Inputs
	in := maps.Clone(spec.Inputs)
	for _, port := range class.InputsOf(spec) {
		if link, ok := in[port.Name].(nodebus.Link); ok && !port.Lazy && !port.Raw { // the node asks for a lazy input with Input
			v, err := c.w.output(link)
			if err != nil {
				return nil, err
			}
			in[port.Name] = v
		}
	}
	ctx := nodebus.NewContext(c.w.ctx, nodebus.CallInfo{Place: c.at, Job: c.w.job, Publisher: c, Runtime: c})
	defer ctx.End()
	res, err := class.Call(ctx, in)
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.outputs[c.at.UniqueID] = res.Outputs
	return res.UI, err
}

func (w *worker) output(l nodebus.Link) (any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if outs := w.outputs[l.Node]; l.Slot < len(outs) {
		return outs[l.Slot], nil
	}
	return nil, fmt.Errorf("node %s has no output %d", l.Node, l.Slot)
}

// Publish sends an event of the node to the host.
func (c *call) Publish(ev nodebus.Event) error {
	f, err := nodebus.JSON.Encode(ev)
	if err == nil {
		c.w.send(message{Node: c.at.UniqueID, Frame: &f, Everyone: ev.Broadcast})
	}
	return err
}

// Progress sends a report to the host, which publishes it.
func (c *call) Progress(value, max float64) error {
	c.w.send(message{Node: c.at.UniqueID, Steps: &steps{value, max}})
	return nil
}

// Await sends a question to the host. If an answer does not fit, the node learns it, and not
// who has answered.
func (c *call) Await(_ context.Context, q nodebus.Waiting, _ func(json.RawMessage) error) (json.RawMessage, error) {
	c.asks.Lock()
	defer c.asks.Unlock()
	c.w.send(message{Node: c.at.UniqueID, Ask: &q})
	select {
	case p := <-c.replies:
		return p.result()
	case <-c.w.ctx.Done():
		return nil, c.w.ctx.Err()
	}
}

// Graph returns the nodes of the prompt and the nodes made at run time.
func (c *call) Graph() nodebus.Nodes {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	return slices.Collect(maps.Values(c.w.nodes))
}

// Input waits for a lazy input.
func (c *call) Input(ctx context.Context, name string) (any, error) {
	link, ok := c.inputs[name].(nodebus.Link)
	if !ok {
		return c.inputs[name], nil
	}
	return c.need(ctx, link, nil)
}

// Eval keeps the nodes that the node has made, whose inputs may be any Go values, and
// sends their links to the host.
func (c *call) Eval(ctx context.Context, g *nodebus.Graph, outs ...nodebus.Link) ([]any, error) {
	if len(outs) == 0 {
		return nil, errors.New("the worker runs the nodes of a graph only for their values")
	}
	c.w.add(g.Nodes())
	made := slices.Clone(g.Nodes())
	for i := range made {
		made[i].Inputs = maps.Clone(made[i].Inputs)
		maps.DeleteFunc(made[i].Inputs, func(_ string, v any) bool { _, link := v.(nodebus.Link); return !link })
	}
	values := make([]any, len(outs))
	for i, out := range outs {
		var err error
		if values[i], err = c.need(ctx, out, made); err != nil {
			return nil, err
		}
		made = nil // the host has them
	}
	return values, nil
}

// need waits until another node has run.
func (c *call) need(_ context.Context, l nodebus.Link, made nodebus.Nodes) (any, error) {
	c.asks.Lock()
	defer c.asks.Unlock()
	c.w.send(message{Node: c.at.UniqueID, Need: l.Node, Made: made})
	select {
	case <-c.ready:
		return c.w.output(l)
	case <-c.w.ctx.Done():
		return nil, c.w.ctx.Err()
	}
}
