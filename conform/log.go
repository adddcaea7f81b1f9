package conform

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
)

// Log tests a [nodebus.Log] against its contract, alone and with two hubs that share it.
// fresh returns an empty log for each test. It must have room for 5000 events and 4 MiB,
// and keep them for a minute. If the log is a [nodebus.FlushingLog] or a
// [nodebus.RememberingLog], the suite tests that, too. A test that uses random numbers logs its
// seed.
func Log(t *testing.T, fresh func(t *testing.T) nodebus.Log) {
	tests := map[string]func(*testing.T, nodebus.Log){
		"followers receive every event once, in order": logDelivers,
		"a follower begins exactly at its place":       logFollowsExactly,
		"a follower stops":                             logFollowerStops,
		"a delivered event can be read":                logReadsDelivered,
		"events survive":                               logKeepsEvents,
		"a query selects by client, prompt and place":  logSelects,
		"pages have limits, and are complete":          logPages,
		"a newer state may replace an older one":       logCoalesces,
		"lost events are reported":                     logReportsLosses,
		"nothing follows the end of a prompt":          logEndsPrompts,
		"nothing follows from an older attempt":        logFencesAttempts,
		"Drop forgets a prompt":                        logDrops,
		"all methods may be called at once":            logIsConcurrent,
		"Closed remembers which prompts have ended":    logRemembers,
		"random calls agree with a model":              logAgreesWithModel,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
	for name, test := range hubTests {
		t.Run(name, func(t *testing.T) {
			l := fresh(t)
			test(t, logs{l, l})
		})
	}
	t.Run("events are stored after Flush", func(t *testing.T) {
		l := fresh(t)
		flushes(t, logs{l, l})
	})
}

func logDelivers(t *testing.T, l nodebus.Log) {
	h := follow(t, l)
	if c, err := nodebus.ParseCursor(h.at.String()); err != nil || c != h.at || h.at.Epoch == "" {
		t.Fatalf("Follow returned %+v, which has no text: %v", h.at, err)
	}
	other := follow(t, l)
	events := mixture()
	got := h.add(t, l, events...)
	last := h.at.ID
	for i, ev := range got {
		if describe(ev) != describe(events[i]) {
			t.Errorf("event %d is %s, want %s", i, describe(ev), describe(events[i]))
		}
		if ev.ID <= last || ev.Epoch != h.at.Epoch || ev.Time.IsZero() {
			t.Errorf("event %d has the ID %d (the ID before is %d), the epoch %q (want %q) and the time %v", i, ev.ID, last, ev.Epoch, h.at.Epoch, ev.Time)
		}
		last = ev.ID
	}
	equal(t, "another follower", describeAll(other.await(t, len(events))), describeAll(got))
}

// logFollowsExactly begins to follow while other goroutines append.
func logFollowsExactly(t *testing.T, l nodebus.Log) {
	const writers, each, late = 4, 200, 20
	all := follow(t, l)
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for n := range each {
				if err := l.Append(about(fmt.Sprint(w), mark{fmt.Sprint(w), n})); err != nil {
					t.Errorf("Append: %v", err)
				}
			}
		})
	}
	var followers []*heard
	for n := range late {
		all.await(t, n*writers*each/late)
		h := follow(t, l)
		if n%3 == 2 {
			h.stop()
		}
		followers = append(followers, h)
	}
	within(t, "appending", writing.Wait)
	events := all.await(t, writers*each)
	next := map[string]int{}
	for _, ev := range events {
		if want := body(mark{ev.PromptID, next[ev.PromptID]}); body(ev.Payload) != want {
			t.Fatalf("event %d is %s, want %s", ev.ID, body(ev.Payload), want)
		}
		next[ev.PromptID]++
	}
	if !slices.IsSortedFunc(events, byID) {
		t.Error("the events are not in the order of their IDs")
	}
	for n, h := range followers {
		due := events
		for len(due) > 0 && due[0].ID <= h.at.ID {
			due = due[1:]
		}
		if n%3 == 2 { // it has stopped somewhere
			got := h.await(t, 0)
			equal(t, "a follower that has stopped", describeAll(got), describeAll(due[:min(len(got), len(due))]))
			continue
		}
		equal(t, fmt.Sprintf("the follower from %s", h.at), describeAll(h.await(t, len(due))), describeAll(due))
	}
}

func logFollowerStops(t *testing.T, l nodebus.Log) {
	stays, stops := follow(t, l), follow(t, l)
	before := stays.add(t, l, about("1", mark{"before", 0}))
	stops.await(t, 1)
	within(t, "stopping a follower", stops.stop)
	after := stays.add(t, l, about("1", mark{"after", 1}), ending("1"))
	equal(t, "the follower that has stopped", describeAll(stops.await(t, 1)), describeAll(before))
	if again := follow(t, l); again.at.ID < after[1].ID {
		t.Errorf("a new follower begins at %d, although the newest event is %d", again.at.ID, after[1].ID)
	}
}

// logReadsDelivered reads each event as soon as it is delivered.
func logReadsDelivered(t *testing.T, l nodebus.Log) {
	const n = 200
	told := make(chan uint64, n)
	_, stop, err := l.Follow(func(ev nodebus.Event) { told <- ev.ID })
	if err != nil {
		t.Fatalf("Follow: %v", err)
	}
	defer stop()
	go func() {
		for i := range n {
			if err := l.Append(about("1", mark{"x", i})); err != nil {
				t.Errorf("Append: %v", err)
			}
		}
	}()
	within(t, "reading", func() {
		for i := range n {
			id := <-told
			page, err := l.Read(nodebus.LogQuery{Prompts: []string{"1"}, UpTo: id})
			if err != nil || len(page.Events) != i+1 || page.Events[i].ID != id {
				t.Errorf("event %d was delivered; Read up to it returns %d events, want %d (%v)", id, len(page.Events), i+1, err)
				return
			}
		}
	})
}

