package flow

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// gate is the publisher of one prompt. Every event of the executor and the nodes
// passes through it. It passes no event before the start or after the end of the
// prompt. It fills in fields that executors may leave empty, refuses events that
// only the engine may send, and keeps the data for the record.
type gate struct {
	e *Engine
	j *job

	mu      sync.Mutex // not held while an event is published
	open    bool
	passing int           // number of events that are being published
	empty   chan struct{} // set by shut; closed when the last of these events was published

	cachedSent chan struct{} // closed when execution_cached was sent; nil until it is being sent

	record  Record
	outputs map[string]int // index into record.Outputs, by unique id
}

func newGate(e *Engine, j *job) *gate {
	return &gate{e: e, j: j, open: true, record: Record{Prompt: j.p, Attempt: j.attempt}}
}

// start sends execution_start.
func (g *gate) start() {
	now := time.Now()
	s := nodebus.ExecutionStart{PromptID: g.j.p.ID, Timestamp: now.UnixMilli(), Attempt: g.j.attempt}
	g.record.Started, g.record.Start = now, &s
	g.e.mu.Lock()
	g.j.en.start, g.j.en.started = &s, now
	g.e.mu.Unlock()
	_ = g.e.tell(g.j.event(s))
}

// event returns an event for the prompt's client.
func (j *job) event(p nodebus.Payload) nodebus.Event {
	return nodebus.Event{PromptID: j.p.ID, To: j.p.ClientID, Attempt: j.attempt, Payload: p}
}

// Publish checks and completes an event of the executor and publishes it. After
// shut, it returns ErrClosed.
func (g *gate) Publish(ev nodebus.Event) error {
	if !g.enter() {
		return nodebus.ErrClosed
	}
	defer g.leave()
	if err := reserved(ev.Payload); err != nil {
		return err
	}
	if ev.PromptID == "" && ev.To == "" && !ev.Broadcast {
		ev.PromptID, ev.To = g.j.p.ID, g.j.p.ClientID
	}
	if ev.PromptID == g.j.p.ID {
		ev.Attempt = g.j.attempt
	}
	switch p := ev.Payload.(type) {
	case nodebus.ExecutionCached:
		return g.cached(&ev)
	case nodebus.Executing, nodebus.Progress, nodebus.ProgressState, nodebus.Overall, nodebus.ExecutionError, nodebus.Preview, nodebus.ProgressText,
		nodebus.TextPiece, nodebus.TextSoFar, nodebus.NodeFailed, nodebus.NodeDone:
		_ = g.cached(nil)
	case nodebus.Executed:
		_ = g.cached(nil)
		if err := g.e.publish(ev); err != nil {
			return err
		}
		g.executed(p.Place, p.Output)
		return nil
	}
	return g.e.publish(ev)
}

// enter reports whether an event may pass. The events of an attempt whose lease has lapsed
// may not: a later attempt may have begun elsewhere.
func (g *gate) enter() bool {
	if g.j.isLate() {
		g.e.lapse(g.j)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open {
		g.passing++
	}
	return g.open
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.passing--; g.passing == 0 && g.empty != nil {
		close(g.empty)
	}
}

// shut closes the gate and waits for the events that are being published. Then it
// adds the outputs of the executor's report that no event has reported.
func (g *gate) shut(report nodebus.Report) {
	defer g.close(report) // deferred, because a publisher may call runtime.Goexit
	if g.record.Start != nil && g.enter() {
		defer g.leave()
		_ = g.cached(nil)
	}
}

// refuse closes the gate. empty is closed when the last event that is being published was
// published; nil if there is none.
func (g *gate) refuse() (empty <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = false
	if g.passing > 0 && g.empty == nil {
		g.empty = make(chan struct{})
	}
	return g.empty
}

func (g *gate) close(report nodebus.Report) {
	if empty := g.refuse(); empty != nil {
		<-empty
	}
	g.record.keep(&report)
	for _, o := range report.Outputs {
		if _, sent := g.outputs[o.UniqueID]; !sent {
			g.executed(o.Place, o.UI)
		}
	}
}

// errReserved is the error for an executor or a node that publishes a reserved
// event.
var errReserved = errors.New("nodebus: only the engine may publish start and end events of a prompt")

// reserved returns an error for events that only the engine may send. Clients take
// these events as the end of a prompt.
func reserved(p nodebus.Payload) (err error) {
	switch p := p.(type) {
	case nil, nodebus.Progress, nodebus.ProgressState, nodebus.Executed, nodebus.ExecutionCached, nodebus.Preview, nodebus.ProgressText, nodebus.Overall,
		nodebus.TextPiece, nodebus.TextSoFar, nodebus.NodeFailed, nodebus.NodeDone:
		return nil
	case nodebus.Executing:
		if p.UniqueID == "" {
			return errReserved
		}
		return nil
	case nodebus.ExecutionError:
		if p.ExceptionType != nodebus.ExecutionBlocked { // a notice about a blocked node does not end the prompt
			return errReserved
		}
		return nil
	}
	typ := ""
	if err := nodebus.Protect(func() error { typ = p.EventType(); return nil }); err != nil {
		return &nodebus.EncodeError{Type: typeName(p), Err: err}
	}
	if slices.Contains(reservedTypes, typ) {
		return errReserved
	}
	return nil
}

var reservedTypes = []string{"execution_start", "execution_success", "execution_error", "execution_interrupted", "executing"}

// cached makes sure that execution_cached is sent once, before any other event about a
// node: calls wait until it was sent. ev is the executor's own event; nil is any other
// event of the executor. Only the first call sends: ev, or an empty list.
func (g *gate) cached(ev *nodebus.Event) error {
	g.mu.Lock()
	if sent := g.cachedSent; sent != nil {
		g.mu.Unlock()
		<-sent
		return nil
	}
	sent := make(chan struct{})
	g.cachedSent = sent
	c := nodebus.ExecutionCached{Nodes: []string{}, PromptID: g.j.p.ID, Timestamp: time.Now().UnixMilli()}
	if ev != nil {
		c = ev.Payload.(nodebus.ExecutionCached)
	}
	g.record.Cached = &c
	g.mu.Unlock()
	defer close(sent)
	if ev != nil {
		return g.e.publish(*ev)
	}
	_ = g.e.tell(g.j.event(c))
	return nil
}

// executed keeps the UI output of a node for the record.
func (g *gate) executed(at nodebus.Place, ui nodebus.UI) {
	if ui == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	at = at.WithDefaults()
	o := nodebus.NodeOutput{Place: at, UI: ui}
	if i, again := g.outputs[at.UniqueID]; again {
		g.record.Outputs[i] = o
		return
	}
	if g.outputs == nil {
		g.outputs = map[string]int{}
	}
	g.outputs[at.UniqueID] = len(g.record.Outputs)
	g.record.Outputs = append(g.record.Outputs, o)
}
