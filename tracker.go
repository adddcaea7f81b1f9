package nodebus

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// Tracker publishes what happens to the nodes of one prompt, for an [Executor]:
// [ExecutionCached], [Executing], [Progress], [ProgressState], [Executed] and
// [Overall].
//
// Nodes are numbers. The numbers from 0 to len(job.Prompt.Nodes)-1 are the nodes of
// the prompt; [Tracker.Add] gives a number to a node that was made at run time.
//
// A ProgressState lists all nodes that have begun, so that sending every change
// would cost the square of their number. The tracker therefore has a budget for
// snapshots, in bytes, and another one for progress events. What the budget allows
// goes out at once; what exceeds it goes out later, the newest state only. The last
// state is always sent.
//
// The order of the events of a prompt is a promise. A tracker therefore holds a lock
// while it calls Publish, and the other calls wait: Publish must not call the tracker
// and must not wait for a node of the prompt. There are three exceptions, in which
// Publish is called without a lock or is not waited for: [Tracker.Executed],
// [Tracker.Add] and [Tracker.Expect].
//
// A Tracker is safe for concurrent use. Whoever makes one must call [Tracker.Close].
type Tracker struct {
	job     *Job
	pub     Publisher
	overall atomic.Bool // Expect was called

	// order is held while an event is published. It guards what follows.
	order  sync.Mutex
	nodes  []trackedNode // by number; shorter than the number of nodes until it is needed
	shown  []int32       // the nodes of snapshots, in the order in which they began
	size   int           // estimate of a snapshot, in bytes
	budget int           // what is left for snapshots, in bytes
	steps  int           // how many progress events may go out at once
	dirty  bool          // the last snapshot is not the newest state
	late   []int32       // nodes that had a progress event held back since the last tick
	held   int           // how many of these events are still to be sent
	timer  *time.Timer   // runs while something is held back or a budget recovers
	timers sync.WaitGroup
	closed bool

	// mu is held for a few steps only, never while anything is published. It is
	// locked after order, or alone.
	mu     sync.Mutex
	added  []Place // the nodes made at run time
	shares shares
}

// trackedNode is the state of one node.
type trackedNode struct {
	value, max float64
	phase      nodePhase
	open       bool // the node may report progress
	late       bool // a progress event with value and max is held back
}

type nodePhase uint8

const (
	phaseNone nodePhase = iota // the node has not begun
	phaseRunning
	phaseFinished
	phaseFailed
)

var phaseNames = [...]string{phaseRunning: "running", phaseFinished: "finished", phaseFailed: "error"}

// NewTracker returns a tracker for a prompt that publishes to pub. The prompt must
// not change while the tracker is in use.
func NewTracker(job *Job, pub Publisher) *Tracker {
	return &Tracker{
		job: job, pub: pub, budget: snapshotBudget, steps: stepsAtOnce,
		nodes: make([]trackedNode, len(job.Prompt.Nodes)),
		shown: make([]int32, 0, len(job.Prompt.Nodes)),
	}
}

// Add numbers a node that was made at run time. It does not wait for Publish.
func (t *Tracker) Add(at Place) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.added = append(t.added, at.WithDefaults())
	return len(t.job.Prompt.Nodes) + len(t.added) - 1
}

// Expect says that nodes will run because node by needs them; a negative number is
// the prompt itself. From the first call on the tracker publishes [Overall] events, at
// most a hundred for a prompt; nodes that were not expected do not count. Without a
// call it publishes none. Expect does not wait for Publish.
func (t *Tracker) Expect(by int, nodes ...int) {
	t.overall.Store(true)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shares.divide(by, nodes)
}

// Cached publishes the ids of the nodes whose results were known before the prompt
// began. It is called once, before any other event. If an executor does not call it,
// the engine publishes an empty list.
func (t *Tracker) Cached(ids []string) {
	if ids == nil {
		ids = []string{}
	}
	t.order.Lock()
	defer t.order.Unlock()
	if !t.closed {
		_ = t.publish(ExecutionCached{Nodes: ids, PromptID: t.job.Prompt.ID, Timestamp: time.Now().UnixMilli()})
	}
}

// Begin publishes that node n runs. From now on the node may report progress.
func (t *Tracker) Begin(n int) {
	t.order.Lock()
	defer t.order.Unlock()
	if t.closed {
		return
	}
	at := t.place(n)
	node := t.show(n, at, phaseRunning)
	node.open, node.value, node.max = true, 0, 1
	t.executing(at)
}

// Resume publishes that a node runs on after it has waited. It reports false, and
// publishes nothing, if the node has ended meanwhile: then a goroutine that the node
// left behind has waited.
func (t *Tracker) Resume(n int) bool {
	t.order.Lock()
	defer t.order.Unlock()
	if t.closed || !t.node(n).open {
		return false
	}
	t.executing(t.place(n))
	return true
}

func (t *Tracker) executing(at Place) {
	t.changed()
	_ = t.publish(Executing{UniqueID: at.UniqueID, DisplayID: at.DisplayID, PromptID: t.job.Prompt.ID})
}

