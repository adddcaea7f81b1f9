package conform_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
)

// faultyLog is a log with one fault.
type faultyLog struct {
	nodebus.Log
	hear      func(deliver func(nodebus.Event)) func(nodebus.Event) // changes what followers receive
	query     func(*nodebus.LogQuery)
	page      func(nodebus.LogQuery, *nodebus.LogPage)
	place     uint64 // Follow returns a place that is later by place
	reopens   bool   // an event after the end of a prompt begins the prompt again
	undropped bool   // Drop does nothing
	unstopped bool   // a follower never stops
	unfenced  bool   // the log does not know of attempts
}

func logMutant(fault faultyLog) func(*testing.T) {
	return func(t *testing.T) {
		conform.Log(t, func(*testing.T) nodebus.Log {
			l := fault
			l.Log = nodebus.NewMemoryLog(nil)
			return l
		})
	}
}

func (l faultyLog) Append(ev nodebus.Event) error {
	if l.unfenced {
		ev.Attempt = 0
	}
	err := l.Log.Append(ev)
	if l.reopens && errors.Is(err, nodebus.ErrClosed) {
		return nil
	}
	return err
}

func (l faultyLog) Read(q nodebus.LogQuery) (nodebus.LogPage, error) {
	if l.query != nil {
		l.query(&q)
	}
	page, err := l.Log.Read(q)
	if l.page != nil {
		l.page(q, &page)
	}
	return page, err
}

func (l faultyLog) Follow(deliver func(nodebus.Event)) (nodebus.Cursor, func(), error) {
	if l.hear != nil {
		deliver = l.hear(deliver)
	}
	at, stop, err := l.Log.Follow(deliver)
	at.ID += l.place
	if l.unstopped {
		stop = func() {}
	}
	return at, stop, err
}

func (l faultyLog) Drop(promptID string) error {
	if l.undropped {
		return nil
	}
	return l.Log.Drop(promptID)
}

// reorders delivers each second event before the event before it.
func reorders(deliver func(nodebus.Event)) func(nodebus.Event) {
	var before *nodebus.Event
	return func(ev nodebus.Event) {
		if before == nil {
			before = &ev
			return
		}
		deliver(ev)
		deliver(*before)
		before = nil
	}
}

func losesSome(deliver func(nodebus.Event)) func(nodebus.Event) {
	return func(ev nodebus.Event) {
		if ev.ID%7 != 6 {
			deliver(ev)
		}
	}
}

func doubles(deliver func(nodebus.Event)) func(nodebus.Event) {
	return func(ev nodebus.Event) {
		deliver(ev)
		if ev.ID%7 == 6 {
			deliver(ev)
		}
	}
}

// atOnce delivers events from a goroutine for each event.
func atOnce(deliver func(nodebus.Event)) func(nodebus.Event) {
	var first sync.WaitGroup
	first.Add(2)
	return func(ev nodebus.Event) {
		go func() {
			if ev.ID <= 2 {
				first.Done()
				first.Wait()
			}
			deliver(ev)
		}()
	}
}

func withoutAttempt(deliver func(nodebus.Event)) func(nodebus.Event) {
	return func(ev nodebus.Event) {
		ev.Attempt = 0
		deliver(ev)
	}
}

// mixesUpClients lets a newer state of a client replace a state of another client.
func mixesUpClients(_ nodebus.LogQuery, page *nodebus.LogPage) {
	newest := map[string]uint64{}
	key := func(ev nodebus.Event) string {
		c, ok := ev.Payload.(nodebus.Coalescer)
		if !ok {
			return ""
		}
		return ev.PromptID + ev.Payload.EventType() + c.CoalesceKey()
	}
	for _, ev := range page.Events {
		newest[key(ev)] = ev.ID
	}
	var kept []nodebus.Event
	for _, ev := range page.Events {
		if k := key(ev); k == "" || newest[k] == ev.ID {
			kept = append(kept, ev)
		}
	}
	page.Events = kept
}