func logKeepsEvents(t *testing.T, l nodebus.Log) {
	h := follow(t, l)
	var want []string
	var last uint64
	for _, ev := range h.add(t, l, mixture()...) {
		if last = ev.ID; ev.PromptID != "" {
			want = append(want, fmt.Sprintf("%d %s %s %v", ev.ID, ev.Epoch, describe(ev), ev.Time.UnixMilli()))
		}
	}
	var got []string
	for _, ev := range read(t, l, nodebus.LogQuery{All: true, UpTo: last}).Events {
		got = append(got, fmt.Sprintf("%d %s %s %v", ev.ID, ev.Epoch, describe(ev), ev.Time.UnixMilli()))
	}
	equal(t, "Read", got, want)
}

// logEndsPrompts checks what may follow the end of a prompt.
func logEndsPrompts(t *testing.T, l nodebus.Log) {
	h := follow(t, l)
	refused := func(evs ...nodebus.Event) {
		t.Helper()
		for _, ev := range evs {
			if err := l.Append(ev); !errors.Is(err, nodebus.ErrClosed) {
				t.Errorf("after the end of the prompt: Append %s returned %v, want ErrClosed", describe(ev), err)
			}
		}
	}
	late := []nodebus.Event{
		about("1", mark{"late", 1}), ending("1"), about("1", nodebus.Executing{UniqueID: "5", PromptID: "1"}),
		{PromptID: "1", To: "bob", Payload: level{Name: "late"}},
		{PromptID: "1", Payload: nodebus.Custom{Type: "99", Data: []byte{1}}},
		about("1", nodebus.ExecutionError{PromptID: "1", ExceptionType: nodebus.ExecutionBlocked}),
	}
	h.add(t, l, beginning("1"), about("1", mark{"x", 1}), nodebus.Event{Broadcast: true, Payload: nodebus.Executing{}},
		about("1", nodebus.Executing{UniqueID: "5", PromptID: "1"}), about("1", nodebus.ExecutionSuccess{PromptID: "1"}), ending("1"))
	refused(late...)
	h.add(t, l, about("2", mark{"of another prompt", 1}), nodebus.Event{To: "ann", Payload: mark{"of no prompt", 1}},
		beginning("1"), about("1", mark{"again", 1}), ending("1"))
	for _, outcome := range []nodebus.Payload{
		nodebus.ExecutionInterrupted{PromptID: "1"}, nodebus.ExecutionError{PromptID: "1"}, nodebus.ExecutionSuccess{PromptID: "1"},
	} {
		refused(late...)
		h.add(t, l, about("1", outcome), about("1", mark{"after the outcome", 1}), ending("1"))
	}
	refused(late...)
	events := h.await(t, 0)
	kept := read(t, l, nodebus.LogQuery{Prompts: []string{"1"}, UpTo: events[len(events)-1].ID})
	if n := len(kept.Events); n == 0 || kept.Events[n-1].ID != events[len(events)-1].ID {
		t.Errorf("the newest event of the prompt is %d; Read returns %v", events[len(events)-1].ID, describeAll(kept.Events))
	}
}

// logFencesAttempts checks that an attempt says nothing after a newer attempt has begun.
func logFencesAttempts(t *testing.T, l nodebus.Log) {
	h := follow(t, l)
	of := func(attempt int, ev nodebus.Event) nodebus.Event {
		ev.Attempt = attempt
		return ev
	}
	refused := func(evs ...nodebus.Event) {
		t.Helper()
		for _, ev := range evs {
			if err := l.Append(ev); !errors.Is(err, nodebus.ErrClosed) {
				t.Errorf("after a newer attempt has begun: Append %s of attempt %d returned %v, want ErrClosed", describe(ev), ev.Attempt, err)
			}
		}
	}
	evs := h.add(t, l, of(1, beginning("1")), of(1, about("1", mark{"x", 1})), of(2, beginning("1")), of(1, about("2", mark{"of another prompt", 1})))
	refused(of(1, beginning("1")), of(1, about("1", mark{"late", 1})), of(1, ending("1")))
	evs = append(evs, h.add(t, l, of(0, about("1", mark{"of no attempt", 1})), of(2, about("1", mark{"x", 2})), of(2, ending("1")),
		of(1, beginning("1")), of(1, about("1", mark{"again", 1})))...)
	events := h.await(t, len(evs))
	equal(t, "the follower", describeAll(events), describeAll(evs))
	kept := read(t, l, nodebus.LogQuery{Prompts: []string{"1"}, UpTo: events[len(events)-1].ID}).Events
	equal(t, "Read", describeAll(kept[max(len(kept)-2, 0):]), describeAll(evs[len(evs)-2:]))
}

func logDrops(t *testing.T, l nodebus.Log) {
	h := follow(t, l)
	evs := h.add(t, l, beginning("1"), about("2", mark{"stays", 1}), ending("1"), beginning("running"))
	for _, id := range []string{"1", "running", "unknown", "1"} {
		if err := l.Drop(id); err != nil {
			t.Errorf("Drop %q: %v", id, err)
		}
	}
	all := nodebus.LogQuery{All: true, Own: true, Client: "ann", UpTo: evs[3].ID}
	equal(t, "after Drop", describeAll(read(t, l, all).Events), describeAll(evs[1:2]))
	evs = append(evs, h.add(t, l, about("1", mark{"without a start", 1}), about("running", mark{"goes on", 1}))...)
	all.UpTo = evs[5].ID
	equal(t, "after Drop and Append", describeAll(read(t, l, all).Events), describeAll([]nodebus.Event{evs[1], evs[4], evs[5]}))
}