// Progress publishes how far node n is, now or later; see [Tracker]. Numbers that are
// not finite are ignored. It returns [ErrClosed] unless the node runs, and otherwise
// the error of Publish if the event went out at once.
func (t *Tracker) Progress(n int, value, max float64) error {
	if !jsonenc.Finite(value, max) {
		return nil
	}
	t.order.Lock()
	defer t.order.Unlock()
	node := t.node(n)
	if t.closed || !node.open {
		return ErrClosed
	}
	node.value, node.max = value, max
	t.changed()
	t.earn(n, value, max, true)
	if t.steps--; t.steps >= 0 {
		return t.publish(t.progress(n))
	}
	if !node.late {
		node.late = true
		t.held++
		t.late = append(t.late, int32(n))
	}
	t.arm()
	return nil
}

func (t *Tracker) progress(n int) Progress {
	node := t.node(n)
	return Progress{Value: node.value, Max: node.max, PromptID: t.job.Prompt.ID, UniqueID: t.place(n).UniqueID}
}

// Quiet ends the progress of node n before the node ends: the step that was held back
// goes out, and further reports fail. An executor calls it when the node's code has
// returned and its result is not complete. [Tracker.Executed] and [Tracker.Finish] do
// the same.
func (t *Tracker) Quiet(n int) {
	t.order.Lock()
	defer t.order.Unlock()
	t.quiet(n)
}

func (t *Tracker) quiet(n int) {
	node := t.node(n)
	node.open = false
	if node.late && !t.closed {
		t.sendStep(n) // the caller of Progress has its answer already
	}
}

// Executed publishes what node n shows; ui is nil for a cached node that shows
// nothing. The error is an [*EncodeError] if ui has no form on the wire, or another
// error of Publish.
//
// The tracker's lock is not held while it publishes, because encoding ui may call code
// of the node.
func (t *Tracker) Executed(n int, ui UI) error {
	t.order.Lock()
	t.quiet(n)
	at, closed := t.place(n), t.closed
	t.order.Unlock()
	if closed {
		return ErrClosed
	}
	return t.send(Executed{Place: at, Output: ui, PromptID: t.job.Prompt.ID}, false)
}

// Finish publishes that node n is done. It need not have begun: a node whose result
// was cached has not.
func (t *Tracker) Finish(n int) {
	t.order.Lock()
	defer t.order.Unlock()
	if t.closed {
		return
	}
	t.quiet(n)
	node := t.show(n, t.place(n), phaseFinished)
	node.value = node.max
	t.changed()
	t.earn(n, 1, 1, false)
}

// Close publishes the last snapshot and waits until nothing of the tracker runs any
// more; only an Executed whose Publish runs already may end later. Whatever is called
// afterwards does nothing.
//
// err is why the prompt ended early; nil means that it succeeded. A [*NodeError] in
// err names the node that failed, unless err is [ErrInterrupted]. Nodes that still
// run are left out of the last snapshot.
func (t *Tracker) Close(err error) {
	failed := failedNode(err)
	t.order.Lock()
	if !t.closed {
		t.end(err, failed)
	}
	t.order.Unlock()
	t.timers.Wait()
}

// failedNode returns the id of the node that err blames. Errors of nodes are foreign
// code.
func failedNode(err error) (id string) {
	if err == nil {
		return ""
	}
	_ = Protect(func() error {
		if e := (*NodeError)(nil); errors.As(err, &e) && !errors.Is(err, ErrInterrupted) {
			id = e.UniqueID
		}
		return nil
	})
	return id
}

func (t *Tracker) end(err error, failed string) {
	if err != nil {
		t.drop(failed)
	}
	t.sendLate()
	if t.dirty {
		t.snapshot()
	}
	if err == nil && t.overall.Load() {
		t.mu.Lock()
		number, due := t.shares.rest()
		t.mu.Unlock()
		t.tellOverall(number, due)
	}
	t.closed = true
	if t.timer != nil && t.timer.Stop() {
		t.timers.Done()
	}
}

// drop marks the node that failed, and takes the others that still run out of the
// snapshots.
func (t *Tracker) drop(failed string) {
	kept := t.shown[:0]
	for _, n := range t.shown {
		switch node := t.node(int(n)); {
		case node.phase != phaseRunning:
		case t.place(int(n)).UniqueID == failed:
			node.phase = phaseFailed
			t.dirty = true
		default:
			t.dirty = true
			continue
		}
		kept = append(kept, n)
	}
	t.shown = kept
}

// node returns the state of node n. It is valid until the next call.
func (t *Tracker) node(n int) *trackedNode {
	for n >= len(t.nodes) {
		t.nodes = append(t.nodes, trackedNode{})
	}
	return &t.nodes[n]
}

func (t *Tracker) place(n int) Place {
	if n < len(t.job.Prompt.Nodes) {
		id := t.job.Prompt.Nodes[n].ID
		return Place{UniqueID: id, DisplayID: id, RealID: id}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.added[n-len(t.job.Prompt.Nodes)]
}

// show sets the phase of a node. Snapshots contain the node from its first phase on.
func (t *Tracker) show(n int, at Place, phase nodePhase) *trackedNode {
	node := t.node(n)
	if node.phase == phaseNone {
		node.max = 1
		t.shown = append(t.shown, int32(n))
		t.size += stateSize + 2*len(at.UniqueID) + len(at.DisplayID) + len(at.ParentID) + len(at.RealID) + len(t.job.Prompt.ID)
	}
	node.phase = phase
	return node
}
