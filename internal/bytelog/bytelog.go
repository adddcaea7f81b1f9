// Package bytelog is a log for tests. It works as a log on another machine does: it
// keeps bytes, not values, and a goroutine calls each follower some time after Append
// has returned.
package bytelog

import (
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// Log is a [nodebus.Log]. Its methods search all events, because they need not be fast.
type Log struct {
	// Keep limits the kept events; the oldest events are dropped first. 0 means no limit.
	// Do not change it after the first Append.
	Keep int

	epoch string

	mu        sync.Mutex
	last      uint64
	entries   []entry
	lost      []entry // without their data
	over      map[string]bool
	attempts  map[string]int // the newest attempt of each prompt
	followers []*follower
}

// entry is an event as it is stored.
type entry struct {
	id           uint64
	at           int64 // Unix nanoseconds
	promptID, to string
	attempt      int
	key          string // empty: no newer event replaces the event
	binary       bool
	data         []byte // the JSON, or the binary frame
}

// New returns an empty log.
func New() *Log {
	return &Log{epoch: strings.ToLower(rand.Text()[:10]), over: map[string]bool{}, attempts: map[string]int{}}
}

// Append implements [nodebus.Log].
func (l *Log) Append(ev nodebus.Event) error {
	f, err := nodebus.JSON.Encode(ev)
	if err != nil {
		return err
	}
	e := entry{promptID: ev.PromptID, to: ev.To, attempt: ev.Attempt, binary: f.Binary, data: f.Data}
	if c, ok := ev.Payload.(nodebus.Coalescer); ok {
		e.key = strings.Join([]string{f.Type, ev.PromptID, ev.To, c.CoalesceKey()}, "\x00")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if ev.PromptID != "" {
		if l.over[ev.PromptID] && !begins(ev.Payload) {
			return nodebus.ErrClosed
		}
		if l.over[ev.PromptID] {
			delete(l.attempts, ev.PromptID)
		}
		if ev.Attempt > 0 {
			if ev.Attempt < l.attempts[ev.PromptID] {
				return nodebus.ErrClosed
			}
			l.attempts[ev.PromptID] = ev.Attempt
		}
		end, ok := ev.Payload.(nodebus.Executing)
		l.over[ev.PromptID] = ok && end.UniqueID == ""
	}
	l.last++
	e.id, e.at = l.last, time.Now().UnixNano()
	if e.key != "" {
		l.entries = slices.DeleteFunc(l.entries, func(o entry) bool { return o.key == e.key })
	}
	l.entries = append(l.entries, e)
	if n := len(l.entries) - l.Keep; l.Keep > 0 && n > 0 {
		l.lose(l.entries[:n])
		l.entries = slices.Delete(l.entries, 0, n)
	}
	for _, f := range l.followers {
		f.add(e)
	}
	return nil
}

// begins reports whether p may be the first event of a prompt that has ended.
func begins(p nodebus.Payload) bool {
	switch p := p.(type) {
	case nodebus.ExecutionStart, nodebus.ExecutionSuccess, nodebus.ExecutionInterrupted:
		return true
	case nodebus.ExecutionError:
		return p.ExceptionType != nodebus.ExecutionBlocked
	}
	return false
}

// lose records dropped events.
func (l *Log) lose(dropped []entry) {
	for _, e := range dropped {
		e.data = nil
		l.lost = append(l.lost, e)
	}
}

// Read implements [nodebus.Log].
func (l *Log) Read(q nodebus.LogQuery) (page nodebus.LogPage, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.lost {
		if selects(&q, &e) {
			page.Lost = max(page.Lost, e.id)
		}
	}
	bytes := 0
	for _, e := range l.entries {
		if !selects(&q, &e) {
			continue
		}
		bytes += len(e.data)
		n := len(page.Events)
		if n > 0 && (q.Limit > 0 && n >= q.Limit || q.LimitBytes > 0 && bytes > q.LimitBytes) {
			page.More = true
			break
		}
		page.Events = append(page.Events, l.event(e))
	}
	return page, nil
}

func selects(q *nodebus.LogQuery, e *entry) bool {
	if e.id <= q.After || e.id > q.UpTo {
		return false
	}
	if q.Own && (e.to != "" && e.to == q.Client || e.to == "" && e.promptID == "") {
		return true
	}
	return e.promptID != "" && (q.All || slices.Contains(q.Prompts, e.promptID))
}

// event decodes an event.
func (l *Log) event(e entry) nodebus.Event {
	ev, err := nodebus.JSON.Decode(nodebus.Frame{Binary: e.binary, Data: slices.Clone(e.data)})
	if err != nil {
		panic(err) // Append has encoded it
	}
	ev.ID, ev.Epoch, ev.Time = e.id, l.epoch, time.Unix(0, e.at)
	ev.PromptID, ev.To, ev.Broadcast = e.promptID, e.to, e.promptID == "" && e.to == ""
	ev.Attempt = e.attempt
	return ev
}

// Follow implements [nodebus.Log].
func (l *Log) Follow(deliver func(nodebus.Event)) (nodebus.Cursor, func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &follower{log: l, deliver: deliver}
	l.followers = append(l.followers, f)
	return nodebus.Cursor{Epoch: l.epoch, ID: l.last}, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.followers = slices.DeleteFunc(slices.Clone(l.followers), func(o *follower) bool { return o == f })
	}, nil
}

// Drop implements [nodebus.Log].
func (l *Log) Drop(promptID string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = slices.DeleteFunc(l.entries, func(e entry) bool {
		if promptID == "" || e.promptID != promptID {
			return false
		}
		l.lose([]entry{e})
		return true
	})
	delete(l.over, promptID)
	delete(l.attempts, promptID)
	return nil
}

// follower holds the events that were not yet delivered. Its goroutine runs only while
// there are such events. It delivers them also after the follower has stopped, as events
// that were on the way.
type follower struct {
	log     *Log
	deliver func(nodebus.Event)

	mu      sync.Mutex
	waiting []entry
	active  bool
}

func (f *follower) add(e entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(f.waiting, e)
	if !f.active {
		f.active = true
		go f.run()
	}
}

func (f *follower) run() {
	for {
		f.mu.Lock()
		due := f.waiting
		f.waiting = nil
		f.active = len(due) > 0
		f.mu.Unlock()
		if len(due) == 0 {
			return
		}
		for _, e := range due {
			f.deliver(f.log.event(e))
		}
	}
}
