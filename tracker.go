package nodebus

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// Tracker publishes the events about the nodes of one prompt for an [Executor]:
// [ExecutionCached], [Executing], [Progress], [ProgressState], [Executed] and
// [Overall].
//
// A tracker identifies nodes by number. The numbers from 0 to len(job.Prompt.Nodes)-1
// are the nodes of the prompt. [Tracker.Add] returns the number of a node that was made
// at run time.
//
// A ProgressState lists all nodes that have begun. If the tracker sent one for every
// change, the cost would grow with the square of the number of nodes. The tracker
// therefore has a budget for snapshots, in bytes, and another budget for progress
// events. A change within the budget is sent at once. A change beyond the budget is
// sent later, and only the newest state is sent. The last state is always sent.
//
// The tracker guarantees the order of the events of a prompt. It therefore holds a lock
// while it calls Publish, and the other calls wait. Publish must not call the tracker,
// and must not wait for a node of the prompt. There are three exceptions:
// [Tracker.Executed] holds no lock while it calls Publish, and [Tracker.Add] and
// [Tracker.Expect] do not wait for a Publish.
//
// A Tracker is safe for concurrent use. Whoever makes a Tracker must call
// [Tracker.Close].
type Tracker struct {
	job     *Job
	ids     []string // of the nodes of the prompt, by number
	pub     Publisher
	overall atomic.Bool // Expect was called

	// order is held while an event is published. It guards what follows.
	order  sync.Mutex
	nodes  []trackedNode // by number; shorter than the number of nodes until it is needed
	steps  []step        // the progress of the nodes that reported it
	shown  []int32       // the nodes of snapshots, in the order in which they began; see snapshot
	size   int           // estimated size of a snapshot, in bytes
	budget int           // remaining budget for snapshots, in bytes; negative after a large snapshot
	atOnce int           // remaining number of progress events that may be sent at once
	dirty  bool          // the state has changed since the last snapshot
	late   []int32       // nodes whose progress event was held back since the last tick
	held   int           // how many of these events are still to be sent
	timer  *time.Timer   // runs while something is held back or a budget recovers
	timers sync.WaitGroup
	closed bool

	// mu is held only briefly, and never while an event is published. It is locked
	// after order, or alone.
	mu     sync.Mutex
	added  []Place // the nodes made at run time; see snapshot
	shares shares
}

// trackedNode is the state of one node.
type trackedNode struct {
	step int32 // index in Tracker.steps plus one, once the node has reported progress
	mark nodeMark
	open bool // the node may report progress
	late bool // a progress event is held back
}

// NewTracker returns a tracker that publishes the events of job's prompt to pub. The
// prompt must not change while the tracker is in use.
func NewTracker(job *Job, pub Publisher) *Tracker {
	t := &Tracker{
		job: job, pub: pub, budget: snapshotBudget, atOnce: stepsAtOnce,
		ids:   make([]string, len(job.Prompt.Nodes)),
		nodes: make([]trackedNode, len(job.Prompt.Nodes)),
		shown: make([]int32, 0, len(job.Prompt.Nodes)),
	}
	for i := range t.ids {
		t.ids[i] = job.Prompt.Nodes[i].ID
	}
	return t
}

// Add registers a node that was made at run time and returns its number. It does not
// wait for Publish.
func (t *Tracker) Add(at Place) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.added = append(t.added, at.WithDefaults())
	return len(t.ids) + len(t.added) - 1
}

// Expect reports that nodes will run because node by needs them. A negative by means
// the prompt itself. The first call enables [Overall] events, at most about a hundred
// for each prompt. Nodes that were not expected do not count. Without a call of Expect
// the tracker publishes no Overall. Expect does not wait for Publish.
func (t *Tracker) Expect(by int, nodes ...int) {
	t.overall.Store(true)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shares.divide(by, nodes)
}

// Cached publishes the ids of the nodes whose results were known before the prompt
// began. Call it once, before any other event. If an executor does not call it, the
// engine publishes an empty list.
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

// Begin publishes that node n runs. After Begin, the node may report progress.
func (t *Tracker) Begin(n int) {
	t.order.Lock()
	defer t.order.Unlock()
	if t.closed {
		return
	}
	at := t.place(n)
	t.show(n, at, phaseRunning).open = true
	t.executing(at)
}

// Resume publishes that node n continues after it has waited. If the node has ended in
// the meantime, Resume publishes nothing and returns false. This happens when a
// goroutine that the node left behind has waited.
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

