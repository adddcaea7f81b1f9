// Package nodetest runs a node in a test without an engine, and records the events that
// the node sends.
//
//	func TestCount(t *testing.T) {
//		rec := nodetest.New(t, nil)
//		got, err := Count{To: 3}.Run(rec.Context())
//		…
//		nodetest.Sent[Ticked](rec) // the sent payloads of type Ticked
//	}
package nodetest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Options are the options of [New]. A nil *Options, and each zero field, means the
// default.
type Options struct {
	UniqueID string            // default "1"
	PromptID string            // default "prompt"
	ClientID string            // default "client"
	Prompt   *nodebus.Prompt   // replaces PromptID and ClientID
	Attempt  int               // how often the prompt was begun; default 1
	Secrets  map[string]string // for nodes with a `hidden` tag that names a secret
	Registry *flow.Registry    // classes for graphs that the node evaluates
	// Answer answers the questions of the node, see [nodebus.Await]. The result is encoded
	// as JSON. Await returns the error; a test can return [nodebus.ErrExpired] or a
	// [*nodebus.RefusedError]. An answer that does not fit the question fails the test.
	// Answer is called in the goroutine that asks. Default nil: Await returns an error.
	Answer func(q nodebus.Waiting) (any, error)
}

// Recorder runs a node under test and records its events. It is safe for concurrent use.
type Recorder struct {
	t    testing.TB
	opts Options
	job  nodebus.Job
	ctx  context.Context

	mu     sync.Mutex
	events []nodebus.Event
	made   nodebus.Nodes // nodes that the node under test has made
}

// New returns a Recorder for one test. Its contexts end with the test. opts may be nil.
func New(t testing.TB, opts *Options) *Recorder {
	r := &Recorder{t: t, ctx: t.Context()}
	if r.ctx == nil { // a testing.T that no test has, as in an Example
		r.ctx = context.Background()
	}
	if opts != nil {
		r.opts = *opts
	}
	r.opts.UniqueID = cmp.Or(r.opts.UniqueID, "1")
	r.job = nodebus.Job{Prompt: r.opts.Prompt, Attempt: cmp.Or(r.opts.Attempt, 1), Secrets: r.opts.Secrets}
	if r.job.Prompt == nil {
		r.job.Prompt = &nodebus.Prompt{ID: cmp.Or(r.opts.PromptID, "prompt"), ClientID: cmp.Or(r.opts.ClientID, "client")}
	}
	return r
}

// Context returns a context for one call of the node. It ends with the test.
func (r *Recorder) Context() *nodebus.Context { return r.With(r.ctx) }

// With returns a context for one call of the node. It ends when ctx ends. Use it to test
// that a node stops.
func (r *Recorder) With(ctx context.Context) *nodebus.Context {
	c := r.context(ctx, nodebus.Place{UniqueID: r.opts.UniqueID}, nil)
	r.t.Cleanup(c.End)
	return c
}

// context returns the context of a node; busy holds the nodes that wait for it.
func (r *Recorder) context(ctx context.Context, at nodebus.Place, busy map[string]bool) *nodebus.Context {
	return nodebus.NewContext(ctx, nodebus.CallInfo{
		Place: at, Job: &r.job, Publisher: r, Runtime: runtime{r, at, busy},
		Logger: slog.New(slog.NewTextHandler(logWriter{r.t}, nil)), PreviewNow: true,
	})
}

// Publish records an event. Like a hub, it returns an error if the event cannot be
// encoded. It leaves out each [nodebus.TextSoFar], because time decides how many there are.
func (r *Recorder) Publish(ev nodebus.Event) error {
	if _, soFar := ev.Payload.(nodebus.TextSoFar); soFar {
		return nil
	}
	if _, err := nodebus.JSON.Encode(ev); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, ev)
	return nil
}

// Events returns all events that the node has sent, in order.
func (r *Recorder) Events() []nodebus.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Text returns what the node has written to the text with this name, see
// [nodebus.Context.Text]. Each write is an event of its own.
func (r *Recorder) Text(name string) (text string) {
	for _, p := range Sent[nodebus.TextPiece](r) {
		if p.UniqueID == r.opts.UniqueID && p.Name == name {
			text = text[:min(p.Offset, len(text))] + p.Piece
		}
	}
	return text
}

// Sent returns the payloads of type P that the node has sent, in order.
func Sent[P nodebus.Payload](r *Recorder) (sent []P) {
	for _, ev := range r.Events() {
		if p, ok := ev.Payload.(P); ok {
			sent = append(sent, p)
		}
	}
	return sent
}

type logWriter struct{ t testing.TB }

