package conform

import (
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
)

// reopenResumes lets a client miss events around the reopening.
func reopenResumes(t *testing.T, l nodebus.Log, reopen func() nodebus.Log) {
	hub, truth := openHub(t, l, nodebus.HubOptions{}), follow(t, l)
	ann := visit(t, hub, "ann", nodebus.SessionOptions{}, nil)
	publish(t, hub, beginning("1"), about("1", mark{"seen", 1}), nodebus.Event{Broadcast: true, Payload: mark{"seen", 2}})
	ann.await(t, 3)
	seen := ann.leave(t)
	publish(t, hub, about("1", nodebus.Custom{Type: "99", Data: []byte{1, 0}}), nodebus.Event{PromptID: "2", To: "bob", Payload: mark{"of bob", 1}},
		about("1", mark{"missed", 1}), beginning("ends"), ending("ends"))
	events := truth.await(t, 8)
	_ = hub.Close()
	truth.stop()

	l = reopen()
	hub, after := openHub(t, l, nodebus.HubOptions{}), follow(t, l)
	cursor := seen[len(seen)-1].Cursor()
	want := due(events, nodebus.LogQuery{Client: "ann", After: cursor.ID})
	v := visit(t, hub, "ann", nodebus.SessionOptions{Since: cursor}, nil)
	if hub.Epoch() != cursor.Epoch {
		want = due(events, nodebus.LogQuery{Client: "ann"})
		first := v.await(t, 1)[0]
		if gap, ok := first.Payload.(nodebus.Gap); !ok || gap.Since != 0 {
			t.Errorf("the log has another epoch; after a cursor of the old epoch comes %s, want a gap since 0", body(first.Payload))
		}
		want = append([]nodebus.Event{first}, want...)
	}
	publish(t, hub, about("1", mark{"live", 1}), ending("1"))
	want = append(want, after.await(t, 2)...)
	equal(t, "the client, after reopening", bodies(v.await(t, len(want))), bodies(want))
	equal(t, "the client, after reopening", bodies(v.leave(t)), bodies(want))
}

// reopenResumesAnywhere continues after each event, in a log that is opened again each time.
func reopenResumesAnywhere(t *testing.T, l nodebus.Log, reopen func() nodebus.Log) {
	all := []nodebus.Event{}
	start := nodebus.Cursor{}
	for n, ev := range mixture() {
		hub, truth := openHub(t, l, nodebus.HubOptions{}), follow(t, l)
		if n == 0 {
			start = truth.at
		}
		publish(t, hub, ev)
		all = append(all, truth.await(t, 1)...)
		want := due(all, nodebus.LogQuery{Client: "ann"})
		if hub.Epoch() == start.Epoch {
			for i := range len(want) + 1 {
				since := start
				if i > 0 {
					since = want[i-1].Cursor()
				}
				v := visit(t, hub, "ann", nodebus.SessionOptions{Since: since}, nil)
				v.await(t, len(want)-i)
				equal(t, fmt.Sprintf("from %s, reopened %d times", since, n), bodies(v.leave(t)), bodies(want[i:]))
			}
		}
		_ = hub.Close()
		truth.stop()
		l = reopen()
		all = still(t, l, all)
	}
}

func reopenReplays(t *testing.T, l nodebus.Log, reopen func() nodebus.Log) {
	hub, truth := openHub(t, l, nodebus.HubOptions{}), follow(t, l)
	publish(t, hub, beginning("over"), ending("over"), beginning("1"), about("1", mark{"x", 1}),
		nodebus.Event{PromptID: "2", To: "bob", Payload: mark{"of bob", 1}}, about("1", mark{"x", 2}))
	events := truth.await(t, 6)
	_ = hub.Close()
	truth.stop()

	l = reopen()
	hub, truth = openHub(t, l, nodebus.HubOptions{}), follow(t, l)
	for id, want := range map[string]bool{"over": true, "1": false, "2": false, "unknown": false} {
		if _, closed, err := hub.Ended(id); err != nil || closed != want {
			t.Errorf("after reopening, the hub says that prompt %q is closed: %t (%v), want %t", id, closed, err, want)
		}
	}
	ann := visit(t, hub, "ann", nodebus.SessionOptions{}, nil)
	want := []nodebus.Event{events[2], events[3], events[5]}
	equal(t, "a client without a cursor", bodies(ann.await(t, len(want))), bodies(want))
	publish(t, hub, about("1", mark{"x", 3}), ending("1"))
	want = append(want, truth.await(t, 2)...)
	equal(t, "a client without a cursor", bodies(ann.await(t, len(want))), bodies(want))
}
