package conform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
)

// visitor is a session of a client that records what it is sent.
type visitor struct {
	session *nodebus.Session
	over    chan error
	gate    chan struct{} // Write waits until it is closed; nil: Write does not wait

	mu      sync.Mutex
	events  []nodebus.Event
	err     error
	changed chan struct{} // closed at the next event
}

// visit joins a client to a hub until the end of the test, or until leave.
func visit(t *testing.T, hub *nodebus.Hub, client string, opts nodebus.SessionOptions, gate chan struct{}) *visitor {
	opts.Codec = nodebus.JSONCodec{Envelope: true}
	v := &visitor{over: make(chan error, 1), gate: gate, changed: make(chan struct{})}
	v.session = hub.Join(client, &opts)
	ctx := t.Context()
	go func() { v.over <- v.session.Serve(ctx, v) }()
	return v
}

// Write implements [nodebus.Transport].
func (v *visitor) Write(ctx context.Context, frames []nodebus.Frame) error {
	if v.gate != nil {
		select {
		case <-v.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, f := range frames {
		ev, err := nodebus.JSON.Decode(nodebus.Frame{Binary: f.Binary, Data: f.Data})
		if err != nil || ev.Cursor() != f.Cursor() {
			v.err = fmt.Errorf("frame %q has the cursor %s, but its ID is %d (%w)", f.Data, ev.Cursor(), f.ID, err)
		}
		v.events = append(v.events, ev)
	}
	close(v.changed)
	v.changed = make(chan struct{})
	return nil
}

// Close implements [nodebus.Transport].
func (v *visitor) Close(error) error { return nil }

// await waits for n events, and returns all events so far.
func (v *visitor) await(t *testing.T, n int) []nodebus.Event {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		v.mu.Lock()
		events, err, changed := slices.Clone(v.events), v.err, v.changed
		v.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		if len(events) >= n {
			return events
		}
		select {
		case <-changed:
		case err := <-v.over:
			v.over <- err
			t.Fatalf("client %q: the session has ended with %v after %d events, want %d", v.session.Client(), err, len(events), n)
		case <-late.C:
			t.Fatalf("client %q has received %d events, want %d", v.session.Client(), len(events), n)
		}
	}
}

// leave ends the session and returns what the client was sent.
func (v *visitor) leave(t *testing.T) []nodebus.Event {
	t.Helper()
	v.session.Close(nil)
	within(t, "leaving", func() { v.over <- <-v.over })
	return v.await(t, 0)
}

// logs are the logs of two processes that share one log, or the same log twice.
type logs [2]nodebus.Log

// sharing returns two hubs that share a log. They are closed at the end of the test.
func sharing(t *testing.T, l logs, opts nodebus.HubOptions) []*nodebus.Hub {
	return []*nodebus.Hub{openHub(t, l[0], opts), openHub(t, l[1], opts)}
}

func openHub(t *testing.T, l nodebus.Log, opts nodebus.HubOptions) *nodebus.Hub {
	opts.Log = l
	opts.Drain = cmp.Or(opts.Drain, patience)
	hub := nodebus.NewHub(&opts)
	t.Cleanup(func() { _ = hub.Close() })
	return hub
}

// publish publishes events. Any goroutine may call it.
func publish(t *testing.T, hub *nodebus.Hub, evs ...nodebus.Event) {
	t.Helper()
	for _, ev := range evs {
		if err := hub.Publish(ev); err != nil {
			t.Errorf("Publish %s: %v", describe(ev), err)
		}
	}
}

// bodies returns the IDs and the payloads of events.
func bodies(events []nodebus.Event) (all []string) {
	for _, ev := range events {
		all = append(all, fmt.Sprintf("%d %s", ev.ID, body(ev.Payload)))
	}
	return all
}

// due returns the events that a client receives which begins after a place.
func due(events []nodebus.Event, q nodebus.LogQuery) (all []nodebus.Event) {
	q.Own, q.UpTo = true, 1<<62
	for _, ev := range events {
		if selects(q, ev) {
			all = append(all, ev)
		}
	}
	return all
}

const (
	publishers = 4
	perPrompt  = 150
)

// publishAll publishes prompts at all hubs at once, and returns when all are published.
// A receive from step precedes each event; nil does not wait.
func publishAll(t *testing.T, hubs []*nodebus.Hub, step <-chan struct{}) {
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			hub, id, to := hubs[p%len(hubs)], fmt.Sprint(p), []string{"ann", "bob"}[p/2%2]
			for n := range perPrompt {
				if step != nil {
					<-step
				}
				ev := nodebus.Event{PromptID: id, To: to, Payload: mark{id, n}}
				switch n % 10 {
				case 3:
					ev = nodebus.Event{Broadcast: true, Payload: mark{id, n}}
				case 5:
					ev.Payload = nodebus.Custom{Type: "99", Data: fmt.Appendf(nil, "%s %d", id, n)}
				case 7:
					ev.PromptID = ""
				}
				publish(t, hub, ev)
			}
		})
	}
	all.Wait()
}

