package conform

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
)

// model is a simple model of a log: a list of all events, with the payloads that were
// appended, and the rules.
type model struct {
	events  []nodebus.Event
	dropped map[uint64]bool // events that Drop has removed
	free    map[uint64]bool // events of a prompt that has begun again; the log may keep them
	over    map[string]bool // prompts that have ended
	attempt map[string]int  // the newest attempt of each prompt, 0 if unknown
	loses   bool            // Drop was called, or a prompt has begun again
}

// append adds an event that the log has accepted.
func (m *model) append(ev nodebus.Event) {
	if ev.PromptID != "" {
		if m.over[ev.PromptID] {
			for _, o := range m.events {
				m.free[o.ID] = m.free[o.ID] || o.PromptID == ev.PromptID
			}
			m.loses = true
			m.attempt[ev.PromptID] = 0
		}
		m.attempt[ev.PromptID] = max(m.attempt[ev.PromptID], ev.Attempt)
		end, ok := ev.Payload.(nodebus.Executing)
		m.over[ev.PromptID] = ok && end.UniqueID == ""
	}
	m.events = append(m.events, ev)
}

func (m *model) drop(promptID string) {
	for _, o := range m.events {
		if o.PromptID == promptID {
			m.dropped[o.ID] = true
			m.loses = true
		}
	}
	delete(m.over, promptID)
	delete(m.attempt, promptID)
}

// refuses reports whether the log must refuse ev.
func (m *model) refuses(ev nodebus.Event, begins bool) bool {
	if m.over[ev.PromptID] {
		return !begins
	}
	return ev.Attempt > 0 && ev.Attempt < m.attempt[ev.PromptID]
}

// key returns the key under which a newer event may replace ev.
func key(ev nodebus.Event) string {
	if c, ok := ev.Payload.(nodebus.Coalescer); ok {
		return strings.Join([]string{ev.Payload.EventType(), ev.PromptID, ev.To, c.CoalesceKey()}, "\x00")
	}
	return ""
}

// selects reports whether q selects ev.
func selects(q nodebus.LogQuery, ev nodebus.Event) bool {
	switch {
	case ev.ID <= q.After || ev.ID > q.UpTo:
		return false
	case q.Own && ev.PromptID == "" && ev.To == "", q.Own && ev.To != "" && ev.To == q.Client:
		return true
	}
	return ev.PromptID != "" && (q.All || slices.Contains(q.Prompts, ev.PromptID))
}

// check compares a page without a limit with the model.
func (m *model) check(q nodebus.LogQuery, page nodebus.LogPage) error {
	newest := map[string]uint64{}
	for _, ev := range m.events {
		if k := key(ev); k != "" {
			newest[k] = ev.ID
		}
	}
	got := page.Events
	for _, ev := range m.events {
		if !selects(q, ev) {
			continue
		}
		if len(got) > 0 && got[0].ID == ev.ID {
			if describe(got[0]) != describe(ev) {
				return fmt.Errorf("event %d is %s, want %s", ev.ID, describe(got[0]), describe(ev))
			}
			if m.dropped[ev.ID] {
				return fmt.Errorf("event %d is kept, although its prompt was dropped", ev.ID)
			}
			got = got[1:]
			continue
		}
		if k := key(ev); k != "" && newest[k] > ev.ID {
			continue // a newer state has replaced the event
		}
		if !m.dropped[ev.ID] && !m.free[ev.ID] {
			return fmt.Errorf("event %d is missing: %s", ev.ID, describe(ev))
		}
		if page.Lost < ev.ID {
			return fmt.Errorf("event %d is lost, but Lost is %d", ev.ID, page.Lost)
		}
	}
	if len(got) > 0 {
		return fmt.Errorf("the page has %s, which the query does not select, or out of order", describeAll(got[:1]))
	}
	if page.Lost != 0 && (!m.loses || page.Lost <= q.After || page.Lost > q.UpTo) {
		return fmt.Errorf("the page says Lost %d; events after %d and up to %d were read, anything was lost: %t", page.Lost, q.After, q.UpTo, m.loses)
	}
	return nil
}

// logCase makes random calls.
type logCase struct {
	t     *testing.T
	rnd   *rand.Rand
	l     nodebus.Log
	m     model
	h     *heard
	n     int
	trace []string

	before int // number of the events before h began
}

