package flow_test

import (
	"context"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// fleet is several engines over one queue, one store and one hub, as engines of several
// processes are whose hubs share a log. They have the same nodes. It lives inside a synctest
// bubble.
type fleet struct {
	t     *testing.T
	reg   *flow.Registry
	hub   *nodebus.Hub
	queue flow.Queue
	store flow.Store
	sigs  *signals
	ctx   context.Context
	stops []func()
}

// inFleet runs a test with a fleet without engines.
func inFleet(t *testing.T, test func(f *fleet)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		f := &fleet{
			t: t, reg: flow.NewRegistry(), hub: nodebus.NewHub(nil), queue: flow.NewQueue(nil), store: flow.NewStore(nil),
			sigs: &signals{kept: map[string][]flow.Signal{}, to: map[string]*func(flow.Signal) error{}}, ctx: t.Context(),
		}
		flow.Register(f.reg, show{}, nodebus.Info{Name: "Show"})
		test(f)
		for _, stop := range slices.Backward(f.stops) {
			stop()
		}
		require.NoError(t, f.hub.Close())
	})
}

// engine returns an engine that does not run. Parts that opts leaves out are the fleet's.
func (f *fleet) engine(opts *flow.EngineOptions) *flow.Engine {
	o := flow.EngineOptions{Parallel: 4}
	if opts != nil {
		o = *opts
	}
	if o.Queue == nil {
		o.Queue = f.queue
	}
	if o.Store == nil {
		o.Store = f.store
	}
	o.Signals = f.sigs
	return flow.NewEngine(f.reg, f.hub, &o)
}

// run runs an engine until stop is called, or until the test ends.
func (f *fleet) run(e *flow.Engine) (stop func()) {
	ctx, cancel := context.WithCancel(f.ctx)
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	f.stops = append(f.stops, stop)
	return stop
}

// fn registers a function as a node.
func (f *fleet) fn(name string, do func(ctx *nodebus.Context, in, in2 any) (any, error)) {
	flow.Register(f.reg, fn{f: do}, nodebus.Info{Name: name})
}

func (f *fleet) submit(e *flow.Engine, p *nodebus.Prompt) *flow.Submission {
	f.t.Helper()
	s, err := e.Submit(f.ctx, p, nil)
	require.NoError(f.t, err)
	return s
}

// ended waits for the end of a submission and returns its state.
func (f *fleet) ended(s *flow.Submission) nodebus.State {
	f.t.Helper()
	o, err := s.Wait(f.ctx)
	require.NoError(f.t, err)
	return o.State
}

// queued returns the ids of the prompts of the queue, "+" before those that run.
func queued(t *testing.T, list iter.Seq2[flow.Queued, error]) (ids []string) {
	t.Helper()
	for q, err := range list {
		require.NoError(t, err)
		id := q.Prompt.ID
		if q.Leased {
			id = "+" + id
		}
		ids = append(ids, id)
	}
	return ids
}

// tape collects the events of a hub.
type tape struct {
	mu     sync.Mutex
	events []nodebus.Event
}

// record starts to collect the events of the fleet's hub.
func (f *fleet) record() *tape {
	tp := &tape{}
	ctx, cancel := context.WithCancel(f.ctx)
	events := f.hub.Subscribe(ctx)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for ev, err := range events {
			if err != nil {
				return
			}
			tp.mu.Lock()
			tp.events = append(tp.events, ev)
			tp.mu.Unlock()
		}
	}()
	f.stops = append([]func(){func() { cancel(); <-gone }}, f.stops...)
	return tp
}

// of returns the types of the events of a prompt with their attempts, in order.
func (tp *tape) of(id string) (types []string, attempts []int) {
	synctest.Wait()
	tp.mu.Lock()
	defer tp.mu.Unlock()
	var o outcome
	for _, ev := range tp.events {
		if _, isState := ev.Payload.(nodebus.ProgressState); ev.PromptID == id && !isState {
			o.events = append(o.events, ev)
			attempts = append(attempts, ev.Attempt)
		}
	}
	return o.types(), attempts
}

// numbers returns the numbers of the status events, and forgets them.
func (tp *tape) numbers() (ns []int) {
	synctest.Wait()
	tp.mu.Lock()
	defer tp.mu.Unlock()
	for _, ev := range tp.events {
		if s, ok := ev.Payload.(nodebus.Status); ok {
			ns = append(ns, s.QueueRemaining)
		}
	}
	tp.events = nil
	return ns
}

// signals is a simple flow.Signals in memory.
type signals struct {
	mu   sync.Mutex
	kept map[string][]flow.Signal
	to   map[string]*func(flow.Signal) error
}

func (s *signals) Send(_ context.Context, sig flow.Signal) error {
	s.mu.Lock()
	s.kept[sig.PromptID] = append(s.kept[sig.PromptID], sig)
	to := s.to[sig.PromptID]
	s.mu.Unlock()
	if to != nil {
		return (*to)(sig)
	}
	return nil
}

func (s *signals) Receive(id string, f func(flow.Signal) error) (stop func(), err error) {
	s.mu.Lock()
	kept := slices.Clone(s.kept[id])
	s.to[id] = &f
	s.mu.Unlock()
	for _, sig := range kept {
		_ = f(sig)
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.to[id] == &f {
			delete(s.to, id)
		}
	}, nil
}

func (s *signals) Drop(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, id)
	return nil
}

// gate is a node that waits until it is opened, or until its context ends.
type gateNode struct{ open chan struct{} }

func (g *gateNode) run(ctx *nodebus.Context, in, _ any) (any, error) {
	select {
	case <-g.open:
		return in, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// longer is longer than any lease and any pause of an engine.
const longer = 5 * time.Minute