func hubsDeliver(t *testing.T, l logs) {
	hubs, truth := sharing(t, l, nodebus.HubOptions{}), follow(t, l[0])
	type watcher struct {
		v *visitor
		q nodebus.LogQuery
	}
	var watchers []watcher
	for _, hub := range hubs {
		for _, q := range []nodebus.LogQuery{
			{Client: "ann"}, {Client: "bob"}, {Client: "eve"}, {Client: "eve", Prompts: []string{"1", "2"}}, {Client: "ann", All: true},
		} {
			v := visit(t, hub, q.Client, nodebus.SessionOptions{Watch: q.Prompts, WatchAll: q.All}, nil)
			watchers = append(watchers, watcher{v, q})
		}
	}
	loops := make([]*visitor, len(hubs))
	for i, hub := range hubs {
		loops[i] = &visitor{changed: make(chan struct{}), over: make(chan error, 1)}
		loops[i].session = watchers[0].v.session
		ctx, events := t.Context(), hub.Subscribe(t.Context())
		go func() {
			for ev, err := range events {
				if err != nil || loops[i].Write(ctx, []nodebus.Frame{encode(ev)}) != nil {
					return
				}
			}
		}()
	}
	within(t, "publishing", func() { publishAll(t, hubs, nil) })
	events := truth.await(t, publishers*perPrompt)
	for _, w := range watchers {
		want := bodies(due(events, w.q))
		equal(t, fmt.Sprintf("client %q (%+v)", w.q.Client, w.q), bodies(w.v.await(t, len(want))), want)
	}
	for i, loop := range loops {
		equal(t, fmt.Sprintf("the loop of hub %d", i), bodies(loop.await(t, len(events))), bodies(events))
	}
}

// encode returns the frame of an event with its envelope.
func encode(ev nodebus.Event) nodebus.Frame {
	f, _ := nodebus.JSONCodec{Envelope: true}.Encode(ev)
	return f
}

// hubsResume lets a client wander between the hubs while they publish.
func hubsResume(t *testing.T, l logs) {
	hubs, truth := sharing(t, l, nodebus.HubOptions{}), follow(t, l[0])
	step := make(chan struct{})
	published := make(chan struct{})
	go func() {
		defer close(published)
		publishAll(t, hubs, step)
	}()
	cursor := truth.at
	var got []nodebus.Event
	for n := range publishers * perPrompt / 6 {
		v := visit(t, hubs[n%2], "ann", nodebus.SessionOptions{Since: cursor}, nil)
		for range 6 {
			step <- struct{}{}
		}
		before := due(truth.await(t, 6*n), nodebus.LogQuery{Client: "ann", After: cursor.ID})
		v.await(t, len(before))
		if got = append(got, v.leave(t)...); len(got) > 0 {
			cursor = got[len(got)-1].Cursor()
		}
	}
	within(t, "publishing", func() { <-published })
	want := bodies(due(truth.await(t, publishers*perPrompt), nodebus.LogQuery{Client: "ann"}))
	last := visit(t, hubs[0], "ann", nodebus.SessionOptions{Since: cursor}, nil)
	got = append(got, last.await(t, len(want)-len(got))...)
	equal(t, "the client", bodies(got), want)
}

