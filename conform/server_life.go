package conform

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
)

// floodLen is the number of events of flood.
const floodLen = 128

// flood publishes 8 MiB to everyone.
func flood(t *testing.T, s *server) {
	t.Helper()
	pad := strings.Repeat("x", 64<<10)
	within(t, "publishing to a client that takes nothing", func() {
		for i := range floodLen {
			publish(t, s.hub, nodebus.Event{Broadcast: true, Payload: nodebus.Custom{Type: "conform.flood", Data: []any{i, pad}}})
		}
	})
}

func servesStalled(t *testing.T, n *network) {
	s, truth := n.open(t, nodebus.HubOptions{QueueBytes: 1 << 20}, nil), follow(t, n.log)
	slow, quick := s.connect(t, "slow", truth.at), s.connect(t, "quick", truth.at)
	read := make(chan []nodebus.Event, 1)
	go func() {
		events, _ := quick.take(floodLen)
		read <- events
	}()
	flood(t, s) // slow does not read
	want := truth.await(t, floodLen)
	within(t, "reading", func() { s.same(t, "the client that reads", <-read, want) })
	got, _ := slow.take(len(want))
	if len(got) < len(want) { // it was disconnected; it returns
		cursor := truth.at
		cursor.ID = slow.seen
		rest, err := s.connect(t, "slow", cursor).take(len(want) - len(got))
		if got = append(got, rest...); err != nil {
			t.Errorf("the slow client: %v", err)
		}
	}
	s.same(t, "the slow client", got, want)
}

// servesEnds connects at the moment of the end of a prompt. The client receives the
// whole prompt or nothing.
func servesEnds(t *testing.T, n *network) {
	s := n.open(t, nodebus.HubOptions{}, nil)
	for round := range 60 {
		id := fmt.Sprint("ann ", round)
		to := func(p nodebus.Payload) nodebus.Event { return nodebus.Event{PromptID: id, To: id, Payload: p} }
		publish(t, s.hub, to(nodebus.ExecutionStart{PromptID: id}), to(mark{id, 1}))
		published := make(chan struct{})
		go func() {
			defer close(published)
			publish(t, s.hub, to(nodebus.ExecutionSuccess{PromptID: id}), to(nodebus.Executing{PromptID: id}))
		}()
		c := s.connect(t, id, nodebus.Cursor{})
		<-published
		publish(t, s.hub, nodebus.Event{To: id, Payload: nodebus.Custom{Type: "conform.last"}})
		var got []string
		for len(got) == 0 || got[len(got)-1] != "conform.last" {
			events, err := c.take(1)
			if err != nil {
				t.Fatalf("round %d: after %q: %v", round, got, err)
			}
			got = append(got, events[0].Payload.EventType())
		}
		if text := strings.Join(got, " "); text != "conform.last" && text != "execution_start conform.mark execution_success executing conform.last" {
			t.Errorf("round %d: the client has received %q, want the whole prompt or nothing", round, text)
		}
		_ = c.Close()
	}
}

func servesClose(t *testing.T, n *network) {
	s := n.open(t, nodebus.HubOptions{Drain: 50 * time.Millisecond}, nil)
	slow := s.connect(t, "slow", nodebus.Cursor{})
	flood(t, s)
	within(t, "closing the hub", func() { _ = s.hub.Close() })
	if got, err := slow.take(floodLen + 1); err == nil {
		t.Errorf("the client has received %d events and no end", len(got))
	}
	if c, err := s.try(t, "late", nodebus.Cursor{}); err == nil {
		if got, err := c.take(1); err == nil {
			t.Errorf("a client of a closed hub has received %v", got)
		}
	}
}