func (w logWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

// runtime provides the executor's services to a node. It calls the nodes of a graph one
// after another.
type runtime struct {
	r    *Recorder
	at   nodebus.Place
	busy map[string]bool // nodes that wait for this node
}

// Progress records every report.
func (rt runtime) Progress(value, max float64) error {
	p := rt.r.job.Prompt
	return rt.publish(nodebus.Progress{Value: value, Max: max, PromptID: p.ID, UniqueID: rt.at.UniqueID})
}

// Await records the question and how it is settled, and calls Options.Answer.
func (rt runtime) Await(ctx context.Context, q nodebus.Waiting, check func(json.RawMessage) error) (json.RawMessage, error) {
	if rt.r.opts.Answer == nil {
		return nil, fmt.Errorf("nodetest: the node asks %q; set Options.Answer", q.Name)
	}
	if err := rt.publish(q); err != nil {
		return nil, err
	}
	v, err := rt.r.opts.Answer(q)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	result := "answered"
	switch {
	case errors.Is(err, nodebus.ErrRefused):
		result = "refused"
	case err != nil:
		result = "expired"
	}
	if told := rt.publish(nodebus.Answered{Place: q.Place, PromptID: q.PromptID, Name: q.Name, Result: result}); told != nil || err != nil {
		return nil, cmp.Or(err, told)
	}
	data, err := json.Marshal(v)
	if err == nil && check != nil {
		err = check(data)
	}
	if err != nil {
		rt.r.t.Errorf("nodetest: the answer to %q: %v", q.Name, err)
	}
	return data, err
}

func (rt runtime) publish(p nodebus.Payload) error {
	of := rt.r.job.Prompt
	return rt.r.Publish(nodebus.Event{PromptID: of.ID, To: of.ClientID, Attempt: rt.r.job.Attempt, Payload: p})
}

func (rt runtime) Graph() nodebus.Nodes {
	rt.r.mu.Lock()
	defer rt.r.mu.Unlock()
	return slices.Concat(rt.r.job.Prompt.Nodes, rt.r.made)
}

func (rt runtime) Input(_ context.Context, name string) (any, error) {
	return nil, fmt.Errorf("nodetest: lazy input %q is not set; set it with nodebus.Ready", name)
}

func (rt runtime) Eval(ctx context.Context, g *nodebus.Graph, outs ...nodebus.Link) ([]any, error) {
	if rt.r.opts.Registry == nil {
		return nil, fmt.Errorf("nodetest: the node evaluates a graph; set Options.Registry")
	}
	rt.r.mu.Lock()
	rt.r.made = append(rt.r.made, g.Nodes()...)
	rt.r.mu.Unlock()
	e := evaluation{rt.r, rt.at.WithDefaults(), map[string]nodebus.NodeSpec{}, map[string]flow.Result{}, map[string]bool{rt.at.UniqueID: true}}
	maps.Copy(e.busy, rt.busy)
	for _, n := range slices.Concat(rt.r.job.Prompt.Nodes, g.Nodes()) {
		e.specs[n.ID] = n
	}
	if len(outs) == 0 {
		return nil, e.runOutputs(ctx, g)
	}
	values := make([]any, len(outs))
	for i, out := range outs {
		var err error
		if values[i], err = e.value(ctx, out); err != nil {
			return nil, err
		}
	}
	return values, nil
}

type evaluation struct {
	r     *Recorder
	maker nodebus.Place // of the node that has made the graph
	specs map[string]nodebus.NodeSpec
	done  map[string]flow.Result
	busy  map[string]bool // nodes that wait for the value
}

func (e *evaluation) value(ctx context.Context, l nodebus.Link) (any, error) {
	res, ok := e.done[l.Node]
	if !ok {
		var err error
		if res, err = e.call(ctx, l.Node); err != nil {
			return nil, err
		}
		e.done[l.Node] = res
	}
	if l.Slot < 0 || l.Slot >= len(res.Outputs) {
		return nil, fmt.Errorf("nodetest: node %s has no output %d", l.Node, l.Slot)
	}
	out := res.Outputs[l.Slot]
	if err, ok := out.(error); ok && errors.As(err, new(*nodebus.BlockedError)) {
		return nil, err
	}
	return out, nil
}

// runOutputs calls the output nodes of g.
func (e *evaluation) runOutputs(ctx context.Context, g *nodebus.Graph) error {
	for _, n := range g.Nodes() {
		class, ok := e.r.opts.Registry.Class(n.Class)
		if ok && !class.Schema().Output {
			continue
		}
		if _, err := e.call(ctx, n.ID); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluation) call(ctx context.Context, id string) (res flow.Result, err error) {
	spec, ok := e.specs[id]
	if !ok {
		return res, fmt.Errorf("nodetest: the graph has no node %s", id)
	}
	class, ok := e.r.opts.Registry.Class(spec.Class)
	if !ok {
		return res, fmt.Errorf("nodetest: class %s is not in the registry", spec.Class)
	}
	if e.busy[id] {
		return res, fmt.Errorf("nodetest: node %s: %w", id, flow.ErrCycle)
	}
	e.busy[id] = true
	defer delete(e.busy, id)
	in := nodebus.Inputs{}
	for name, v := range spec.Inputs {
		if l, ok := v.(nodebus.Link); ok {
			raw := slices.ContainsFunc(class.Schema().Inputs, func(p flow.Port) bool { return p.Name == name && p.Raw })
			v, err = e.value(ctx, l)
			if raw && (err == nil || errors.As(err, new(*nodebus.BlockedError))) {
				v, err = l, nil // the source has run; the node receives the link
			}
			if err != nil {
				return res, err
			}
		}
		in[name] = v
	}
	at := nodebus.Place{UniqueID: id}
	if !slices.ContainsFunc(e.r.job.Prompt.Nodes, func(n nodebus.NodeSpec) bool { return n.ID == id }) {
		at.ParentID, at.RealID, at.DisplayID = e.maker.UniqueID, e.maker.RealID, cmp.Or(spec.DisplayID(), e.maker.DisplayID)
	}
	c := e.r.context(ctx, at, maps.Clone(e.busy))
	defer c.End()
	return class.Call(c, in)
}
