package nodebus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// process runs one prompt, from its first event to its last.
func (e *Engine) process(ctx context.Context, j *job) {
	stop := context.AfterFunc(ctx, func() { j.cancel(context.Cause(ctx)) })
	defer stop()
	e.tellStatus()
	if j.p.Begin != nil {
		select {
		case <-j.p.Begin:
		case <-j.ctx.Done():
		}
	}
	rec := newRecorder(e, j)
	if context.Cause(j.ctx) == nil {
		rec.start()
	}
	shown, err := e.execute(j, rec)
	rec.close(shown)
	e.conclude(j, rec, err)
}

// execute calls the executor; a panic of it is its error.
func (e *Engine) execute(j *job, rec *recorder) (shown map[string]UI, err error) {
	if err := context.Cause(j.ctx); err != nil { // interrupted before it began
		return nil, err
	}
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v}
		}
	}()
	return e.opts.Executor.Execute(j.ctx, j.p, rec)
}

// storeTime is how long the queue and the store may take for what has to be done
// whoever waits for it.
const storeTime = 30 * time.Second

// conclude stores what became of a prompt and says its last words.
func (e *Engine) conclude(j *job, rec *recorder, err error) {
	terminal := rec.end(err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(j.ctx), storeTime)
	defer cancel()
	if err := guarded("storing the record", func() error { return e.opts.Store.Put(ctx, rec.record) }); err != nil {
		e.opts.Logger.Error("record not stored", "prompt", j.p.ID, "error", err)
		terminal = rec.end(fmt.Errorf("nodebus: the record could not be stored: %w", err))
	}
	e.end(j)
	e.tell(Event{PromptID: j.p.ID, To: j.p.ClientID, Payload: terminal})
	e.tellStatus()
	e.tell(Event{PromptID: j.p.ID, To: j.p.ClientID, Payload: Executing{PromptID: j.p.ID}})
	e.release(j)
}

// recorder is the Publisher that an executor is given: what passes through it is
// kept for the record, and put right where an executor need not care.
type recorder struct {
	e  *Engine
	p  *Prompt
	j  *job
	mu sync.RWMutex // held for reading while an event passes

	closed  bool
	rmu     sync.Mutex
	record  Record
	outputs map[string]int // place in record.Outputs by node
}

func newRecorder(e *Engine, j *job) *recorder {
	return &recorder{e: e, p: j.p, j: j, record: Record{Prompt: j.p}, outputs: map[string]int{}}
}

func (r *recorder) start() {
	now := time.Now()
	s := ExecutionStart{PromptID: r.p.ID, Timestamp: now.UnixMilli()}
	r.record.Started, r.record.Start = now, &s
	r.e.tell(Event{PromptID: r.p.ID, To: r.p.ClientID, Payload: s})
}

// Publish passes an event of the executor on.
func (r *recorder) Publish(ev Event) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return ErrClosed
	}
	if err := reserved(ev.Payload); err != nil {
		return err
	}
	switch p := ev.Payload.(type) {
	case Executing:
		r.address(&ev)
		r.cached(nil)
		r.j.mu.Lock()
		r.j.now = p
		r.j.mu.Unlock()
	case Progress, ProgressState, Overall, ExecutionError, Preview, ProgressText:
		r.address(&ev)
		r.cached(nil)
	case ExecutionCached:
		r.address(&ev)
		if !r.cached(&p) {
			return nil
		}
	case Executed:
		r.address(&ev)
		r.cached(nil)
		if err := r.e.publish(ev); err != nil {
			return err
		}
		r.executed(&p)
		return nil
	}
	return r.e.publish(ev)
}

// errReserved is for a node or executor that tries to say the engine's words.
var errReserved = errors.New("nodebus: how a prompt begins and ends is for the engine to tell")

// reserved reports an error for what only the engine may send: a client takes a
// prompt to be over after it.
func reserved(p Payload) (err error) {
	switch p := p.(type) {
	case nil, Progress, ProgressState, Executed, ExecutionCached, Preview, ProgressText, Overall:
		return nil
	case Executing:
		if p.Node == "" {
			return errReserved
		}
		return nil
	case ExecutionError:
		if p.ExceptionType != "ExecutionBlocked" { // that is a notice
			return errReserved
		}
		return nil
	}
	typ := ""
	if err := guarded("asking for the type of an event", func() error { typ = p.EventType(); return nil }); err != nil {
		return &EncodeError{Type: typeName(p), Err: err}
	}
	switch typ {
	case "execution_start", "execution_success", "execution_error", "execution_interrupted", "executing":
		return errReserved
	}
	return nil
}

// address fills in whom an event of a node is for, if the executor has not.
func (r *recorder) address(ev *Event) {
	if ev.PromptID == "" && ev.To == "" && !ev.everyone {
		ev.PromptID, ev.To = r.p.ID, r.p.ClientID
	}
}

// cached sees to it that execution_cached comes once, and before any other event
// of the executor. It reports whether c is to be sent.
func (r *recorder) cached(c *ExecutionCached) (send bool) {
	r.rmu.Lock()
	defer r.rmu.Unlock()
	if r.record.Cached != nil {
		return false
	}
	if c != nil {
		r.record.Cached = c
		return true
	}
	r.record.Cached = &ExecutionCached{Nodes: []string{}, PromptID: r.p.ID, Timestamp: time.Now().UnixMilli()}
	r.e.tell(Event{PromptID: r.p.ID, To: r.p.ClientID, Payload: *r.record.Cached})
	return false
}