func servesEnd(t *testing.T, n *network) {
	s, truth := n.open(t, nodebus.HubOptions{}, nil), follow(t, n.log)
	slow, quick := s.connect(t, "slow", truth.at), s.connect(t, "quick", truth.at)
	flood(t, s) // a Write for slow waits now
	for _, x := range s.hub.Sessions() {
		if x.Client == "slow" && !s.hub.End(x.Name, nil) {
			t.Error("the hub does not know its session")
		}
	}
	if got, err := slow.take(floodLen + 1); err == nil {
		t.Errorf("the client has received %d events and no end", len(got))
	}
	quick.expect(t, "the other client", truth.await(t, floodLen))
	until(t, "the end of the session", func() bool { return s.hub.Stats().Sessions == 1 })
}

func servesGarbage(t *testing.T, n *network) {
	s, truth := n.open(t, nodebus.HubOptions{}, nil), follow(t, n.log)
	quick := s.connect(t, "ann", truth.at)
	for _, text := range []string{"", "G", "GET / HTTP/1.1\r\nHost: x", "\x00\xff\x16\x03\r\n\r\n", strings.Repeat("\xff", 1<<16)} {
		c, err := net.Dial("tcp", s.line.addr())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, text)
		_ = c.Close()
	}
	publish(t, s.hub, mixture()...)
	quick.expect(t, "the client", due(truth.await(t, len(mixture())), nodebus.LogQuery{Client: "ann"}))
}

// explosive is a payload whose encoding panics.
type explosive struct{}

func (explosive) EventType() string            { return "conform.explosive" }
func (explosive) MarshalJSON() ([]byte, error) { panic("conform: intended panic") }

var _ json.Marshaler = explosive{}

func servesPanic(t *testing.T, n *network) {
	s, truth := n.open(t, nodebus.HubOptions{}, nil), follow(t, n.log)
	c := s.connect(t, "ann", truth.at)
	for i := range 3 {
		if err := s.hub.Publish(about("1", explosive{})); err == nil {
			t.Error("Publish of a payload that panics returned no error")
		}
		publish(t, s.hub, about("1", mark{"between", i}))
	}
	c.expect(t, "the client", truth.await(t, 3))
}

func servesPanicOfReceiver(t *testing.T, n *network) {
	s := n.open(t, nodebus.HubOptions{}, func([]byte) { panic("conform: intended panic") })
	truth := follow(t, n.log)
	bad, good := s.connect(t, "bad", truth.at), s.connect(t, "ann", truth.at)
	if err := bad.Send([]byte(`{"type":"conform"}`)); err != nil {
		t.Fatalf("Send: %v", err)
	}
	if got, err := bad.take(1); err == nil {
		t.Errorf("the client has received %v, although the receiver of its message has panicked", got)
	}
	publish(t, s.hub, mixture()...)
	good.expect(t, "the other client", due(truth.await(t, len(mixture())), nodebus.LogQuery{Client: "ann"}))
}

// servesLongReceiver lets the receiver of a message wait: events pass, the client leaves,
// and the hub closes meanwhile.
func servesLongReceiver(t *testing.T, n *network) {
	entered, leave, left := make(chan struct{}, 2), make(chan struct{}), make(chan struct{}, 2)
	s := n.open(t, nodebus.HubOptions{Drain: 50 * time.Millisecond}, func([]byte) {
		entered <- struct{}{}
		<-leave
		left <- struct{}{}
	})
	free := sync.OnceFunc(func() { close(leave) })
	t.Cleanup(free)
	truth := follow(t, n.log)
	c, goes := s.connect(t, "ann", truth.at), s.connect(t, "bob", truth.at)
	for _, c := range []*client{c, goes} {
		if err := c.Send([]byte(`{"type":"conform"}`)); err != nil {
			t.Fatalf("Send: %v", err)
		}
		within(t, "receiving a message", func() { <-entered })
	}
	var closing sync.WaitGroup
	closing.Go(func() { _ = goes.Close() }) // it may wait for an answer of the server
	publish(t, s.hub, mixture()...)
	c.expect(t, "the client whose message is handled", due(truth.await(t, len(mixture())), nodebus.LogQuery{Client: "ann"}))
	within(t, "closing the hub while a message is handled", func() { _ = s.hub.Close() })
	free()
	within(t, "the receivers", func() { _, _ = <-left, <-left })
	within(t, "leaving", closing.Wait)
}
