package conform

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
)

func logSelects(t *testing.T, l nodebus.Log) {
	h := follow(t, l)
	evs := h.add(t, l,
		about("1", mark{"ann's", 0}),
		nodebus.Event{PromptID: "2", To: "bob", Payload: mark{"bob's", 1}},
		nodebus.Event{PromptID: "2", To: "ann", Payload: mark{"of bob, for ann", 2}},
		nodebus.Event{PromptID: "3", Payload: mark{"nobody's", 3}},
		nodebus.Event{To: "ann", Payload: mark{"for ann", 4}},
		nodebus.Event{To: "bob", Payload: mark{"for bob", 5}},
		nodebus.Event{Broadcast: true, Payload: mark{"for everyone", 6}},
		about("1", mark{"ann's", 7}),
	)
	for name, c := range map[string]struct {
		q    nodebus.LogQuery
		want []int
	}{
		"nothing":                   {nodebus.LogQuery{}, nil},
		"a client without Own":      {nodebus.LogQuery{Client: "ann"}, nil},
		"ann's own":                 {nodebus.LogQuery{Own: true, Client: "ann"}, []int{0, 2, 4, 6, 7}},
		"bob's own":                 {nodebus.LogQuery{Own: true, Client: "bob"}, []int{1, 5, 6}},
		"a stranger's own":          {nodebus.LogQuery{Own: true, Client: "eve"}, []int{6}},
		"no client's own":           {nodebus.LogQuery{Own: true}, []int{6}},
		"a prompt":                  {nodebus.LogQuery{Prompts: []string{"2"}}, []int{1, 2}},
		"prompts, twice":            {nodebus.LogQuery{Prompts: []string{"3", "1", "3", "unknown"}}, []int{0, 3, 7}},
		"all prompts":               {nodebus.LogQuery{All: true}, []int{0, 1, 2, 3, 7}},
		"all, some and own at once": {nodebus.LogQuery{All: true, Prompts: []string{"1"}, Own: true, Client: "bob"}, []int{0, 1, 2, 3, 5, 6, 7}},
		"own and a prompt":          {nodebus.LogQuery{Prompts: []string{"3"}, Own: true, Client: "bob"}, []int{1, 3, 5, 6}},
	} {
		for after := -1; after < len(evs); after++ {
			for upTo := after; upTo < len(evs); upTo++ {
				q, want := c.q, []nodebus.Event(nil)
				q.After, q.UpTo = place(h, evs, after), place(h, evs, upTo)
				for _, i := range c.want {
					if i > after && i <= upTo {
						want = append(want, evs[i])
					}
				}
				page := read(t, l, q)
				equal(t, fmt.Sprintf("%s (%+v)", name, q), describeAll(page.Events), describeAll(want))
				if page.Lost != 0 {
					t.Errorf("%s: Lost is %d, but nothing is lost", name, page.Lost)
				}
			}
		}
	}
}

// place returns the ID of an event, or the place where h began for -1.
func place(h *heard, evs []nodebus.Event, i int) uint64 {
	if i < 0 {
		return h.at.ID
	}
	return evs[i].ID
}

func logPages(t *testing.T, l nodebus.Log) {
	h := follow(t, l)
	var evs []nodebus.Event
	for n := range 40 {
		p := nodebus.Custom{Type: "conform.page", Data: []any{n, strings.Repeat("x", 100*(n%5))}}
		evs = append(evs, nodebus.Event{PromptID: fmt.Sprint(n % 3), To: "ann", Payload: p})
	}
	evs = h.add(t, l, evs...)
	all := nodebus.LogQuery{Own: true, Client: "ann", All: true, UpTo: evs[len(evs)-1].ID}
	equal(t, "without a limit", describeAll(read(t, l, all).Events), describeAll(evs))
	for _, limit := range []int{0, 1, 2, 7, 39, 40, 41} {
		for _, limitBytes := range []int{0, 1, 600, 1500, 1 << 20} {
			what := fmt.Sprintf("pages of %d events and %d bytes", limit, limitBytes)
			q := all
			q.Limit, q.LimitBytes = limit, limitBytes
			var got []nodebus.Event
			for more := true; more; {
				page := read(t, l, q)
				n, size := len(page.Events), 0
				for _, ev := range page.Events {
					size += len(body(ev.Payload))
				}
				switch {
				case n == 0:
					t.Fatalf("%s: a page has no event after %d events", what, len(got))
				case limit > 0 && n > limit:
					t.Fatalf("%s: a page has %d events", what, n)
				case limitBytes > 0 && n > 1 && size > limitBytes+16*n:
					t.Fatalf("%s: a page has %d bytes", what, size)
				case limit > 0 && limitBytes == 1<<20 && n < limit && page.More:
					t.Fatalf("%s: a page has %d events, although more are left", what, n)
				}
				got = append(got, page.Events...)
				q.After, more = page.Events[n-1].ID, page.More
			}
			equal(t, what, describeAll(got), describeAll(evs))
		}
	}
}

