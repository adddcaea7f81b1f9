package conform_test

import (
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
)

func TestLogs(t *testing.T) {
	for name, open := range map[string]func() (a, b nodebus.Log){
		"one log twice": func() (a, b nodebus.Log) {
			l := nodebus.NewMemoryLog(nil)
			return l, l
		},
		"two memories": func() (a, b nodebus.Log) { return newTwins(twinFaults{}) },
	} {
		t.Run(name, func(t *testing.T) { conform.Logs(t, func(*testing.T) (a, b nodebus.Log) { return open() }) })
	}
}

// twinFaults are what the memories of two processes do wrong.
type twinFaults struct {
	deaf     uint64 // the second one leaves out each event whose ID has this remainder by 8
	shifts   bool   // the second one gives the events other IDs
	forgets  bool   // the second one does not know when prompts end
	separate bool   // each has its own epoch
}

// twins are the memories of two processes, which add the same events in the same order.
type twins struct {
	twinFaults
	mu     sync.Mutex
	last   uint64
	caches [2]*nodebus.LogCache
}

type twin struct {
	*nodebus.LogCache
	both *twins
}

func newTwins(faults twinFaults) (a, b nodebus.Log) {
	t := &twins{twinFaults: faults}
	for i := range t.caches {
		epoch := "twins"
		if faults.separate && i == 1 {
			epoch = "other"
		}
		t.caches[i] = nodebus.NewLogCache(nodebus.Cursor{Epoch: epoch}, nil)
	}
	return &twin{t.caches[0], t}, &twin{t.caches[1], t}
}

// Append implements [nodebus.Log].
func (l *twin) Append(ev nodebus.Event) error {
	t := l.both
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := l.Check(ev); err != nil {
		return err
	}
	t.last++
	ev.ID, ev.Time = t.last, time.Now()
	first := t.caches[0].Add(ev)
	// A cache shares what the hub knows about the event, so the other one has an event of its own.
	ev = nodebus.Event{
		ID: ev.ID, Time: ev.Time, PromptID: ev.PromptID, To: ev.To, Broadcast: ev.Broadcast, Attempt: ev.Attempt, Payload: ev.Payload, Frozen: ev.Frozen,
	}
	if t.deaf > 0 && t.last%8 == t.deaf {
		return first
	}
	if t.shifts {
		ev.ID++
	}
	if _, ends := ev.Payload.(nodebus.Executing); ends && t.forgets {
		ev.PromptID = ""
	}
	second := t.caches[1].Add(ev)
	if l.LogCache == t.caches[0] {
		return first
	}
	return second
}

// Follow implements [nodebus.Log]. It waits until both have what one of them has.
func (l *twin) Follow(f func(nodebus.Event)) (nodebus.Cursor, func(), error) {
	l.both.mu.Lock()
	defer l.both.mu.Unlock()
	return l.LogCache.Follow(f)
}

// logsMutant runs the suite on twins with faults.
func logsMutant(faults twinFaults) func(*testing.T) {
	return func(t *testing.T) {
		conform.Logs(t, func(*testing.T) (a, b nodebus.Log) { return newTwins(faults) })
	}
}
