package conform_test

import (
	"context"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/flow"
)

// knowingQueue is a [flow.SharedQueue] and a [flow.ExpiringQueue] that looks at its list.
type knowingQueue struct {
	flow.Queue
	faults knowingFaults
}

// knowingFaults are what a knowingQueue does wrong.
type knowingFaults struct {
	leased  bool // leased prompts count
	all     bool // most has no effect
	nothing bool // the largest priority of no prompt is 0
	early   bool // each deadline has passed
	never   bool // no deadline has passed
}

// LastPriority implements [flow.SharedQueue].
func (q knowingQueue) LastPriority(ctx context.Context, most float64) (float64, error) {
	last := math.Inf(-1)
	if q.faults.nothing {
		last = 0
	}
	for p, err := range q.List(ctx) {
		if err != nil {
			return 0, err
		}
		if at := p.Prompt.Priority; (!p.Leased || q.faults.leased) && (at <= most || q.faults.all) {
			last = max(last, at)
		}
	}
	return last, nil
}

// Expired implements [flow.ExpiringQueue].
func (q knowingQueue) Expired(ctx context.Context, now time.Time) (ids []string, err error) {
	for p, err := range q.List(ctx) {
		if err != nil {
			return nil, err
		}
		at := p.Prompt.Policy.Deadline
		if (!p.Leased || q.faults.leased) && !at.IsZero() && (at.Before(now) || q.faults.early) && !q.faults.never {
			ids = append(ids, p.Prompt.ID)
		}
	}
	return ids, nil
}

func knowingMutant(faults knowingFaults) func(*testing.T) {
	return queueMutant(func(q flow.Queue) flow.Queue { return knowingQueue{q, faults} })
}

// lateLog is a [nodebus.FlushingLog] and a [nodebus.RememberingLog] that stores its newest event
// a moment after Append has returned.
type lateLog struct {
	*nodebus.LogCache
	faults lateFaults

	mu      sync.Mutex
	last    uint64
	waiting *nodebus.Event
}

// lateFaults are what a lateLog does wrong.
type lateFaults struct {
	unflushed bool // Flush does nothing
	forgets   bool // no prompt has ended
	confuses  bool // all prompts have ended as soon as one has
	outcomes  bool // an outcome ends a prompt
}

func newLateLog(faults lateFaults) *lateLog {
	return &lateLog{LogCache: nodebus.NewLogCache(nodebus.Cursor{Epoch: "late"}, nil), faults: faults}
}

// Append implements [nodebus.Log].
func (l *lateLog) Append(ev nodebus.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.storeWaiting()
	if err := l.Check(ev); err != nil {
		return err
	}
	l.last++
	ev.ID, ev.Time = l.last, time.Now()
	l.waiting = &ev
	time.AfterFunc(time.Millisecond, l.store)
	return nil
}

// store stores the event that waits.
func (l *lateLog) store() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.storeWaiting()
}

// storeWaiting stores the event that waits. l.mu is held.
func (l *lateLog) storeWaiting() {
	if l.waiting != nil {
		_ = l.Add(*l.waiting) // Check has seen it
		l.waiting = nil
	}
}

// Drop implements [nodebus.Log].
func (l *lateLog) Drop(promptID string) error {
	l.store()
	return l.LogCache.Drop(promptID)
}

// Flush implements [nodebus.FlushingLog].
func (l *lateLog) Flush(context.Context) error {
	if !l.faults.unflushed {
		l.store()
	}
	return nil
}

// Closed implements [nodebus.RememberingLog].
func (l *lateLog) Closed(promptID string) bool {
	switch {
	case l.faults.forgets:
		return false
	case l.faults.confuses:
		return l.LogCache.Closed("1")
	case l.faults.outcomes:
		page, _ := l.Read(nodebus.LogQuery{Prompts: []string{promptID}, UpTo: 1 << 62})
		for _, ev := range page.Events {
			if _, success := ev.Payload.(nodebus.ExecutionSuccess); success {
				return true
			}
		}
	}
	return l.LogCache.Closed(promptID)
}

func lateMutant(faults lateFaults) func(*testing.T) {
	return func(t *testing.T) {
		conform.Log(t, func(*testing.T) nodebus.Log { return newLateLog(faults) })
	}
}

// optionalMutants have a fault in a method that a queue or a log may have.
var optionalMutants = map[string]found{
	"shared queue: counts leased":           {"five is leased: LastPriority", knowingMutant(knowingFaults{leased: true})},
	"shared queue: has no bound":            {"LastPriority up to 1e+299 is 1e+300", knowingMutant(knowingFaults{all: true})},
	"shared queue: begins at 0":             {"empty: LastPriority", knowingMutant(knowingFaults{nothing: true})},
	"expiring queue: names leased":          {"one is leased: Expired", knowingMutant(knowingFaults{leased: true})},
	"expiring queue: is early":              {"all wait: Expired", knowingMutant(knowingFaults{early: true})},
	"expiring queue: names nothing":         {"all wait: Expired", knowingMutant(knowingFaults{never: true})},
	"flushing log: does not flush":          {"after Flush, Read returns", lateMutant(lateFaults{unflushed: true})},
	"remembering log: forgets":              {"the prompt has ended: Closed", lateMutant(lateFaults{forgets: true})},
	"remembering log: mixes up prompts":     {"another prompt has ended: Closed", lateMutant(lateFaults{confuses: true})},
	"remembering log: ends with an outcome": {"the end is not: Closed", lateMutant(lateFaults{outcomes: true})},
	"reopened log: forgets what it remembered": {"after reopening: Closed", func(t *testing.T) {
		conform.LogReopens(t, func(*testing.T) (nodebus.Log, func() nodebus.Log) {
			l := newLateLog(lateFaults{})
			return l, func() nodebus.Log {
				l.store()
				l.faults.forgets = true
				return l
			}
		})
	}},
}

// TestOptionalMethods runs the suites on the queue and the log of the mutants without a fault.
func TestOptionalMethods(t *testing.T) {
	t.Run("queue", knowingMutant(knowingFaults{}))
	t.Run("log", lateMutant(lateFaults{}))
	t.Run("logs", func(t *testing.T) {
		conform.Logs(t, func(*testing.T) (a, b nodebus.Log) {
			l := newLateLog(lateFaults{})
			return l, l
		})
	})
}
