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

// LogReopens tests that a [nodebus.Log] outlives its process. open returns a new, empty log
// with the limits that [Log] needs, and a function that closes the log and opens a log with
// the same events, as the next process does. Nobody follows or uses the first log after that.
// For a log in memory, reopen returns the log itself.
//
// A log that is opened again may have no previews; these are no losses. It may have another epoch. Then it has all events, too, and a
// client with an older cursor receives a gap and all of them.
func LogReopens(t *testing.T, open func(t *testing.T) (l nodebus.Log, reopen func() nodebus.Log)) {
	for name, test := range map[string]func(t *testing.T, l nodebus.Log, reopen func() nodebus.Log){
		"events are as they were":                    reopenEvents,
		"IDs go on":                                  reopenIDs,
		"prompts that have ended stay ended":         reopenEnds,
		"prompts that run go on":                     reopenRunning,
		"losses are reported":                        reopenLosses,
		"Drop holds":                                 reopenDrops,
		"Closed remembers which prompts have ended":  reopenRemembers,
		"random calls agree with a model":            reopenAgrees,
		"hubs: a cursor goes on":                     reopenResumes,
		"hubs: a cursor goes on while others follow": reopenResumesAnywhere,
		"hubs: running prompts are replayed":         reopenReplays,
	} {
		t.Run(name, func(t *testing.T) {
			l, reopen := open(t)
			test(t, l, reopen)
		})
	}
}

// everything selects all events of the tests.
func everything(t *testing.T, l nodebus.Log) (all []nodebus.Event) {
	t.Helper()
	for _, client := range []string{"ann", "bob"} {
		all = append(all, read(t, l, nodebus.LogQuery{Own: true, Client: client, All: true, UpTo: 1 << 62}).Events...)
	}
	slices.SortFunc(all, byID)
	return slices.CompactFunc(all, func(a, b nodebus.Event) bool { return a.ID == b.ID })
}

// still returns the events that a log must have after it was opened again: all of events,
// except for previews that it has lost.
func still(t *testing.T, l nodebus.Log, events []nodebus.Event) (all []nodebus.Event) {
	t.Helper()
	has := map[uint64]bool{}
	for _, ev := range everything(t, l) {
		has[ev.ID] = true
	}
	for _, ev := range events {
		if _, ok := ev.Payload.(nodebus.Preview); !ok || has[ev.ID] {
			all = append(all, ev)
		}
	}
	return all
}

// describeKept describes what an event keeps when the log is opened again.
func describeKept(events []nodebus.Event) (all []string) {
	for _, ev := range events {
		all = append(all, fmt.Sprintf("%d at %d: %s", ev.ID, ev.Time.UnixMilli(), describe(ev)))
	}
	return all
}

func reopenEvents(t *testing.T, l nodebus.Log, reopen func() nodebus.Log) {
	h := follow(t, l)
	h.add(t, l, mixture()...)
	h.add(t, l, beginning("runs"), about("runs", level{Name: "x", N: 1, Pad: []string{"pad"}}), about("runs", nodebus.Custom{Type: "7", Data: []byte{}}),
		nodebus.Event{PromptID: "runs", To: "bob", Attempt: 2, Payload: nodebus.TextPiece{PromptID: "runs", Piece: "☃"}})
	h.stop()
	want := everything(t, l)
	for range 2 {
		l = reopen()
		got := everything(t, l)
		want = still(t, l, want)
		equal(t, "after reopening", describeKept(got), describeKept(want))
		h = follow(t, l)
		for _, ev := range got {
			if ev.Epoch != h.at.Epoch {
				t.Fatalf("after reopening, event %d has the epoch %q, but the log has %q", ev.ID, ev.Epoch, h.at.Epoch)
			}
		}
		h.stop()
	}
}

func reopenIDs(t *testing.T, l nodebus.Log, reopen func() nodebus.Log) {
	last := uint64(0)
	for n := range 4 {
		h := follow(t, l)
		if h.at.ID < last {
			t.Errorf("after reopening, a follower begins at %d; the newest ID was %d", h.at.ID, last)
		}
		id := fmt.Sprint(n)
		for _, ev := range h.add(t, l, beginning(id), about(id, mark{"x", n}), ending(id)) {
			if ev.ID <= last {
				t.Fatalf("an event after reopening has the ID %d; the newest ID before was %d", ev.ID, last)
			}
			last = ev.ID
		}
		h.stop()
		if n%2 == 1 {
			drop(t, l, id) // the newest event
		}
		l = reopen()
	}
}

func drop(t *testing.T, l nodebus.Log, id string) {
	t.Helper()
	if err := l.Drop(id); err != nil {
		t.Fatalf("Drop %q: %v", id, err)
	}
}

