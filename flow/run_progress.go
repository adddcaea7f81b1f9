package flow

import (
	"errors"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/jsonenc"
)

// progress keeps the state of a run's nodes and tells of it.
//
// A progress_state is a snapshot of all nodes, so that telling of every change
// would cost the square of their number. Snapshots are therefore paid from a
// budget, by about the bytes of their frames: what is small goes out at once, as
// the reference sends it, and what is not goes out when the budget has
// recovered, the newest only. The last one is always sent.
type progress struct {
	r *run

	mu      sync.Mutex
	shown   []*runNode // those that snapshots show, in the order of their first turns
	size    int        // of a snapshot, in bytes
	budget  int        // left for snapshots, in bytes
	steps   int        // left of the budget for progress events
	overall overall
	dirty   bool // states have changed since they were sent
	late    map[*runNode]nodebus.Progress
	timer   *time.Timer // runs while a budget is used up
	over    bool
}

const (
	snapshotBudget = 160 << 10 // some 30 nodes' worth of every change
	snapshotRate   = 4 << 10   // recovered per millisecond
	snapshotPause  = 50 * time.Millisecond
	stepsAtOnce    = 1000 // progress events before they are held back

	// What a node adds to the frame of a snapshot, beside its ids: the names of
	// the fields and the numbers.
	stateSize = 150
)

func (g *progress) init(r *run) {
	g.r, g.budget, g.steps = r, snapshotBudget, stepsAtOnce
	g.shown = make([]*runNode, 0, len(r.base))
}

// phase is how far a node is, as snapshots tell it.
type phase uint8

const (
	notYet phase = iota // it has not had its first turn
	running
	finished
	failed
)

var phaseNames = [...]string{running: "running", finished: "finished", failed: "error"}

// begin tells that a node runs. From now on it may tell of itself, until hush.
func (g *progress) begin(n *runNode) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return
	}
	n.open = true
	g.show(n, running)
	n.value, n.max = 0, 1
	g.executing(n)
}

// goOn tells that a node that has waited runs on. It is false if the node has
// come to its end meanwhile: then it was a goroutine left behind that waited.
func (g *progress) goOn(n *runNode) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over || !n.open {
		return false
	}
	g.executing(n)
	return true
}

func (g *progress) executing(n *runNode) {
	g.changed()
	g.r.tell(nodebus.Executing{UniqueID: n.plan.id, DisplayID: n.plan.place().DisplayID, PromptID: g.r.p.ID})
}

// hush ends what a node tells of itself: the step that was held back is told,
// and none is taken any more, whatever goroutines it has left behind.
func (g *progress) hush(n *runNode) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n.open = false
	if p, ok := g.late[n]; ok && !g.over {
		delete(g.late, n)
		_ = g.tell(p) // the caller of step has been told already
	}
}

// finish tells that a node is done.
func (g *progress) finish(n *runNode) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return
	}
	g.show(n, finished)
	n.value = n.max
	g.changed()
	g.earn(n, 1)
}

// step tells how far a node is.
func (g *progress) step(n *runNode, value, max float64) error {
	if !jsonenc.Finite(value, max) {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over || !n.open {
		return nodebus.ErrClosed
	}
	n.value, n.max = value, max
	g.changed()
	if n.reports = true; max > 0 {
		g.earn(n, value/max)
	}
	p := nodebus.Progress{Value: value, Max: max, PromptID: g.r.p.ID, UniqueID: n.plan.id}
	if g.steps--; g.steps >= 0 {
		return g.tell(p)
	}
	if g.late == nil {
		g.late = map[*runNode]nodebus.Progress{}
	}
	g.late[n] = p
	g.later()
	return nil
}

// show puts a node into a phase, and into the snapshots from its first turn on.
func (g *progress) show(n *runNode, ph phase) {
	if n.phase == notYet {
		n.max = 1
		g.shown = append(g.shown, n)
		at := n.plan.place()
		g.size += stateSize + 2*len(at.UniqueID) + len(at.DisplayID) + len(at.ParentID) + len(at.RealID) + len(g.r.p.ID)
	}
	n.phase = ph
}

// changed sends a snapshot if there is budget for it, and otherwise sees to it
// that one is sent later.
func (g *progress) changed() {
	if g.dirty = true; g.budget > 0 {
		g.send()
	} else {
		g.later()
	}
}

func (g *progress) send() {
	g.budget -= g.size
	g.dirty = false
	g.snapshot()
}

func (g *progress) snapshot() {
	nodes := make([]nodebus.NodeState, len(g.shown))
	for k, n := range g.shown {
		nodes[k] = nodebus.NodeState{Place: n.plan.place(), Value: n.value, Max: n.max, State: phaseNames[n.phase]}
	}
	_ = g.tell(nodebus.ProgressState{PromptID: g.r.p.ID, Nodes: nodes})
}

func (g *progress) tell(p nodebus.Payload) error {
	return g.r.publish(nodebus.Event{PromptID: g.r.p.ID, To: g.r.p.ClientID, Payload: p, Frozen: true})
}

// later arms the timer: for as long as the snapshot that comes then takes to
// pay for.
func (g *progress) later() {
	if g.timer == nil && !g.over {
		pay := time.Duration(max(g.size, -g.budget)) * time.Millisecond / snapshotRate
		g.timer = time.AfterFunc(max(pay, snapshotPause), g.tick)
	}
}

// tick sends what has been held back.
func (g *progress) tick() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.timer = nil
	if g.over {
		return
	}
	if !g.dirty && len(g.late) == 0 { // a quiet time: every change may be told again
		g.budget, g.steps = snapshotBudget, stepsAtOnce
		return
	}
	g.tellLate()
	if g.dirty {
		g.budget = 0
		g.send()
	}
	g.later()
}

// tellLate sends the progress events that were held back.
func (g *progress) tellLate() {
	for n, p := range g.late {
		_ = g.tell(p)
		delete(g.late, n)
	}
}

// close sends the last snapshot. If the run has failed, it shows the node that
// did; those that were still running it shows no more, as after an interrupt.
func (g *progress) close(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return
	}
	if err != nil {
		g.mark(err)
	}
	g.tellLate()
	if g.dirty {
		g.snapshot()
	}
	if err == nil && g.r.l.opts.Overall && g.overall.told < 1 {
		g.tellOverall(1)
	}
	g.over = true
	if g.timer != nil {
		g.timer.Stop()
	}
}

func (g *progress) mark(err error) {
	blamed := ""
	if e := (*nodebus.NodeError)(nil); errors.As(err, &e) && !g.r.isInterrupt(err) {
		blamed = e.UniqueID
	}
	kept := g.shown[:0]
	for _, n := range g.shown {
		switch {
		case n.phase != running:
		case n.plan.id == blamed:
			n.phase = failed
			g.dirty = true
		default:
			g.dirty = true
			continue
		}
		kept = append(kept, n)
	}
	g.shown = kept
}
