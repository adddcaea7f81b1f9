package conform

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
)

// served returns the events of mixture for client "ann", published at a hub.
func served(t *testing.T, s *server) (from nodebus.Cursor, want []nodebus.Event) {
	t.Helper()
	truth := follow(t, s.log)
	publish(t, s.hub, mixture()...)
	return truth.at, due(truth.await(t, len(mixture())), nodebus.LogQuery{Client: "ann"})
}

func servesOwn(t *testing.T, n *network) {
	s, truth := n.open(t, nodebus.HubOptions{}, nil), follow(t, n.log)
	clients := map[string]*client{}
	for _, id := range []string{"ann", "bob", "eve"} {
		clients[id] = s.connect(t, id, truth.at)
	}
	go publishAll(t, []*nodebus.Hub{s.hub}, nil)
	events := truth.await(t, publishers*perPrompt)
	for id, c := range clients {
		c.expect(t, "client "+id, due(events, nodebus.LogQuery{Client: id}))
	}
}

func servesTwice(t *testing.T, n *network) {
	s, truth := n.open(t, nodebus.HubOptions{}, nil), follow(t, n.log)
	first, second := s.connect(t, "ann", truth.at), s.connect(t, "ann", truth.at)
	var want []nodebus.Event
	for i, ev := range mixture() {
		publish(t, s.hub, ev)
		all := truth.await(t, i+1)
		want = due(all, nodebus.LogQuery{Client: "ann"})
		if i == 4 {
			_ = s.connect(t, "ann", truth.at).Close()
		}
	}
	first.expect(t, "the first session", want)
	_ = first.Close()
	publish(t, s.hub, about("2", mark{"later", 1}))
	want = due(truth.await(t, len(mixture())+1), nodebus.LogQuery{Client: "ann"})
	second.expect(t, "the second session", want)
}

func servesCrawling(t *testing.T, n *network) {
	s := n.open(t, nodebus.HubOptions{}, nil)
	from, want := served(t, s)
	for _, chunk := range []int{1, 2, 7} {
		s.line.set(fault{chunk: chunk})
		s.connect(t, "ann", from).expect(t, fmt.Sprintf("pieces of %d bytes", chunk), want)
	}
}

func servesReturns(t *testing.T, n *network) {
	s := n.open(t, nodebus.HubOptions{}, nil)
	from, want := served(t, s)
	for i := range want {
		c := s.connect(t, "ann", from)
		c.expect(t, "before the return", want[:i])
		if i%2 == 0 {
			s.line.resetAll()
		}
		_ = c.Close()
		cursor := from
		cursor.ID = c.seen
		s.connect(t, "ann", cursor).expect(t, fmt.Sprintf("after %d events", i), want[i:])
	}
}

// servesCut cuts the line after any number of bytes, and lets the client return.
func servesCut(t *testing.T, n *network) {
	s := n.open(t, nodebus.HubOptions{}, nil)
	from, want := served(t, s)
	s.connect(t, "ann", from).expect(t, "without a cut", want)
	total := int(s.line.carried.Load())
	for cut := 1; cut < total; cut += 1 + total/150 {
		s.line.set(fault{cut: cut})
		got := s.wander(t, from, len(want), func() { s.line.set(fault{}) })
		s.same(t, fmt.Sprintf("cut after %d bytes", cut), got, want)
	}
}

// wander reads n events. If the connection breaks, it calls broken and connects again.
func (s *server) wander(t *testing.T, cursor nodebus.Cursor, n int, broken func()) (got []nodebus.Event) {
	t.Helper()
	for failed := 0; len(got) < n; broken() {
		c, err := s.try(t, "ann", cursor)
		if err != nil {
			if failed++; failed > 1000 {
				t.Fatalf("the client cannot connect: %v", err)
			}
			continue
		}
		events, err := c.take(n - len(got))
		if errors.Is(err, errLate) {
			t.Fatalf("after %d events, with the cursor %s: %v", len(got)+len(events), cursor, err)
		}
		cursor.ID = c.seen
		got = append(got, events...)
		_ = c.Close()
	}
	return got
}

