package flow

import (
	"cmp"
	"context"
	"log/slog"
	"runtime"
	"time"

	"github.com/nodebus/nodebus"
)

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
	l.opts.Grace = cmp.Or(l.opts.Grace, 3*time.Second)
	if l.opts.Logger == nil {
		l.opts.Logger = slog.New(slog.DiscardHandler)
	}
	l.slots.free = l.opts.Workers
	l.cache = l.opts.Cache
	if l.cache == nil {
		l.recent = newRecent()
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

// Prepare makes a prompt ready to run; see [nodebus.Preparer].
func (l *Local) Prepare(p *nodebus.Prompt) (prepared any, err error) { return l.reg.Prepare(p) }

// Execute runs a prompt; see [nodebus.Executor]. A prompt that was not prepared by
// this executor, or by one of the same registry, is prepared first.
func (l *Local) Execute(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
	pl, ok := job.Prepared.(*plan)
	if !ok || pl.reg != l.reg {
		own := *job.Prompt
		var invalid *nodebus.ValidationError
		if pl, invalid = l.reg.plan(&own); pl == nil {
			return nodebus.Report{}, invalid
		}
		job.Prompt = &own
	}
	r := newRun(ctx, l, &job, pl, pub)
	r.begin()
	err := r.wait()
	return nodebus.Report{Outputs: r.shown()}, err
}
