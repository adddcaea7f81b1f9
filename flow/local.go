package flow

import (
	"cmp"
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nodebus/nodebus"
)

// LocalOptions says how a [Local] runs prompts. Nil, and each zero field, is the
// default.
type LocalOptions struct {
	// Cache keeps results from one prompt to the next. Default: the results that the
	// last prompt used, without a bound; see NewCache and NoCache for others.
	Cache Cache
	// Workers is how many nodes compute at once, over all prompts. Default
	// GOMAXPROCS. With 1, nodes run in the order in which ComfyUI runs them.
	Workers int
	// Grace is how long the end of a prompt waits for a node that does not end with
	// its context. After that the node is abandoned: it goes on, but what it sends and
	// returns is dropped. Default 3 seconds.
	Grace time.Duration
	// Overall publishes [nodebus.Overall] events: how much of a prompt is done, at most
	// a hundred times for a prompt. Clients that do not know the event ignore it.
	Overall bool
	// Logger receives problems that no caller and no client learns about. Nil is
	// silent.
	Logger *slog.Logger
}

// Local runs prompts in this process: nodes that do not wait for each other run
// side by side, and results are cached by what they were made from. It is safe
// for concurrent use.
type Local struct {
	reg    *Registry
	opts   LocalOptions
	cache  Cache        // nil if there is none
	recent *recentCache // the default cache, which is swept by prompt; nil for another cache
	slots  slots
	claims claims
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
		l.recent = &recentCache{}
		l.cache = l.recent
	}
	if _, off := l.cache.(noCache); off {
		l.cache = nil
	}
	return l
}

// Free drops all cached results.
func (l *Local) Free() {
	switch {
	case l.recent != nil:
		l.recent.clear()
	case l.cache != nil:
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
	err := r.execute()
	return r.report(), err
}

// slots are the worker slots of a Local: at most so many nodes compute at once, over
// all prompts it runs. A run that finds no slot free waits in line, and gets the slot
// that another run gives back.
type slots struct {
	mu       sync.Mutex
	free     int
	line     []slotRequest
	starving atomic.Int32 // how many runs in line have no slot at all
}

type slotRequest struct {
	r        *run
	starving bool
}

// take takes a slot for r, or puts r in line and reports false. A run that starves,
// because it has no slot, makes other runs give a slot back after each node.
func (s *slots) take(r *run, starving bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 {
		s.free--
		return true
	}
	s.line = append(s.line, slotRequest{r, starving})
	if starving {
		s.starving.Add(1)
	}
	return false
}

// give gives a slot of r back. It returns the next run in line, which has the slot
// from now on; the caller calls its granted. It returns nil if no run is in line. last
// says that r has no slot left, so that r starves if it is in line itself.
func (s *slots) give(r *run, last bool) (next *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.line {
		if at := &s.line[i]; last && at.r == r && !at.starving {
			at.starving = true
			s.starving.Add(1)
		}
	}
	if len(s.line) == 0 {
		s.free++
		return nil
	}
	first := s.line[0]
	s.line[0] = slotRequest{}
	if s.line = s.line[1:]; first.starving {
		s.starving.Add(-1)
	}
	return first.r
}

// claims are the keys of the results that are being computed right now. Of two nodes
// with the same key, of one prompt or of two, the first claims the key and computes the
// result. The second waits, and then finds the result in the cache.
//
// A node that waits, for a lazy input or for nodes it made, releases its claim; nodes
// that wait for the key then compute the result themselves. So a claim is never held by
// a node that waits, and waiting for a claim closes no ring, within a prompt or through
// several.
type claims struct {
	mu      sync.Mutex
	waiting map[string][]claimant // the nodes that wait for each claimed key
}

type claimant struct {
	r *run
	i int32
}

// claim reports whether node i of r now has the key. If not, release calls reopen of the
// run later.
func (c *claims) claim(key string, r *run, i int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	nodes, taken := c.waiting[key]
	if !taken {
		if c.waiting == nil {
			c.waiting = map[string][]claimant{}
		}
		c.waiting[key] = nil
		return true
	}
	c.waiting[key] = append(nodes, claimant{r, i})
	return false
}

// release ends a claim and wakes the nodes that wait for the key. The caller holds no
// run's lock.
func (c *claims) release(key string) {
	c.mu.Lock()
	nodes := c.waiting[key]
	delete(c.waiting, key)
	c.mu.Unlock()
	for _, n := range nodes {
		n.r.reopen(n.i)
	}
}