// hubsResumeAnywhere continues at the other hub after each event, as soon as the event
// is received, and again when all is published.
func hubsResumeAnywhere(t *testing.T, l logs) {
	hubs, truth := sharing(t, l, nodebus.HubOptions{}), follow(t, l[0])
	events := mixture()
	stays := visit(t, hubs[0], "ann", nodebus.SessionOptions{}, nil)
	cursor := truth.at
	for n, ev := range events {
		v := visit(t, hubs[n%2], "ann", nodebus.SessionOptions{Since: cursor}, nil)
		publish(t, hubs[n/2%2], ev)
		all := truth.await(t, n+1)
		want := due(all[n:], nodebus.LogQuery{Client: "ann"})
		equal(t, fmt.Sprintf("event %d at the hub where the client continues", n), bodies(v.await(t, len(want))), bodies(want))
		if got := v.leave(t); len(got) > 0 {
			cursor = got[len(got)-1].Cursor()
		}
	}
	want := due(truth.await(t, len(events)), nodebus.LogQuery{Client: "ann"})
	equal(t, "a client that stays", bodies(stays.await(t, len(want))), bodies(want))
	for n := range want {
		for i, hub := range hubs {
			v := visit(t, hub, "ann", nodebus.SessionOptions{Since: want[n].Cursor()}, nil)
			v.await(t, len(want)-n-1)
			equal(t, fmt.Sprintf("from %s at hub %d", want[n].Cursor(), i), bodies(v.leave(t)), bodies(want[n+1:]))
		}
	}
}

// hubsReadOn publishes more than the queue of a client holds.
func hubsReadOn(t *testing.T, l logs) {
	hubs, truth := sharing(t, l, nodebus.HubOptions{QueueLen: 4}), follow(t, l[0])
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	defer open()
	slow := visit(t, hubs[0], "ann", nodebus.SessionOptions{}, gate)
	quick := visit(t, hubs[1], "ann", nodebus.SessionOptions{}, nil)
	within(t, "publishing to a client that takes nothing", func() { publishAll(t, hubs, nil) })
	want := bodies(due(truth.await(t, publishers*perPrompt), nodebus.LogQuery{Client: "ann"}))
	equal(t, "the client that is not slow", bodies(quick.await(t, len(want))), want)
	open()
	equal(t, "the slow client", bodies(slow.await(t, len(want))), want)
}

// hubsKeepPayloads changes the data of payloads after Publish.
func hubsKeepPayloads(t *testing.T, l logs) {
	hubs, truth := sharing(t, l, nodebus.HubOptions{}), follow(t, l[0])
	live := []*visitor{visit(t, hubs[0], "ann", nodebus.SessionOptions{}, nil), visit(t, hubs[1], "ann", nodebus.SessionOptions{}, nil)}
	var want []string
	for n := range 20 {
		data, pad := map[string]any{"n": n}, []string{"before"}
		for i, p := range []nodebus.Payload{
			nodebus.Custom{Type: "conform.custom", Data: data}, level{Name: fmt.Sprint(n), Pad: pad},
		} {
			want = append(want, body(p))
			publish(t, hubs[(n+i)%2], about("1", p))
			truth.await(t, len(want)) // the other process publishes after it
		}
		data["n"], pad[0] = "changed", "changed"
	}
	truth.await(t, len(want))
	late := visit(t, hubs[1], "ann", nodebus.SessionOptions{Since: truth.at}, nil)
	for i, v := range append(live, late) {
		var got []string
		for _, ev := range v.await(t, len(want)) {
			got = append(got, body(ev.Payload))
		}
		equal(t, fmt.Sprintf("client %d", i), got, want)
	}
}

