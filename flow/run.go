package flow

import (
	"context"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/sched"
)

// run is one prompt being executed by a Local.
//
// Its workers are goroutines that hold a slot and take one ready node after the
// other. A node that waits for others (visit.await) lets go of its slot, and
// its goroutine is handed that of the worker who finds it ready to go on.
type run struct {
	l      *Local
	job    *nodebus.Job
	p      *nodebus.Prompt
	pub    nodebus.Publisher
	ctx    context.Context
	cancel context.CancelCauseFunc
	plan   *plan

	gate sync.RWMutex // held for reading while publishing
	shut bool         // nothing is published any more

	mu       sync.Mutex
	sch      sched.Sched
	base     []runNode              // the prompt's nodes
	made     []*runNode             // those made at run time, and stand-ins
	byID     map[string]int32       // nodes made at run time
	graphs   map[*nodebus.Graph]int // how many nodes of each are in made already
	specs    nodebus.Nodes          // of the nodes in made
	vetted   []bool                 // nodes of base that are valid, as far as was asked
	err      error                  // why it ends early
	over     bool                   // nothing more begins
	working  int                    // goroutines that run nodes, or look for one to run
	starting int                    // of those, workers that have not looked yet
	parked   int                    // visits that wait for other nodes
	away     int                    // nodes whose result another visit is computing
	slots    int                    // that its workers hold
	asking   bool                   // in line for a slot
	looking  bool                   // it has not begun: it works out the keys of its nodes
	workers  workerList
	turns    uint64
	ran      []int32       // nodes that were evaluated, not cached
	finished chan struct{} // closed at the end
	ended    bool

	progress progress

	// The keys of base, one after the other, and which of them there are. They do
	// not change once they have been looked up.
	baseKeys string
	baseKey  []keyState
	keyMu    sync.Mutex // not held by those who hold mu: a Fingerprint may never return
	keys     signer     // guarded by keyMu
}

// runNode is a node of a run.
type runNode struct {
	plan  *planNode
	outs  []any // what it gave: a value, a list (many) or *blocked each
	ui    nodebus.UI
	stand *waiter    // it is no node, but stands in for one that waits
	exp   *expansion // it has expanded and waits for what it made
	state nodeState
	shows bool // ui belongs to this prompt's record

	// What follows is guarded by the run's progress.
	open       bool // it may tell of itself
	reports    bool // it has said how far it is
	phase      phase
	value, max float64
}

type nodeState uint8

const (
	nodeFresh  nodeState = iota
	nodeCached           // known before the prompt began
	nodeDone
)

func newRun(ctx context.Context, l *Local, job *nodebus.Job, pl *plan, pub nodebus.Publisher) *run {
	r := &run{l: l, job: job, p: job.Prompt, pub: pub, plan: pl, finished: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	r.base = make([]runNode, len(pl.nodes))
	slots := 0
	for i := range r.base {
		r.base[i].plan = &pl.nodes[i]
		slots += len(pl.nodes[i].class.outputs)
	}
	outs := make([]any, slots)
	for i := range r.base {
		n := len(pl.nodes[i].class.outputs)
		r.base[i].outs, outs = outs[:n:n], outs[n:]
	}
	r.progress.init(r)
	return r
}

// at is node i. r.mu is held, or i is known to exist.
func (r *run) at(i int32) *runNode {
	if int(i) < len(r.base) {
		return &r.base[i]
	}
	return r.made[int(i)-len(r.base)]
}

// node is at for those who do not hold r.mu.
func (r *run) node(i int32) *runNode {
	if int(i) < len(r.base) {
		return &r.base[i]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at(i)
}

// publish sends an event of the prompt, unless it is over.
func (r *run) publish(ev nodebus.Event) (err error) {
	r.gate.RLock()
	defer r.gate.RUnlock()
	if r.shut {
		return nodebus.ErrClosed
	}
	return nodebus.Protect(func() error { return r.pub.Publish(ev) })
}

// isShut reports whether the prompt is over.
func (r *run) isShut() bool {
	r.gate.RLock()
	defer r.gate.RUnlock()
	return r.shut
}

// tell sends what cannot fail but for a hub that is closed.
func (r *run) tell(p nodebus.Payload) {
	if err := r.publish(nodebus.Event{PromptID: r.p.ID, To: r.p.ClientID, Payload: p, Frozen: true}); err != nil {
		r.l.opts.Logger.Debug("event not sent", "prompt", r.p.ID, "type", p.EventType(), "error", err)
	}
}

// begin has the run start in a goroutine of its own, which counts as a worker,
// for a Fingerprint may take its time, or never return.
func (r *run) begin() {
	r.working, r.looking = 1, true
	go func() {
		err := errGoexit // unless Protect returns
		defer func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if err != nil {
				r.fail(err)
			}
			r.working--
			r.settle()
		}()
		err = nodebus.Protect(func() error { r.start(); return nil })
	}()
}

// start looks up what is cached and schedules what the outputs need.
func (r *run) start() {
	cached := r.lookUp()
	r.tell(nodebus.ExecutionCached{Nodes: cached, PromptID: r.p.ID, Timestamp: time.Now().UnixMilli()})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looking = false
	if r.over {
		return
	}
	edges := 0
	for i := range r.base {
		edges += len(r.base[i].plan.args)
	}
	r.sch.Reserve(len(r.base), edges)
	r.ran = make([]int32, 0, len(r.base)-len(cached))
	r.need(nil, r.plan.outputs...)
	r.kick()
}

// need schedules nodes and what they wait for, if they are not already. by is
// the node that needs them, nil for the prompt. r.mu is held.
func (r *run) need(by *runNode, want ...int32) {
	from := r.sch.Positions()
	var added []int32
	var stack []int32
	for _, w := range want {
		stack = append(stack, w)
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			n := r.at(i)
			root := n.plan.class.schema.Output && r.isWanted(i)
			if !r.sch.Add(i, root, n.plan.class.schema.Async) {
				continue
			}
			added = append(added, i)
			if n.state != nodeCached {
				stack = r.link(i, n.plan, stack)
			}
		}
	}
	r.progress.share(by, added)
	r.sch.Rank(from)
	for _, i := range added {
		r.sch.Open(i)
	}
}

// isWanted reports whether i is an output that was asked for: of the prompt's
// own nodes only those it names, of those made at run time all.
func (r *run) isWanted(i int32) bool { return int(i) >= len(r.base) || r.plan.isOutput[i] }

// link makes i wait for its sources and puts them on the stack.
func (r *run) link(i int32, n *planNode, stack []int32) []int32 {
	for k := range n.args {
		src := n.args[k].src
		if src < 0 || n.class.inputs[k].Lazy || r.at(src).state != nodeFresh {
			continue
		}
		r.sch.Link(src, i)
		stack = append(stack, src)
	}
	for k := range n.extra {
		if src := n.extra[k].src; src >= 0 && r.at(src).state == nodeFresh {
			r.sch.Link(src, i)
			stack = append(stack, src)
		}
	}
	return stack
}
