package flow

import (
	"context"
	"log/slog"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nodebus/nodebus"
)

// LocalOptions holds the options of a [Local]. A nil pointer, and a zero value or a
// negative number in any field, select the defaults.
type LocalOptions struct {
	// Cache keeps results across prompts. Default: NewCache(nil), which keeps up to 1 GiB
	// of results in memory. See ClassicCache and NoCache, and package diskcache, for
	// other caches.
	Cache Cache
	// Workers is the maximum number of nodes that compute at the same time, over all
	// prompts. Asynchronous nodes do not count. Default GOMAXPROCS. With 1, nodes run
	// in the same order as in ComfyUI.
	Workers int
	// Grace is how long the end of a prompt waits for a node that does not return when
	// its context ends. After that time, Local abandons the node: the node's goroutine
	// continues, but Local drops its events and its result. Default 3 seconds.
	Grace time.Duration
	// AsyncCalls is the maximum number of calls that an asynchronous node makes at the
	// same time if it is called for each element of a list. A call that waits counts, too.
	// The first error ends the other calls. Default 16. With 1, the calls are made one
	// after another.
	AsyncCalls int
	// Around wraps each call of a node, to retry, time, trace or replace calls. The
	// first function is the outermost. They run inside every call of every node: they
	// must be safe for concurrent use. Default: none, which costs nothing.
	Around []Around
	// Overall enables [nodebus.Overall] events, which report the progress of the whole
	// prompt. Local sends at most a hundred of them for a prompt. Clients that do not
	// know the event ignore it. Default: false.
	Overall bool
	// NodeDone enables [nodebus.NodeDone] events: one for each node that ends without an
	// error, with its duration. A node that was blocked, or that blocked all its outputs
	// with a reason, has none. Of the nodes whose results were known when the prompt began,
	// only output nodes have one; [nodebus.ExecutionCached] lists all of them. The record has
	// the same data in any case. Default: false.
	NodeDone bool
	// Logger receives problems that no caller and no client learns about, and what nodes log
	// with [nodebus.Context.Logger]. Default: no logging. [NewEngine] gives its own Logger only
	// to the Local that it makes itself.
	Logger *slog.Logger
}

// Local is an executor that runs prompts in this process. Nodes that do not depend
// on each other run at the same time. Results are cached by the inputs of the nodes.
// A Local is safe for concurrent use.
type Local struct {
	reg     *Registry
	opts    LocalOptions
	cache   Cache         // nil if nothing is cached
	classic *classicCache // cache, if it is the classic cache, which is swept at each prompt
	own     bool          // cache returns the values that were put
	puts    puts
	slots   slots
	// scratch holds *scratch values of runs that have ended well.
	scratch sync.Pool
	claims  claims
	around  CallFunc // nil if nothing is wrapped around calls
}

// NewLocal returns an executor for the classes of r. If opts is nil, the executor
// uses the defaults.
func NewLocal(r *Registry, opts *LocalOptions) *Local {
	l := &Local{reg: r}
	if opts != nil {
		l.opts = *opts
	}
	l.opts.Workers = limit(l.opts.Workers, runtime.GOMAXPROCS(0))
	l.opts.Grace = limit(l.opts.Grace, 3*time.Second)
	l.opts.AsyncCalls = min(limit(l.opts.AsyncCalls, 16), math.MaxInt16)
	l.around = wrapCalls(l.opts.Around)
	l.opts.Logger = protectedLogger(l.opts.Logger)
	l.slots.free = l.opts.Workers
	if l.opts.Cache == nil {
		l.opts.Cache = NewCache(nil)
	}
	switch c := l.opts.Cache.(type) {
	case noCache:
		return l
	case *classicCache:
		l.classic, l.own = c, true
	case *boundedCache:
		l.own = true
	}
	l.cache = l.opts.Cache
	return l
}

// Free drops all cached results. If the cache is shared, as a folder of package diskcache
// can be, they are gone for every program that shares it.
func (l *Local) Free() {
	if c, ok := l.opts.Cache.(interface{ clear() }); ok {
		c.clear()
		return
	}
	l.opts.Cache.Retain(func(string) bool { return false })
}

// Prepare checks a prompt and makes it ready to run; see [nodebus.Preparer] and
// [Registry.Prepare].
func (l *Local) Prepare(ctx context.Context, p *nodebus.Prompt) (prepared any, err error) {
	return l.reg.Prepare(ctx, p)
}

// Execute runs a prompt; see [nodebus.Executor]. If the prompt was not prepared by
// an executor with the same registry, Execute prepares it first.
func (l *Local) Execute(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
	pl, ok := job.Prepared.(*plan)
	if !ok || pl.reg != l.reg {
		own := *job.Prompt
		var err error
		if pl, err = l.reg.plan(ctx, &own); err != nil {
			return nodebus.Report{}, err
		}
		job.Prompt = &own
	}
	r := newRun(ctx, l, &job, pl, pub)
	err := r.execute()
	return r.report, err
}

// slots holds the worker slots of a Local. The number of slots limits how many nodes
// compute at the same time, over all prompts. If no slot is free, a run waits in
// line for the next slot that another run gives back.
type slots struct {
	mu       sync.Mutex
	free     int
	line     []slotRequest
	starving atomic.Int32 // number of runs in line that have no slot at all
}

type slotRequest struct {
	r        *run
	starving bool
}

// take takes a slot for r. If no slot is free, take puts r in line and returns
// false. starving is true if r has no slot at all; other runs then give a slot back
// after each node.
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

// give gives back a slot of r. It returns the next run in line, which now has the
// slot; the caller must call its method granted. It returns nil if no run is in
// line. last is true if r has no slot left; r then starves if it is in line itself.
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

// claims holds the keys of the results that are being computed. If two nodes have
// the same key, in one prompt or in two, the first node claims the key and computes
// the result. The second node waits and then finds the result in the cache.
//
// A node that waits for a lazy input, or for nodes that it made, releases its claim.
// Nodes that wait for this key then compute the result themselves. So a waiting node
// never holds a claim, and waiting for a claim cannot cause a deadlock, within one
// prompt or across prompts.
type claims struct {
	mu      sync.Mutex
	waiting map[string][]claimant // by claimed key: the nodes that wait for the key
}

type claimant struct {
	r *run
	i int32
}

// claim claims key for node i of r and returns true. If the key is claimed already,
// it returns false, and release later calls r.reopen.
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

// release ends a claim and wakes the nodes that wait for the key. The caller must
// not hold a lock of any run.
func (c *claims) release(key string) {
	c.mu.Lock()
	nodes := c.waiting[key]
	delete(c.waiting, key)
	c.mu.Unlock()
	for _, n := range nodes {
		n.r.reopen(n.i)
	}
}
