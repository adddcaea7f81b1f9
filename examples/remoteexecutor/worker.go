package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// message is a line on the pipe.
type message struct {
	// The host sends one of these.
	Begin  *nodebus.Job   `json:"begin,omitempty"`  // a prompt, its secrets and the attempt
	Call   *nodebus.Place `json:"call,omitempty"`   // call this node: its inputs are ready
	Ready  string         `json:"ready,omitempty"`  // this node has what it needs
	Cancel bool           `json:"cancel,omitempty"` // end the nodes that run

	// The worker sends the rest, about one node. The node has run if neither Frame nor
	// Need is set.
	Node     string         `json:"node,omitempty"`
	Frame    *nodebus.Frame `json:"frame,omitempty"` // the node sends this message
	Everyone bool           `json:"everyone,omitempty"`
	Need     string         `json:"need,omitempty"` // the node waits for another node
	Made     nodebus.Nodes  `json:"made,omitempty"` // nodes that the node has made, with their links
	UI       nodebus.UI     `json:"ui,omitempty"`
	Error    *failure       `json:"error,omitempty"`
}

// failure is an error on its way through the pipe.
type failure struct {
	Text, Type  string
	Interrupted bool
}

func (f *failure) Error() string         { return f.Text }
func (f *failure) ExceptionType() string { return f.Type }
func (f *failure) Is(target error) bool  { return f.Interrupted && target == nodebus.ErrInterrupted }

// worker runs the nodes of one prompt after another. Output values are any Go values and
// stay here: the host knows them by their links.
type worker struct {
	registry *flow.Registry

	mu      sync.Mutex
	to      *json.Encoder
	job     *nodebus.Job
	ctx     context.Context
	cancel  context.CancelFunc
	nodes   nodebus.Nodes // of the prompt and made at run time
	outputs map[string][]any
	calls   map[string]*call
}

// serve runs nodes until the host closes the pipe.
func serve(registry *flow.Registry, from io.Reader, to io.Writer) {
	w := &worker{registry: registry, to: json.NewEncoder(to), cancel: func() {}}
	defer func() { w.cancel() }()
	for in := json.NewDecoder(from); ; {
		var m message
		switch err := in.Decode(&m); {
		case err != nil:
			return
		case m.Begin != nil:
			w.cancel()
			w.job, w.nodes, w.outputs, w.calls = m.Begin, m.Begin.Prompt.Nodes, map[string][]any{}, map[string]*call{}
			w.ctx, w.cancel = context.WithCancel(context.Background())
		case m.Call != nil:
			c := &call{w: w, at: *m.Call, ctx: w.ctx, ready: make(chan struct{}, 1)}
			w.calls[m.Call.UniqueID] = c
			go func() { w.send(c.run()) }()
		case m.Ready != "":
			w.calls[m.Ready].ready <- struct{}{}
		case m.Cancel:
			w.cancel()
		}
	}
}

func (w *worker) send(m message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.to.Encode(m) // if the host is gone, serve returns
}

// call is one call of a node. It is the publisher and the runtime of the node.
type call struct {
	w      *worker
	at     nodebus.Place
	ctx    context.Context
	inputs nodebus.Inputs
	asks   sync.Mutex
	ready  chan struct{}
}

// run calls the node and returns the message that the node has run.
func (c *call) run() message {
	done := message{Node: c.at.UniqueID}
	ui, err := c.result()
	if done.UI = ui; err != nil {
		cause := err
		var node *nodebus.NodeError
		if errors.As(err, &node) {
			cause = node.Err
		}
		done.Error = &failure{cause.Error(), fmt.Sprintf("%T", cause), errors.Is(err, nodebus.ErrInterrupted)}
	}
	return done
}

func (c *call) result() (nodebus.UI, error) {
	spec := c.w.node(c.at.UniqueID)
	class, ok := c.w.registry.Class(spec.Class)
	if !ok {
		return nil, fmt.Errorf("the worker has no class %q", spec.Class)
	}
	c.inputs = spec.Inputs
	in := maps.Clone(spec.Inputs)
	for _, port := range class.Schema().Inputs {
		if link, ok := in[port.Name].(nodebus.Link); ok && port.Lazy {
			delete(in, port.Name) // the node asks for it with Input
		} else if ok {
			v, err := c.w.output(link)
			if err != nil {
				return nil, err
			}
			in[port.Name] = v
		}
	}
	ctx := nodebus.NewContext(c.ctx, nodebus.CallInfo{Place: c.at, Job: c.w.job, Publisher: c, Runtime: c})
	defer ctx.End()
	res, err := class.Call(ctx, in)
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.outputs[c.at.UniqueID] = res.Outputs
	return res.UI, err
}

func (w *worker) node(id string) nodebus.NodeSpec {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.nodes, func(n nodebus.NodeSpec) bool { return n.ID == id })
	return w.nodes[i]
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

// Progress sends a report to the host.
func (c *call) Progress(value, max float64) error {
	return c.Publish(nodebus.Event{Payload: nodebus.Progress{Value: value, Max: max, PromptID: c.w.job.Prompt.ID, UniqueID: c.at.UniqueID}})
}

// Graph returns the nodes of the prompt and the nodes made at run time.
func (c *call) Graph() nodebus.Nodes {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	return slices.Clone(c.w.nodes)
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
func (c *call) Eval(ctx context.Context, g *nodebus.Graph, out nodebus.Link) (any, error) {
	made := slices.Clone(g.Nodes())
	c.w.mu.Lock()
	c.w.nodes = append(slices.Clip(c.w.nodes), made...)
	c.w.mu.Unlock()
	for i := range made {
		made[i].Inputs = maps.Clone(made[i].Inputs)
		maps.DeleteFunc(made[i].Inputs, func(_ string, v any) bool { _, link := v.(nodebus.Link); return !link })
	}
	return c.need(ctx, out, made)
}

// need waits until another node has run. It does so once at a time.
func (c *call) need(_ context.Context, l nodebus.Link, made nodebus.Nodes) (any, error) {
	c.asks.Lock()
	defer c.asks.Unlock()
	c.w.send(message{Node: c.at.UniqueID, Need: l.Node, Made: made})
	select {
	case <-c.ready:
		return c.w.output(l)
	case <-c.ctx.Done():
		return nil, c.ctx.Err()
	}
}