// logCoalesces checks that the newest state is kept for each client and prompt. Whether
// older states are kept is up to the log.
func logCoalesces(t *testing.T, l nodebus.Log) {
	h := follow(t, l)
	to := func(promptID, to string, p nodebus.Payload) nodebus.Event {
		return nodebus.Event{PromptID: promptID, To: to, Broadcast: promptID == "" && to == "", Payload: p}
	}
	var evs []nodebus.Event
	for n := range 3 {
		for _, promptID := range []string{"", "1", "2"} {
			for _, client := range []string{"", "ann", "bob"} {
				evs = append(evs, to(promptID, client, level{Name: "x", N: n}), to(promptID, client, level{Name: "y", N: n}))
			}
		}
		evs = append(evs, about("1", nodebus.Progress{Value: float64(n), PromptID: "1", UniqueID: "5"}), about("1", mark{"between", n}))
	}
	for i, ev := range h.add(t, l, evs...) {
		evs[i].ID = ev.ID
	}
	m := model{events: evs}
	for _, q := range []nodebus.LogQuery{
		{Own: true, Client: "ann"}, {Own: true, Client: "bob"}, {Own: true}, {All: true}, {Prompts: []string{"2"}},
	} {
		for _, upTo := range []int{len(evs) - 1, len(evs) / 2} {
			q.UpTo = evs[upTo].ID
			if err := m.check(q, read(t, l, q)); err != nil {
				t.Errorf("%+v: %v", q, err)
			}
		}
	}
}

func logReportsLosses(t *testing.T, l nodebus.Log) {
	h := follow(t, l)
	evs := h.add(t, l,
		about("1", mark{"x", 0}), about("2", mark{"x", 1}), about("1", mark{"x", 2}),
		nodebus.Event{PromptID: "1", To: "bob", Payload: mark{"x", 3}}, about("2", mark{"x", 4}))
	if err := l.Drop("1"); err != nil {
		t.Fatalf("Drop: %v", err)
	}
	for name, c := range map[string]struct {
		q    nodebus.LogQuery
		want int // index of the newest lost event; -1: the query selects no lost event
	}{
		"the prompt":               {nodebus.LogQuery{Prompts: []string{"1"}}, 3},
		"all":                      {nodebus.LogQuery{All: true}, 3},
		"ann's own":                {nodebus.LogQuery{Own: true, Client: "ann"}, 2},
		"bob's own":                {nodebus.LogQuery{Own: true, Client: "bob"}, 3},
		"the prompt, for a client": {nodebus.LogQuery{Own: true, Client: "eve", Prompts: []string{"1"}}, 3},
		"one event a page":         {nodebus.LogQuery{All: true, Limit: 1}, 3},
	} {
		for after := -1; after < len(evs); after++ {
			q := c.q
			q.After, q.UpTo = place(h, evs, after), evs[len(evs)-1].ID
			lost := read(t, l, q).Lost
			switch {
			case c.want > after && lost < evs[c.want].ID:
				t.Errorf("%s: after event %d, Lost is %d, but event %d is lost (%+v)", name, q.After, lost, evs[c.want].ID, q)
			case lost != 0 && (lost <= q.After || lost > q.UpTo):
				t.Errorf("%s: Lost is %d, which the query does not select (%+v)", name, lost, q)
			case after == len(evs)-1 && lost != 0:
				t.Errorf("%s: Lost is %d, after the newest event", name, lost)
			}
		}
	}
}

// logIsConcurrent calls everything at once. The race detector finds what the checks do
// not find.
func logIsConcurrent(t *testing.T, l nodebus.Log) {
	const goroutines, each = 4, 100
	all := follow(t, l)
	var working sync.WaitGroup
	for g := range goroutines {
		id := fmt.Sprint(g)
		working.Go(func() {
			for n := range each {
				if err := l.Append(about(id, level{Name: fmt.Sprint(n % 5), N: n})); err != nil {
					t.Errorf("Append: %v", err)
				}
				if err := l.Append(nodebus.Event{Broadcast: true, Payload: mark{id, n}}); err != nil {
					t.Errorf("Append: %v", err)
				}
			}
		})
		working.Go(func() {
			for n := range each {
				q := nodebus.LogQuery{All: true, Own: true, Client: "ann", UpTo: 1 << 62, Limit: n}
				page, err := l.Read(q)
				if err != nil || !slices.IsSortedFunc(page.Events, byID) {
					t.Errorf("Read: %v, in order: %t", err, slices.IsSortedFunc(page.Events, byID))
				}
				if n%10 == 0 {
					if err := l.Drop(id); err != nil {
						t.Errorf("Drop: %v", err)
					}
				}
				_, stop, err := l.Follow(func(nodebus.Event) {})
				if err != nil {
					t.Errorf("Follow: %v", err)
					continue
				}
				stop()
			}
		})
	}
	within(t, "using the log from many goroutines", working.Wait)
	if events := all.await(t, 2*goroutines*each); len(events) != 2*goroutines*each || !slices.IsSortedFunc(events, byID) {
		t.Errorf("a follower has received %d events, want %d; in order: %t", len(events), 2*goroutines*each, slices.IsSortedFunc(events, byID))
	}
}