func newLogCase(t *testing.T, l nodebus.Log, seed uint64) *logCase {
	c := &logCase{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), l: l, h: follow(t, l)}
	c.m = model{dropped: map[uint64]bool{}, free: map[uint64]bool{}, over: map[string]bool{}, attempt: map[string]int{}}
	return c
}

// logAgreesWithModel makes random calls and compares the results with the model. The
// calls of a seed are always the same.
func logAgreesWithModel(t *testing.T, l nodebus.Log) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := newLogCase(t, l, seed)
	for range 1000 {
		switch n := c.rnd.IntN(20); {
		case n < 12:
			c.append()
		case n < 19:
			c.read()
		default:
			c.drop()
		}
		if t.Failed() {
			t.Fatalf("seed %d; the calls:\n%s", seed, strings.Join(c.trace, "\n"))
		}
	}
}

func (c *logCase) append() {
	c.n++
	ev := nodebus.Event{PromptID: c.prompt(), To: []string{"", "ann", "bob"}[c.rnd.IntN(3)], Attempt: c.rnd.IntN(3)}
	if c.rnd.IntN(4) == 0 {
		ev.PromptID, ev.Attempt = "", 0
	}
	ev.Broadcast = ev.PromptID == "" && ev.To == ""
	begins := false
	switch n := c.rnd.IntN(12); {
	case n < 4:
		ev.Payload = level{Name: fmt.Sprint(c.rnd.IntN(3)), N: c.n}
	case n < 8:
		ev.Payload = mark{"x", c.n}
	case n < 9:
		ev.Payload = nodebus.Custom{Type: "99", Data: []byte(fmt.Sprint(c.n))}
	case n < 10:
		ev.Payload = nodebus.Executing{PromptID: ev.PromptID}
	case n < 11:
		begins, ev.Payload = true, nodebus.ExecutionStart{PromptID: ev.PromptID, Timestamp: int64(c.n)}
	default:
		begins, ev.Payload = true, nodebus.ExecutionSuccess{PromptID: ev.PromptID, Timestamp: int64(c.n)}
	}
	c.trace = append(c.trace, "append "+describe(ev))
	err := c.l.Append(ev)
	if c.m.refuses(ev, begins) {
		if !errors.Is(err, nodebus.ErrClosed) {
			c.t.Errorf("the prompt has ended, or a newer attempt has begun, but Append returned %v", err)
		}
		return
	}
	if err != nil {
		c.t.Errorf("Append: %v", err)
		return
	}
	want := len(c.m.events) - c.before + 1
	all := c.h.await(c.t, want)
	got := all[len(all)-1]
	if len(all) != want || describe(got) != describe(ev) {
		c.t.Errorf("the follower has received %d events, want %d; the newest is %s", len(all), want, describe(got))
	}
	ev.ID = got.ID
	c.m.append(ev)
}

func (c *logCase) prompt() string { return fmt.Sprint("p", c.rnd.IntN(4)) }

func (c *logCase) drop() {
	id := c.prompt()
	c.trace = append(c.trace, "drop "+id)
	if err := c.l.Drop(id); err != nil {
		c.t.Errorf("Drop: %v", err)
	}
	c.m.drop(id)
}

func (c *logCase) read() {
	q := nodebus.LogQuery{
		Own: c.rnd.IntN(2) == 0, Client: []string{"", "ann", "bob", "eve"}[c.rnd.IntN(4)], All: c.rnd.IntN(4) == 0,
		UpTo: 1 << 62,
	}
	for c.rnd.IntN(2) == 0 {
		q.Prompts = append(q.Prompts, c.prompt())
	}
	if n := len(c.m.events); n > 0 {
		q.After = c.m.events[c.rnd.IntN(n)].ID
		if c.rnd.IntN(2) == 0 {
			q.UpTo = c.m.events[c.rnd.IntN(n)].ID
		}
	}
	if c.rnd.IntN(3) == 0 {
		q.After = c.h.at.ID
	}
	c.trace = append(c.trace, fmt.Sprintf("read %+v", q))
	whole := read(c.t, c.l, q)
	if err := c.m.check(q, whole); err != nil {
		c.t.Error(err)
	}
	q.Limit = 1 + c.rnd.IntN(5)
	page := read(c.t, c.l, q)
	due := min(q.Limit, len(whole.Events))
	equal(c.t, "the first page", describeAll(page.Events), describeAll(whole.Events[:due]))
	if page.More != (due < len(whole.Events)) {
		c.t.Errorf("More is %t, but %d of %d events were read (%+v)", page.More, due, len(whole.Events), q)
	}
}
