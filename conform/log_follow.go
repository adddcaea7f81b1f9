package conform

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
)

// mark is an event that no other event replaces.
type mark struct {
	From string
	N    int
}

func (mark) EventType() string { return "conform.mark" }

// level is an event that a newer level of the same name replaces.
type level struct {
	Name string
	N    int
	Pad  []string
}

func (level) EventType() string     { return "conform.level" }
func (l level) CoalesceKey() string { return l.Name }

// heard collects the events that a log delivers to a follower.
type heard struct {
	at   nodebus.Cursor
	stop func()

	mu      sync.Mutex
	events  []nodebus.Event
	inside  bool
	twice   bool          // deliver was called for two events at the same time
	changed chan struct{} // closed at the next event
}

// follow makes a follower that stops at the end of the test.
func follow(t *testing.T, l nodebus.Log) *heard {
	t.Helper()
	h := &heard{changed: make(chan struct{})}
	var err error
	if h.at, h.stop, err = l.Follow(h.deliver); err != nil {
		t.Fatalf("Follow: %v", err)
	}
	h.stop = sync.OnceFunc(h.stop)
	t.Cleanup(h.stop)
	return h
}

func (h *heard) deliver(ev nodebus.Event) {
	h.enter()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.inside = false
	h.events = append(h.events, ev)
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *heard) enter() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.twice = h.twice || h.inside
	h.inside = true
}

// await waits for n events and returns all events so far.
func (h *heard) await(t *testing.T, n int) []nodebus.Event {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		h.mu.Lock()
		events, changed, twice := slices.Clone(h.events), h.changed, h.twice
		h.mu.Unlock()
		if twice {
			t.Fatal("the log has called a follower for two events at the same time")
		}
		if len(events) >= n {
			return events
		}
		select {
		case <-changed:
		case <-late.C:
			t.Fatalf("a follower has received %d events, want %d", len(events), n)
		}
	}
}

// add appends events, and returns them as h receives them.
func (h *heard) add(t *testing.T, l nodebus.Log, evs ...nodebus.Event) []nodebus.Event {
	t.Helper()
	h.mu.Lock()
	n := len(h.events)
	h.mu.Unlock()
	for _, ev := range evs {
		if err := l.Append(ev); err != nil {
			t.Fatalf("Append %s: %v", describe(ev), err)
		}
	}
	return h.await(t, n+len(evs))[n:]
}

// read reads all events that q selects, without a limit.
func read(t *testing.T, l nodebus.Log, q nodebus.LogQuery) nodebus.LogPage {
	t.Helper()
	page, err := l.Read(q)
	if err != nil {
		t.Fatalf("Read %+v: %v", q, err)
	}
	if q.Limit == 0 && q.LimitBytes == 0 && page.More {
		t.Fatalf("Read %+v: More is true, although the query has no limit", q)
	}
	return page
}

// body returns what clients receive of a payload.
func body(p nodebus.Payload) string {
	f, err := nodebus.JSON.Encode(nodebus.Event{Payload: p})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%t %s", f.Binary, f.Data)
}

// describe returns what must survive in a log: the receivers and the payload.
func describe(ev nodebus.Event) string {
	return fmt.Sprintf("prompt=%q to=%q everyone=%t attempt=%d %s", ev.PromptID, ev.To, ev.Broadcast, ev.Attempt, body(ev.Payload))
}

// describeAll describes events together with their IDs.
func describeAll(events []nodebus.Event) (all []string) {
	for _, ev := range events {
		all = append(all, fmt.Sprintf("%d %s", ev.ID, describe(ev)))
	}
	return all
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Fatalf("%s: event %d is %.200q, want %.200q (%d events, want %d)", what, i, g, w, len(got), len(want))
		}
	}
}

// about returns an event of a prompt that client "ann" submitted.
func about(promptID string, p nodebus.Payload) nodebus.Event {
	return nodebus.Event{PromptID: promptID, To: "ann", Payload: p}
}

func beginning(id string) nodebus.Event { return about(id, nodebus.ExecutionStart{PromptID: id}) }
func ending(id string) nodebus.Event    { return about(id, nodebus.Executing{PromptID: id}) }

// mixture returns events with all kinds of receivers and payloads.
func mixture() []nodebus.Event {
	place := nodebus.Place{UniqueID: "5"}
	return []nodebus.Event{
		beginning("mix"),
		about("mix", nodebus.ExecutionCached{Nodes: []string{"1", "2"}, PromptID: "mix"}),
		about("mix", nodebus.Executing{UniqueID: "5", DisplayID: "5", PromptID: "mix"}),
		about("mix", nodebus.Progress{Value: 1, Max: 2.5, PromptID: "mix", UniqueID: "5"}),
		about("mix", nodebus.Preview{Place: place.WithDefaults(), PromptID: "mix", ImageType: "image/png", Image: pixel}),
		about("mix", nodebus.ProgressText{UniqueID: "5", Text: "half\n☃"}),
		about("mix", mark{"typed", 1}),
		about("mix", nodebus.Custom{Type: "conform.custom", Data: map[string]any{"a": []any{1.5, "\u2028<&>", nil}}}),
		about("mix", nodebus.Custom{Type: "99", Data: []byte{0, '\n', 0xff}}),
		about("mix", nodebus.NodeDone{PromptID: "mix"}),
		about("mix", nodebus.Executed{Place: place, Output: nodebus.Text("a", "b"), PromptID: "mix"}),
		{PromptID: "mix", Payload: mark{"of nobody", 2}},
		{PromptID: "mix", To: "bob", Attempt: 3, Payload: mark{"for another client", 3}},
		{To: "bob", Payload: mark{"without a prompt", 4}},
		{Broadcast: true, Payload: mark{"for everyone", 5}},
		about("mix", nodebus.ExecutionError{PromptID: "mix", NodeID: "5", ExceptionMessage: "no"}),
		ending("mix"),
	}
}

func byID(a, b nodebus.Event) int { return cmp.Compare(a.ID, b.ID) }