func reopenEnds(t *testing.T, l nodebus.Log, reopen func() nodebus.Log) {
	h := follow(t, l)
	h.add(t, l, beginning("1"), ending("1"), beginning("2"), about("2", nodebus.ExecutionSuccess{PromptID: "2"}), ending("2"), ending("silent"))
	h.stop()
	l = reopen()
	h = follow(t, l)
	for _, id := range []string{"1", "2", "silent"} {
		for _, ev := range []nodebus.Event{about(id, mark{"late", 1}), ending(id), {PromptID: id, To: "bob", Payload: level{Name: "late"}}} {
			if err := l.Append(ev); !errors.Is(err, nodebus.ErrClosed) {
				t.Errorf("the prompt had ended before reopening: Append %s returned %v, want ErrClosed", describe(ev), err)
			}
		}
	}
	h.add(t, l, beginning("1"), about("1", mark{"again", 1}), about("2", nodebus.ExecutionInterrupted{PromptID: "2"}), about("2", mark{"again", 2}))
}

func reopenRunning(t *testing.T, l nodebus.Log, reopen func() nodebus.Log) {
	of := func(attempt int, ev nodebus.Event) nodebus.Event {
		ev.Attempt = attempt
		return ev
	}
	h := follow(t, l)
	evs := h.add(t, l, of(1, beginning("1")), of(1, about("1", mark{"x", 1})), of(2, beginning("1")), beginning("2"))
	h.stop()
	l = reopen()
	h = follow(t, l)
	for _, ev := range []nodebus.Event{of(1, beginning("1")), of(1, about("1", mark{"late", 1})), of(1, ending("1"))} {
		if err := l.Append(ev); !errors.Is(err, nodebus.ErrClosed) {
			t.Errorf("a newer attempt had begun before reopening: Append %s of attempt %d returned %v, want ErrClosed", describe(ev), ev.Attempt, err)
		}
	}
	evs = append(evs, h.add(t, l, of(2, about("1", mark{"x", 2})), of(3, beginning("1")), of(3, ending("1")), about("2", mark{"goes on", 1}))...)
	equal(t, "the prompts", describeAll(everything(t, l)), describeAll(evs))
}

func reopenLosses(t *testing.T, l nodebus.Log, reopen func() nodebus.Log) {
	h := follow(t, l)
	evs := h.add(t, l,
		about("1", mark{"x", 0}), about("2", mark{"x", 1}), about("1", mark{"x", 2}),
		nodebus.Event{PromptID: "1", To: "bob", Payload: mark{"x", 3}}, about("2", mark{"x", 4}))
	h.stop()
	drop(t, l, "1")
	l = reopen()
	for name, c := range map[string]struct {
		q    nodebus.LogQuery
		want int // index of the newest lost event
	}{
		"the prompt": {nodebus.LogQuery{Prompts: []string{"1"}}, 3},
		"all":        {nodebus.LogQuery{All: true}, 3},
		"ann's own":  {nodebus.LogQuery{Own: true, Client: "ann"}, 2},
		"bob's own":  {nodebus.LogQuery{Own: true, Client: "bob"}, 3},
	} {
		for after := -1; after < len(evs); after++ {
			q := c.q
			q.After, q.UpTo = place(h, evs, after), evs[len(evs)-1].ID
			lost := read(t, l, q).Lost
			switch {
			case c.want > after && lost < evs[c.want].ID:
				t.Errorf("%s, after reopening: after event %d, Lost is %d, but event %d is lost (%+v)", name, q.After, lost, evs[c.want].ID, q)
			case lost != 0 && (lost <= q.After || lost > q.UpTo):
				t.Errorf("%s, after reopening: Lost is %d, which the query does not select (%+v)", name, lost, q)
			}
		}
	}
}

func reopenDrops(t *testing.T, l nodebus.Log, reopen func() nodebus.Log) {
	h := follow(t, l)
	evs := h.add(t, l, beginning("1"), about("2", mark{"stays", 1}), ending("1"), beginning("running"))
	h.stop()
	drop(t, l, "1")
	drop(t, l, "running")
	l = reopen()
	equal(t, "after Drop and reopening", describeAll(everything(t, l)), describeAll(evs[1:2]))
	h = follow(t, l)
	evs = append(evs[1:2], h.add(t, l, about("1", mark{"without a start", 1}), about("running", mark{"goes on", 1}))...)
	equal(t, "after Drop, reopening and Append", describeAll(everything(t, l)), describeAll(evs))
}

// reopenAgrees makes the calls of the model, and opens the log again now and then.
func reopenAgrees(t *testing.T, l nodebus.Log, reopen func() nodebus.Log) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := newLogCase(t, l, seed)
	for range 1000 {
		switch n := c.rnd.IntN(100); {
		case n < 60:
			c.append()
		case n < 92:
			c.read()
		case n < 97:
			c.drop()
		default:
			c.trace = append(c.trace, "reopen")
			c.h.stop()
			c.l = reopen()
			c.h, c.before = follow(t, c.l), len(c.m.events)
		}
		if t.Failed() {
			t.Fatalf("seed %d; the calls:\n%s", seed, strings.Join(c.trace, "\n"))
		}
	}
}
