package conform_test

import (
	"cmp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
)

// reopenMutant is a log in memory that has a fault when it is opened again: change may change
// the events, or leave them out.
func reopenMutant(epoch string, change func(all []nodebus.Event) []nodebus.Event) func(*testing.T) {
	return func(t *testing.T) {
		conform.LogReopens(t, func(t *testing.T) (nodebus.Log, func() nodebus.Log) {
			l := &reopened{LogCache: nodebus.NewLogCache(nodebus.Cursor{Epoch: "first"}, nil)}
			return l, func() nodebus.Log {
				l = l.again(t, epoch, change)
				return l
			}
		})
	}
}

// reopened is a log whose events can be copied to another log.
type reopened struct {
	*nodebus.LogCache
	mu   sync.Mutex
	all  []nodebus.Event
	last uint64
}

// Append implements [nodebus.Log].
func (l *reopened) Append(ev nodebus.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ev.ID, ev.Time = l.last+1, time.Now()
	if err := l.Add(ev); err != nil {
		ev.ID = 0 // the ID was used, but there is no event
		l.last++
		return err
	}
	l.last++
	l.all = append(l.all, nodebus.Event{
		ID: ev.ID, Time: ev.Time, PromptID: ev.PromptID, To: ev.To, Broadcast: ev.Broadcast, Attempt: ev.Attempt, Payload: ev.Payload,
	})
	return nil
}

// Drop implements [nodebus.Log].
func (l *reopened) Drop(promptID string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.all {
		if l.all[i].PromptID == promptID {
			l.all[i].Payload = nil
		}
	}
	return l.LogCache.Drop(promptID)
}

// again returns a log with the events that change returns. An event without a payload was
// dropped.
func (l *reopened) again(t *testing.T, epoch string, change func([]nodebus.Event) []nodebus.Event) *reopened {
	next := &reopened{LogCache: nodebus.NewLogCache(nodebus.Cursor{Epoch: epoch}, nil), last: l.last}
	all := slices.Clone(l.all)
	if change != nil {
		all = change(all)
	}
	for _, ev := range all {
		if dropped := ev.Payload == nil; dropped {
			ev.Payload = nodebus.ExecutionSuccess{}
			_ = next.Add(ev)
			_ = next.LogCache.Drop(ev.PromptID)
			continue
		}
		if err := next.Add(ev); err != nil {
			t.Logf("copying event %d: %v", ev.ID, err)
		}
		next.last = max(next.last, ev.ID)
	}
	next.all = l.all
	return next
}

// changing changes each event; an event without an ID is left out.
func changing(change func(ev nodebus.Event) nodebus.Event) func([]nodebus.Event) []nodebus.Event {
	return func(all []nodebus.Event) (changed []nodebus.Event) {
		for _, ev := range all {
			if ev = change(ev); ev.ID != 0 {
				changed = append(changed, ev)
			}
		}
		return changed
	}
}

func unless(leaveOut func(ev nodebus.Event) bool) func([]nodebus.Event) []nodebus.Event {
	return changing(func(ev nodebus.Event) nodebus.Event {
		if leaveOut(ev) {
			ev.ID = 0
		}
		return ev
	})
}

// testReopensIDs opens a log that has its events, and gives their IDs again.
func testReopensIDs(t *testing.T) {
	conform.LogReopens(t, func(t *testing.T) (nodebus.Log, func() nodebus.Log) {
		l := &reopened{LogCache: nodebus.NewLogCache(nodebus.Cursor{Epoch: "first"}, nil)}
		return l, func() nodebus.Log {
			l = l.again(t, "first", func(all []nodebus.Event) []nodebus.Event {
				return slices.DeleteFunc(all, func(ev nodebus.Event) bool { return ev.Payload == nil })
			})
			l.last = 0
			if n := len(l.all); n > 0 && l.all[n-1].Payload != nil {
				l.last = l.all[n-1].ID
			}
			return l
		}
	})
}

// reopenMutants are logs with one fault each, which appears when they are opened again.
var reopenMutants = map[string]found{
	"reopened log: is empty":        {"after reopening: event 0 is", reopenMutant("first", func([]nodebus.Event) []nodebus.Event { return nil })},
	"reopened log: gives IDs again": {"after reopening", testReopensIDs},
	"reopened log: forgets times": {"after reopening: event", reopenMutant("first", changing(func(ev nodebus.Event) nodebus.Event {
		ev.Time = ev.Time.Add(time.Second)
		return ev
	}))},
	"reopened log: forgets attempts": {"attempt=3", reopenMutant("first", changing(func(ev nodebus.Event) nodebus.Event {
		ev.Attempt = 0
		return ev
	}))},
	"reopened log: forgets addresses": {"prompts_that_run", reopenMutant("first", changing(func(ev nodebus.Event) nodebus.Event {
		ev.To = cmp.Or(ev.To[:min(1, len(ev.To))], ev.To)
		return ev
	}))},
	"reopened log: forgets ends": {"had ended before reopening", reopenMutant("first", unless(func(ev nodebus.Event) bool {
		e, ok := ev.Payload.(nodebus.Executing)
		return ok && e.UniqueID == ""
	}))},
	"reopened log: forgets binary events": {"after reopening: event", reopenMutant("first", unless(func(ev nodebus.Event) bool {
		c, ok := ev.Payload.(nodebus.Custom)
		return ok && c.Type == "99"
	}))},
	"reopened log: forgets losses": {"is lost", reopenMutant("first", unless(func(ev nodebus.Event) bool { return ev.Payload == nil }))},
	"reopened log: brings back what was dropped": {"after Drop and reopening", reopenMutant("first", changing(func(ev nodebus.Event) nodebus.Event {
		if ev.Payload == nil {
			ev.Payload = nodebus.Custom{Type: "conform.mark", Data: map[string]any{}}
		}
		return ev
	}))},
	"reopened log: renumbers its events": {"after reopening", reopenMutant("first", changing(func(ev nodebus.Event) nodebus.Event {
		ev.ID += 100
		return ev
	}))},
	"reopened log: doubles an event": {"after reopening", reopenMutant("first", func(all []nodebus.Event) []nodebus.Event {
		if n := len(all); n > 0 && all[n-1].Payload != nil {
			ev := all[n-1]
			ev.ID++
			all = append(all, ev)
		}
		return all
	})},
	"reopened log: forgets what runs": {"prompts_that_run", reopenMutant("first", func(all []nodebus.Event) []nodebus.Event {
		over := map[string]bool{"": true}
		for _, ev := range all {
			e, ok := ev.Payload.(nodebus.Executing)
			over[ev.PromptID] = over[ev.PromptID] || ok && e.UniqueID == ""
		}
		return slices.DeleteFunc(all, func(ev nodebus.Event) bool { return !over[ev.PromptID] })
	})},
}

// TestReopenedMutantsWork runs the suite on the log of the mutants without a fault, and with
// a new epoch, which is no fault.
func TestReopenedMutantsWork(t *testing.T) {
	for _, epoch := range []string{"first", "second"} {
		t.Run(epoch, reopenMutant(epoch, nil))
	}
}