// executed keeps what a node showed.
func (r *recorder) executed(p *Executed) {
	if p.Output == nil {
		return
	}
	r.rmu.Lock()
	defer r.rmu.Unlock()
	o := NodeOutput{
		NodeID: p.Node, DisplayID: orDefault(p.DisplayNode, p.Node),
		ParentID: p.ParentNode, RealID: orDefault(p.RealNode, p.Node), UI: p.Output,
	}
	if at, again := r.outputs[o.NodeID]; again {
		r.record.Outputs[at] = o
		return
	}
	r.outputs[o.NodeID] = len(r.record.Outputs)
	r.record.Outputs = append(r.record.Outputs, o)
}

// close takes what the executor returned, and nothing more that it sends.
func (r *recorder) close(shown map[string]UI) {
	if r.record.Start != nil {
		r.cached(nil)
	}
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(shown)) {
		if _, told := r.outputs[id]; !told && shown[id] != nil {
			r.executed(&Executed{Node: id, Output: shown[id]})
		}
	}
}

// end completes the record and returns the event that ends the prompt. What err
// wraps may be a node's own, with methods that panic.
func (r *recorder) end(err error) (terminal Payload) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		known := error(&PanicError{Value: v})
		if node, ok := err.(*NodeError); ok { //nolint:errorlint // looking deeper would panic again
			e := *node
			e.Err, known = known, &e
		}
		terminal = r.finish(known)
	}()
	return r.finish(err)
}

func (r *recorder) finish(err error) Payload {
	rec := &r.record
	rec.Ended = time.Now()
	rec.Success, rec.Error, rec.Interrupted = nil, nil, nil
	ms := rec.Ended.UnixMilli()
	var node *NodeError
	errors.As(err, &node)
	switch {
	case err == nil:
		rec.State = Succeeded
		rec.Success = &ExecutionSuccess{PromptID: r.p.ID, Timestamp: ms}
		return *rec.Success
	case errors.Is(err, ErrInterrupted), r.j.stopped(err):
		rec.State = Stopped
		rec.Interrupted = &ExecutionInterrupted{PromptID: r.p.ID, Executed: []string{}, Timestamp: ms}
		if node != nil {
			rec.Interrupted.NodeID, rec.Interrupted.NodeType = node.real()
			rec.Interrupted.Executed = orEmpty(node.Executed)
		}
		return *rec.Interrupted
	}
	rec.State = Failed
	rec.Error = executionError(err, node)
	rec.Error.PromptID, rec.Error.Timestamp = r.p.ID, ms
	return *rec.Error
}

// stopped reports whether err is that of an executor whose context has ended.
func (j *job) stopped(err error) bool {
	cause := context.Cause(j.ctx)
	return cause != nil && (errors.Is(err, cause) || errors.Is(err, j.ctx.Err()))
}

// executionError puts an error into the words of the wire.
func executionError(err error, node *NodeError) *ExecutionError {
	if node == nil {
		node = &NodeError{Err: err}
	}
	if node.Err == nil {
		e := *node // the executor may have kept it
		e.Err, node = errUnknown, &e
	}
	id, class := node.real()
	e := &ExecutionError{
		NodeID: id, NodeType: class, Executed: orEmpty(node.Executed),
		ExceptionMessage: errorText(node.Err) + "\n", ExceptionType: exceptionType(node.Err),
		Traceback: []string{}, CurrentInputs: node.Inputs, CurrentOutputs: orEmpty(node.Known),
	}
	switch {
	case errors.Is(node.Err, ErrCycle):
		e.ExceptionMessage = "Dependency cycle detected"
		return e
	case node.Stack != "":
		e.Traceback = strings.SplitAfter(strings.TrimSpace(node.Stack), "\n")
	default:
		e.Traceback = chain(node.Err)
	}
	if e.CurrentInputs == nil {
		e.CurrentInputs = map[string][]any{}
	}
	if node.Index > 0 {
		e.Traceback = append([]string{fmt.Sprintf("in the call for element %d\n", node.Index)}, e.Traceback...)
	}
	return e
}

var errUnknown = errors.New("the executor does not say what went wrong")

// real is the node of the submitted prompt that is to blame.
func (e *NodeError) real() (id, class string) {
	if e.RealID == "" {
		return e.NodeID, e.Class
	}
	return e.RealID, e.RealClass
}

// exceptionType names the kind of an error: what it says itself, or its Go type.
func exceptionType(err error) string {
	var named interface{ ExceptionType() string }
	var p *PanicError
	switch {
	case errors.As(err, &named):
		return named.ExceptionType()
	case errors.Is(err, ErrCycle):
		return "graph.DependencyCycleError"
	case errors.As(err, &p):
		return "panic"
	}
	for errors.Unwrap(err) != nil && strings.HasPrefix(typeName(err), "*fmt.") {
		err = errors.Unwrap(err)
	}
	return strings.TrimPrefix(typeName(err), "*")
}

// chain lists an error and what it wraps, for a traceback.
func chain(err error) (lines []string) {
	for ; err != nil && len(lines) < 20; err = errors.Unwrap(err) {
		lines = append(lines, fmt.Sprintf("%T: %v\n", err, err))
	}
	return lines
}
