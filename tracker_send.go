package nodebus

import "time"

const (
	snapshotBudget = 160 << 10 // bytes; enough to send every change of a graph of about 30 nodes
	snapshotRate   = 4 << 10   // bytes that the budget gains in a millisecond
	snapshotPause  = 50 * time.Millisecond
	stepsAtOnce    = 1000 // progress events that are sent before the tracker holds them back
)

// changed sends a snapshot if the budget allows it; otherwise the timer sends one
// later.
func (t *Tracker) changed() {
	if t.dirty = true; t.budget <= 0 {
		t.arm()
		return
	}
	t.budget -= t.size
	t.snapshot()
}

func (t *Tracker) snapshot() {
	t.dirty = false
	s := &snapshot{shown: t.shown, ids: t.ids, size: t.size}
	if s.marks = s.few[:]; len(s.shown) > len(s.few) {
		s.marks = make([]nodeMark, len(s.shown))
	}
	for k, n := range s.shown {
		node := &t.nodes[n]
		if s.marks[k] = node.mark; node.mark&stepped != 0 {
			s.steps = append(s.steps, t.steps[node.step-1])
		}
	}
	t.mu.Lock()
	s.added = t.added
	t.mu.Unlock()
	_ = t.publish(ProgressState{PromptID: t.job.Prompt.ID, shared: s})
}

// arm starts the timer, unless the timer runs. The timer fires when the budget is large
// enough for the next snapshot.
func (t *Tracker) arm() {
	if t.timer != nil || t.closed {
		return
	}
	pay := time.Duration(max(t.size, -t.budget)) * time.Millisecond / snapshotRate
	t.timers.Add(1)
	t.timer = time.AfterFunc(max(pay, snapshotPause), t.tick)
}

// tick sends the events that were held back. If no event was held back, nothing has
// changed since the last tick, and the full budget is available again.
func (t *Tracker) tick() {
	defer t.timers.Done()
	t.order.Lock()
	defer t.order.Unlock()
	t.timer = nil
	if t.closed {
		return
	}
	if !t.dirty && t.held == 0 {
		t.budget, t.atOnce = snapshotBudget, stepsAtOnce
		return
	}
	t.sendLate()
	if t.dirty {
		t.budget = -t.size
		t.snapshot()
	}
	t.arm()
}

// sendLate sends the progress events that were held back.
func (t *Tracker) sendLate() {
	for _, n := range t.late {
		if t.node(int(n)).late {
			t.sendStep(int(n))
		}
	}
	t.late = t.late[:0]
}

func (t *Tracker) sendStep(n int) {
	t.node(n).late = false
	t.held--
	_ = t.publish(t.progress(n))
}

// publish sends a payload that the tracker has made. Nothing else can change the
// payload, so the event is Frozen.
func (t *Tracker) publish(p Payload) error { return t.send(p, true) }

func (t *Tracker) send(p Payload, frozen bool) error {
	ev := Event{PromptID: t.job.Prompt.ID, To: t.job.Prompt.ClientID, Attempt: t.job.Attempt, Payload: p, Frozen: frozen}
	return Protect(func() error { return t.pub.Publish(ev) })
}

// earn counts value out of max of node n's share as done, and publishes an Overall if
// the number has grown enough.
func (t *Tracker) earn(n int, value, max float64, reports bool) {
	if !t.overall.Load() {
		return
	}
	part := 0.0
	if max > 0 {
		part = value / max
	}
	t.mu.Lock()
	number, due := t.shares.earn(n, part, reports)
	t.mu.Unlock()
	t.tellOverall(number, due)
}

func (t *Tracker) tellOverall(number float64, due bool) {
	if due {
		_ = t.publish(Overall{PromptID: t.job.Prompt.ID, Value: number})
	}
}

// shares computes how much of a prompt is done, as one number. When the prompt begins,
// each node that has to run gets an equal share of the whole. A running node may need
// more nodes, because it asks for a lazy input or makes nodes. The new nodes and the
// running node then divide the rest of the running node's share. The sum of all shares
// is always 1, and a part that is done stays done. So the number never decreases,
// however much the graph grows.
type shares struct {
	done   float64
	told   float64 // the number that was published last
	byNode []share // shorter than the number of nodes until it is needed
}

// share is the part of the prompt that a node counts for, and the part of it that is
// done.
type share struct {
	part, earned float64
	reports      bool // the node reports progress, so new nodes take nothing from its share
}

// overallStep is the growth of the number after which it is published again. It limits
// the number of events of a prompt of any size.
const overallStep = 0.01

func (s *shares) at(n int) *share {
	for n >= len(s.byNode) {
		s.byNode = append(s.byNode, share{})
	}
	return &s.byNode[n]
}

// divide gives nodes a share of the rest of by's share. A negative by means the prompt.
func (s *shares) divide(by int, nodes []int) {
	left, among := 1.0, len(nodes)
	if by >= 0 {
		of := s.at(by)
		if of.reports || len(nodes) == 0 {
			return
		}
		left = of.part - of.earned
		among++ // by keeps a part for its own remaining work
		of.part = of.earned + left/float64(among)
	}
	for _, n := range nodes {
		*s.at(n) = share{part: left / float64(among)}
	}
}

// earn counts a part of a node's share, from 0 to 1, as done. due is true if the number
// must be published.
func (s *shares) earn(n int, part float64, reports bool) (number float64, due bool) {
	of := s.at(n)
	of.reports = of.reports || reports
	if e := of.part * min(part, 1); e > of.earned {
		s.done += e - of.earned
		of.earned = e
	}
	if s.done < s.told+overallStep {
		return 0, false
	}
	s.told = min(s.done, 1) // the sum of many shares has a rounding error
	return s.told, true
}

// rest counts everything that is left as done.
func (s *shares) rest() (number float64, due bool) {
	due = s.told < 1
	s.told = 1
	return 1, due
}