// Progress publishes how far node n is, at once or later; see [Tracker]. Numbers outside
// of 0 ≤ value ≤ max become the nearest limit, and a negative max becomes 0. A report with
// a number that is not finite is ignored. It returns [ErrClosed] if the node does not run.
// If the event is sent at once, Progress returns the error of Publish.
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
	if node.step == 0 {
		t.steps = append(t.steps, step{})
		node.step = int32(len(t.steps))
	}
	node.mark |= stepped
	at := step{value, max}.clamped()
	t.steps[node.step-1] = at
	t.changed()
	t.earn(n, at.value, at.max, true)
	if t.atOnce--; t.atOnce >= 0 {
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
	at := t.steps[t.node(n).step-1]
	return Progress{Value: at.value, Max: at.max, PromptID: t.job.Prompt.ID, UniqueID: t.place(n).UniqueID}
}

// Quiet ends the progress of node n before the node ends: it sends the progress event
// that was held back, and later calls of Progress return [ErrClosed]. An executor calls
// it when the node's code has returned but its result is not complete.
// [Tracker.Executed] and [Tracker.Finish] do the same.
func (t *Tracker) Quiet(n int) {
	t.order.Lock()
	defer t.order.Unlock()
	t.quiet(n)
}

func (t *Tracker) quiet(n int) {
	node := t.node(n)
	node.open = false
	if node.late && !t.closed {
		t.sendStep(n) // the error is lost: Progress has already returned
	}
}

// Executed publishes what node n shows. ui is nil for a cached node that shows nothing.
// It returns an [*EncodeError] if ui cannot be encoded, [ErrClosed] after Close, or
// another error of Publish.
//
// The tracker holds no lock while it publishes, because encoding ui may call code of
// the node.
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

// Finish publishes that node n is done. A call of Begin is not necessary before: a node
// with a cached result never begins.
func (t *Tracker) Finish(n int) {
	t.order.Lock()
	defer t.order.Unlock()
	if t.closed {
		return
	}
	t.quiet(n)
	t.finish(n)
	t.changed()
	t.earn(n, 1, 1, false)
}

// Close publishes the last snapshot and waits until nothing of the tracker runs any
// more. Only a call of Executed that is already in Publish may end later. Calls after
// Close publish nothing.
//
// err is the reason why the prompt ended early; nil means that the prompt succeeded. A
// [*NodeError] in err names the node that failed, unless err is [ErrInterrupted]. The
// last snapshot does not contain nodes that still run.
func (t *Tracker) Close(err error) {
	failed := failedNode(err)
	t.order.Lock()
	if !t.closed {
		t.end(err, failed)
	}
	t.order.Unlock()
	t.timers.Wait()
}

// failedNode returns the id of the node that err names as failed. It uses Protect
// because the methods of err may be code of a node.
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

// drop marks the node that failed and removes the other nodes that still run from the
// snapshots.
func (t *Tracker) drop(failed string) {
	kept := make([]int32, 0, len(t.shown)) // snapshots share t.shown
	for _, n := range t.shown {
		switch node := t.node(int(n)); {
		case node.mark&anyPhase != phaseRunning:
		case t.place(int(n)).UniqueID == failed:
			node.mark = node.mark&stepped | phaseFailed
			t.dirty = true
		default:
			t.dirty = true
			continue
		}
		kept = append(kept, n)
	}
	t.shown = kept
}

// node returns the state of node n. The pointer is valid until the next call of node.
func (t *Tracker) node(n int) *trackedNode {
	for n >= len(t.nodes) {
		t.nodes = append(t.nodes, trackedNode{})
	}
	return &t.nodes[n]
}

func (t *Tracker) place(n int) Place {
	if n < len(t.ids) {
		id := t.ids[n]
		return Place{UniqueID: id, DisplayID: id, RealID: id}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.added[n-len(t.ids)]
}

// finish shows node n as done. If the node has reported progress, its last report now says
// that all is done.
func (t *Tracker) finish(n int) {
	reported := t.node(n).mark & stepped
	node := t.show(n, t.place(n), phaseFinished)
	if node.mark |= reported; reported != 0 {
		at := &t.steps[node.step-1]
		at.value = at.max
	}
}

// show sets the phase of a node and adds the node to the snapshots if it is new. The node
// has no progress yet.
func (t *Tracker) show(n int, at Place, phase nodeMark) *trackedNode {
	node := t.node(n)
	if node.mark == phaseNone {
		t.shown = append(t.shown, int32(n))
		t.size += at.sizeState(t.job.Prompt.ID)
	}
	node.mark = phase
	return node
}
