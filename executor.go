package nodebus

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"time"
)

// Executor runs one prompt and returns what its nodes showed, by node id. It
// publishes what happens to nodes (cached, executing, progress, executed); the
// [Engine] publishes what happens to the prompt. It returns when nothing of the
// prompt runs any more, soon after ctx has ended, and then publishes no more.
//
// An error that wraps [ErrInterrupted], or ctx's, ends the prompt as
// interrupted, any other as failed; a [*NodeError] says which node it was.
// Execute must be safe for concurrent use.
type Executor interface {
	Execute(ctx context.Context, p *Prompt, pub Publisher) (map[string]UI, error)
}

// NodeError says that a node failed, and where. Clients are told of what kind
// Err is: what its method ExceptionType() string says, if it or an error that it
// wraps has one, otherwise its Go type.
type NodeError struct {
	NodeID    string           // unique id
	Class     string           // its class
	RealID    string           // the node of the submitted prompt that is to blame
	RealClass string           // the class of that
	Inputs    map[string][]any // what the node was given; only plain values
	Executed  []string         // nodes that had run by then, in no order
	Known     []string         // nodes of the prompt that a cache could have known
	Index     int              // which call of the node it was, if it is called for each element of a list
	Err       error
	Stack     string // of a panic
}

func (e *NodeError) Error() string {
	if e.Index > 0 {
		return fmt.Sprintf("nodebus: node %s (%s), element %d: %v", e.NodeID, e.Class, e.Index, e.Err)
	}
	return fmt.Sprintf("nodebus: node %s (%s): %v", e.NodeID, e.Class, e.Err)
}

func (e *NodeError) Unwrap() error { return e.Err }

// PanicError is a panic of a node, the Err of a [*NodeError].
type PanicError struct{ Value any }

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// LocalOptions says how a [Local] runs prompts. Nil, and each zero field, is the
// default.
type LocalOptions struct {
	// Cache keeps results from one prompt to the next. The default keeps what the
	// last prompt used; see NewCache and NoCache for others.
	Cache Cache
	// Workers is how many nodes compute at once, over all prompts. Default
	// GOMAXPROCS. With 1, nodes run in the order in which ComfyUI runs them.
	Workers int
	// Grace is how long a node that does not end with its context holds up the
	// end of its prompt. After that it is abandoned: it goes on, but what it
	// sends and returns goes nowhere. Default 3 seconds.
	Grace time.Duration
	// Overall has the executor tell, in [Overall] events, how much of a prompt is
	// done: at most a hundred a prompt. Clients that do not know them ignore them.
	Overall bool
	// Logger is told of what nobody else is. Nil is silent.
	Logger *slog.Logger
}

// Local runs prompts in this process: nodes that do not wait for each other run
// side by side, and results are cached by what they were made from. It is safe
// for concurrent use.
type Local struct {
	reg     *Registry
	opts    LocalOptions
	cache   Cache     // nil if there is none
	recent  *memCache // the default cache, which is swept by prompt
	slots   slots
	flights flights
}

// NewLocal returns an executor for the classes of r.
func NewLocal(r *Registry, opts *LocalOptions) *Local {
	l := &Local{reg: r}
	if opts != nil {
		l.opts = *opts
	}
	if l.opts.Workers <= 0 {
		l.opts.Workers = runtime.GOMAXPROCS(0)
	}
	l.opts.Grace = orDefault(l.opts.Grace, 3*time.Second)
	if l.opts.Logger == nil {
		l.opts.Logger = slog.New(slog.DiscardHandler)
	}
	l.slots.free = l.opts.Workers
	l.cache = l.opts.Cache
	if l.cache == nil {
		l.recent = NewCache(CacheOptions{}).(*memCache)
		l.cache = l.recent
	}
	if _, none := l.cache.(noCache); none {
		l.cache = nil
	}
	return l
}

// Free drops all cached results.
func (l *Local) Free() {
	if l.cache != nil {
		l.cache.Retain(func(string) bool { return false })
	}
}

// Execute is described at [Executor]. A prompt that was not submitted to an
// engine is validated first.
func (l *Local) Execute(ctx context.Context, p *Prompt, pub Publisher) (shown map[string]UI, err error) {
	pl := p.plan
	if pl == nil || pl.reg != l.reg {
		var invalid *ValidationError
		if pl, invalid = l.reg.plan(p); invalid != nil {
			return nil, invalid
		}
	}
	r := newRun(ctx, l, p, pl, pub)
	r.begin()
	err = r.wait()
	return r.shown(), err
}