// servesCutLive cuts the line at random places while events are published.
func servesCutLive(t *testing.T, n *network) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	s, truth := n.open(t, nodebus.HubOptions{}, nil), follow(t, n.log)
	step, published := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(published)
		publishAll(t, []*nodebus.Hub{s.hub}, step)
	}()
	go func() {
		for i := range publishers * perPrompt {
			if step <- struct{}{}; i%10 == 0 {
				time.Sleep(time.Millisecond) // so that connections break meanwhile
			}
		}
	}()
	more := func() {
		s.line.set(fault{cut: 200 + rnd.IntN(4000)})
		select {
		case <-published:
			s.line.set(fault{})
		default:
		}
	}
	more()
	// Of the events of publishAll, ann receives the prompts of two publishers and all
	// broadcasts.
	count := 2*perPrompt + 2*perPrompt/10
	got := s.wander(t, truth.at, count, more)
	within(t, "publishing", func() { <-published })
	want := due(truth.await(t, publishers*perPrompt), nodebus.LogQuery{Client: "ann"})
	s.same(t, "the client", got, want)
}

func servesGap(t *testing.T, n *network) {
	s := n.open(t, nodebus.HubOptions{}, nil)
	_, want := served(t, s)
	c := s.connect(t, "ann", nodebus.Cursor{Epoch: "other", ID: 3})
	late := time.AfterFunc(patience, func() { _ = c.Close() })
	defer late.Stop()
	gap := false
	for !gap {
		ev, err := c.Next()
		if err != nil {
			t.Fatalf("before the gap: %v", err)
		}
		var p nodebus.Gap
		if p, gap = ev.Payload.(nodebus.Gap); gap && p.Since != 0 {
			t.Errorf("the gap begins at %d, want 0", p.Since)
		}
		if ev.Payload.EventType() == (mark{}).EventType() {
			t.Fatalf("event %d comes before the gap", ev.ID)
		}
	}
	c.expect(t, "after the gap", want)
}

// servesShared continues at another server after each event.
func servesShared(t *testing.T, n *network) {
	servers := []*server{n.open(t, nodebus.HubOptions{}, nil), n.open(t, nodebus.HubOptions{}, nil)}
	truth := follow(t, n.log)
	cursor := truth.at
	for i, ev := range mixture() {
		c := servers[i%2].connect(t, "ann", cursor)
		publish(t, servers[i/2%2].hub, ev)
		c.expect(t, fmt.Sprintf("event %d", i), due(truth.await(t, i+1)[i:], nodebus.LogQuery{Client: "ann"}))
		cursor.ID = c.seen
		_ = c.Close()
	}
}

// servesAgain lets a client without cursors lose its connection before, during and after
// the end of a prompt.
func servesAgain(t *testing.T, n *network) {
	s := n.open(t, nodebus.HubOptions{}, nil)
	for round := range 12 {
		ann := fmt.Sprint("ann ", round)
		prompt := slices.DeleteFunc(mixture(), func(ev nodebus.Event) bool { return ev.To != "ann" })
		for i := range prompt {
			prompt[i].To, prompt[i].PromptID = ann, ann
		}
		var want []nodebus.Event
		for _, ev := range prompt {
			want = append(want, nodebus.Event{Payload: ev.Payload})
		}
		stock := func() *client {
			c, err := s.tryAs(t, Dial{Client: ann}, 0)
			if err != nil {
				t.Fatalf("client %q cannot connect: %v", ann, err)
			}
			return c
		}
		s.line.set(fault{})
		first := stock()
		publish(t, s.hub, prompt[:3]...)
		first.expect(t, "before the line breaks", want[:3])
		s.line.resetAll()
		publish(t, s.hub, prompt[3:]...)
		// The replay goes down with its connection, before the client is asked to confirm it: a
		// client that has confirmed an outcome is not sent the prompt again.
		for cut := range 3 {
			s.line.set(fault{cut: 250 + (60*round+97*cut)%300})
			if c, err := s.tryAs(t, Dial{Client: ann}, 0); err == nil {
				_, _ = c.take(len(want) + 1)
			}
		}
		s.line.set(fault{})
		c := stock()
		c.expect(t, "after the line broke", replayedOf(want))
		_ = c.Close()
		until(t, "the confirmation", func() bool { return s.hub.Stats().Unconfirmed == 0 && s.hub.Stats().Sessions == 0 })
		c = stock()
		publish(t, s.hub, nodebus.Event{To: ann, Payload: mark{"nothing before it", round}})
		c.expect(t, "what was received is not sent again", []nodebus.Event{{Payload: mark{"nothing before it", round}}})
		_ = c.Close()
	}
}

// replayedOf leaves out the events that clients without cursors do not know.
func replayedOf(events []nodebus.Event) []nodebus.Event {
	return slices.DeleteFunc(slices.Clone(events), func(ev nodebus.Event) bool {
		return strings.HasPrefix(ev.Payload.EventType(), "nodebus.")
	})
}