func hubsEndPrompts(t *testing.T, l logs) {
	hubs, truths := sharing(t, l, nodebus.HubOptions{}), []*heard{follow(t, l[0]), follow(t, l[1])}
	var clients []*visitor
	for _, hub := range hubs {
		clients = append(clients, visit(t, hub, "ann", nodebus.SessionOptions{}, nil))
	}
	n := 0
	all := func(more int) { // waits until both processes have what was published
		n += more
		for _, truth := range truths {
			truth.await(t, n)
		}
	}
	late := func(hub *nodebus.Hub, round int) {
		if err := hub.Publish(about("1", mark{"late", round})); !errors.Is(err, nodebus.ErrClosed) {
			t.Errorf("the prompt has ended, but Publish returned %v", err)
		}
	}
	for round := range 4 {
		a, b := hubs[round%2], hubs[(round+1)%2]
		publish(t, a, beginning("1"))
		all(1)
		publish(t, b, about("1", mark{"x", round}), ending("1"))
		late(b, round)
		if l[0] != l[1] { // another process may find out later
			all(2)
		}
		late(a, round)
		late(b, round)
		if l[0] == l[1] {
			all(2)
		}
	}
	publish(t, hubs[0], about("2", mark{"last", 0}))
	publish(t, hubs[1], about("3", mark{"last", 1}))
	all(2)
	events := truths[0].await(t, n)
	equal(t, "the follower of another process", bodies(truths[1].await(t, n)), bodies(events))
	for _, v := range clients {
		equal(t, "a client", bodies(v.await(t, n)), bodies(events))
	}
}

// hubsReplay makes a hub while a prompt runs. Clients without a cursor must receive the
// whole prompt there.
func hubsReplay(t *testing.T, l logs) {
	first, truth := openHub(t, l[0], nodebus.HubOptions{}), follow(t, l[0])
	publish(t, first, beginning("over"), ending("over"), beginning("1"), about("1", mark{"x", 1}),
		nodebus.Event{PromptID: "2", To: "bob", Payload: mark{"of bob", 1}}, about("1", mark{"x", 2}))
	events := truth.await(t, 6)
	second := openHub(t, l[1], nodebus.HubOptions{})
	ann := visit(t, second, "ann", nodebus.SessionOptions{}, nil)
	want := []nodebus.Event{events[2], events[3], events[5]}
	equal(t, "a client without a cursor", bodies(ann.await(t, len(want))), bodies(want))
	publish(t, first, about("1", mark{"x", 3}))
	truth.await(t, 7)
	publish(t, second, about("1", mark{"x", 4}), ending("1"))
	want = append(want, truth.await(t, 9)[6:]...)
	equal(t, "a client without a cursor", bodies(ann.await(t, len(want))), bodies(want))
}

func hubsKnowTheirLog(t *testing.T, l logs) {
	hubs, truth := sharing(t, l, nodebus.HubOptions{}), follow(t, l[0])
	publish(t, hubs[0], beginning("1"), about("1", mark{"x", 1}))
	truth.await(t, 2)
	publish(t, hubs[1], ending("1"))
	events := truth.await(t, 3)
	for i, hub := range hubs {
		if hub.Epoch() != truth.at.Epoch {
			t.Errorf("hub %d has the epoch %q, but its log has %q", i, hub.Epoch(), truth.at.Epoch)
		}
		visit(t, hub, "ann", nodebus.SessionOptions{Since: truth.at}, nil).await(t, 3) // the hub has all events
		for _, cursor := range []nodebus.Cursor{{Epoch: "other", ID: 1}, {Epoch: truth.at.Epoch, ID: events[2].ID + 1000}} {
			got := visit(t, hub, "ann", nodebus.SessionOptions{Since: cursor}, nil).await(t, 4)
			if gap, ok := got[0].Payload.(nodebus.Gap); !ok || gap.Since != 0 {
				t.Errorf("after the cursor %s of another log comes %s, want a gap since 0", cursor, body(got[0].Payload))
			}
			equal(t, "after the gap", bodies(got[1:]), bodies(events))
		}
	}
}
