package nodebus_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// caller is foreign code that uses the hub and its own session. It is the transport,
// the codec, the filter and the payload of one session. At one place, it calls act
// once.
type caller struct {
	tryTape
	nodebus.JSONCodec
	at    string // the place that calls act
	act   func()
	fired atomic.Bool
}

// reach calls act if place is the chosen place. It returns when act has returned.
func (c *caller) reach(place string) {
	if c.at == place && c.fired.CompareAndSwap(false, true) {
		c.act()
	}
}

func (c *caller) AppendFrame(dst []byte, f nodebus.Frame) []byte {
	c.reach("AppendFrame")
	return c.tryTape.AppendFrame(dst, f)
}

func (c *caller) TryWrite(wire []byte) (bool, error) {
	c.reach("TryWrite")
	return c.tryTape.TryWrite(wire)
}

func (c *caller) Write(ctx context.Context, frames []nodebus.Frame) error {
	c.reach("Write")
	return c.tryTape.Write(ctx, frames)
}

func (c *caller) Close(cause error) error {
	c.reach("Transport.Close")
	return c.tryTape.Close(cause)
}

func (c *caller) Encode(ev nodebus.Event) (nodebus.Frame, error) {
	if ev.Payload == word("a") { // earlier events are encoded by the writer
		c.reach("Encode")
	}
	return c.JSONCodec.Encode(ev)
}

func (c *caller) include(nodebus.Event) bool {
	c.reach("Include")
	return true
}

// calling is a payload that Publish encodes at once. callingPlain is a payload that is
// encoded later.
type (
	calling struct {
		c *caller
		N int
	}
	callingPlain struct{ Name string }
)

func (p calling) EventType() string {
	p.c.reach("EventType")
	return "calling"
}

func (p calling) CoalesceKey() string {
	p.c.reach("CoalesceKey")
	return "key"
}

func (p calling) MarshalJSON() ([]byte, error) {
	p.c.reach("MarshalJSON")
	return fmt.Appendf(nil, "%d", p.N), nil
}

// plainCaller is called by the method EventType of a callingPlain. It is a variable,
// because a callingPlain must have only plain fields. It is not called during Publish,
// but when the payload is encoded later.
var (
	plainCaller atomic.Pointer[caller]
	plainAsked  atomic.Int32
)

func (callingPlain) EventType() string {
	if c := plainCaller.Load(); c != nil && plainAsked.Add(1) > 2 {
		c.reach("EventType, later")
	}
	return "calling.plain"
}

func (callingPlain) CoalesceKey() string { return "" }

var callbackPlaces = []string{
	"AppendFrame", "TryWrite", "Write", "Transport.Close", "Encode", "Include",
	"EventType", "EventType, later", "CoalesceKey", "MarshalJSON", "a subscriber",
}

var callbackActs = map[string]func(h *nodebus.Hub, s *nodebus.Session){
	"Close": func(_ *nodebus.Hub, s *nodebus.Session) { s.Close(nodebus.ErrForbidden) },
	"Join": func(h *nodebus.Hub, _ *nodebus.Session) {
		h.Join("x", &nodebus.SessionOptions{Since: nodebus.Cursor{Epoch: "0", ID: 1}}).Close(nil)
	},
	"Publish":  func(h *nodebus.Hub, _ *nodebus.Session) { _ = h.Broadcast(word("from inside")) },
	"SetCodec": func(_ *nodebus.Hub, s *nodebus.Session) { s.SetCodec(nodebus.JSONCodec{Envelope: true}) },
	"Release":  func(_ *nodebus.Hub, s *nodebus.Session) { s.Release("gauge", "calling") },
	"Subscribe": func(h *nodebus.Hub, _ *nodebus.Session) {
		done, cancel := context.WithCancel(context.Background())
		h.Subscribe(done)
		cancel()
	},
	"hub.Close": func(h *nodebus.Hub, _ *nodebus.Session) { _ = h.Close() },
}

// TestForeignCodeMayUseTheHub checks that the hub holds no lock while it calls foreign
// code: every call from there returns, and the other sessions, also of the same shard,
// receive their events.
func TestForeignCodeMayUseTheHub(t *testing.T) {
	for _, place := range callbackPlaces {
		for name, act := range callbackActs {
			t.Run(place+" calls "+name, func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) { callback(t, place, name == "hub.Close", act) })
			})
		}
	}
}

func callback(t *testing.T, place string, closes bool, act func(*nodebus.Hub, *nodebus.Session)) {
	h := nodebus.NewHub(nil)
	publish(t, h, nodebus.Event{PromptID: "kept", To: "x", Payload: gauge{"held", 1}})
	c := &caller{tryTape: tryTape{&tape{}}, at: place}
	opts := &nodebus.SessionOptions{Codec: c, Include: c.include, Hold: []string{"gauge"}, Hello: []nodebus.Payload{word("hello")}}
	if place == "AppendFrame" || place == "TryWrite" { // only sessions with a codec of this package use them
		opts.Codec = nil
	}
	s := h.Join("x", opts)
	c.act = func() { act(h, s) }
	plainCaller.Store(c)
	plainAsked.Store(0)
	defer plainCaller.Store(nil)
	neighbour := &tape{}
	serveOn(t, h.Join("x", nil), tryTape{neighbour})
	over := serveOn(t, s, c)
	go func() {
		for _, err := range h.Subscribe(t.Context()) {
			if err != nil {
				return
			}
			c.reach("a subscriber")
		}
	}()
	synctest.Wait()

	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for _, p := range []nodebus.Payload{word("a"), calling{c, 1}, callingPlain{"p"}, word("b")} {
			_ = h.Publish(nodebus.Event{PromptID: "of another", To: "y", Payload: p})
			_ = h.Broadcast(p)
		}
		if place == "Transport.Close" {
			s.Close(errors.New("over"))
		}
	}()
	within(t, time.Minute, sent, "publishing")
	time.Sleep(time.Minute) // longer than Drain
	require.True(t, c.fired.Load(), "act was never called")

	if closes {
		require.ErrorIs(t, h.Broadcast(word("late")), nodebus.ErrClosed)
	} else {
		say(t, h, "after")
		synctest.Wait()
		said := neighbour.said(t)
		require.Equal(t, "after", said[len(said)-1])
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = h.Close()
	}()
	within(t, time.Minute, closed, "hub.Close")
	_ = over()
	require.Len(t, c.closed, 1)
}

// within waits for done, in the fake time of the bubble.
func within(t *testing.T, d time.Duration, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("%s has not returned after %v", what, d)
	}
}

// TestForeignCodeMayPublishInAFlood checks that a transport or a filter may publish even
// when the inbox of its shard is full. The worker, which calls them, must not wait for
// itself.
func TestForeignCodeMayPublishInAFlood(t *testing.T) {
	for _, place := range []string{"TryWrite", "AppendFrame", "Include"} {
		t.Run(place, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { flood(t, place) })
		})
	}
}

func flood(t *testing.T, place string) {
	h := openHub(t, &nodebus.HubOptions{KeepLen: 1})
	c := &caller{tryTape: tryTape{&tape{}}, at: place}
	begun, flooded := make(chan struct{}), make(chan struct{})
	c.act = func() {
		close(begun)
		<-flooded
		deep(100, func() {
			begin := time.Now()
			for range 3 {
				_ = h.Broadcast(word("from inside"))
			}
			if waited := time.Since(begin); waited > 0 {
				t.Errorf("the worker has waited for itself: %v", waited)
			}
		})
	}
	serveOn(t, h.Join("x", &nodebus.SessionOptions{Include: c.include}), c)
	synctest.Wait()
	ev := nodebus.Event{PromptID: "of another", Payload: word("w")} // only Include selects the session
	publish(t, h, ev)
	<-begun
	var all [2]chan struct{}
	for i := range all {
		all[i] = make(chan struct{})
		go func() {
			defer close(all[i])
			for range 20_000 {
				publish(t, h, ev)
			}
		}()
	}
	synctest.Wait() // the publishers wait for the worker
	close(flooded)
	for i := range all {
		within(t, time.Hour, all[i], "publishing")
	}
	synctest.Wait()
	require.Len(t, c.frames, 1+3+40_000)
}

// deep calls f with n more functions on the stack.
func deep(n int, f func()) {
	if n == 0 {
		f()
		return
	}
	deep(n-1, f)
}

// TestForeignCodeThatEndsItsGoroutine checks that runtime.Goexit in foreign code affects
// only the session of that code.
func TestForeignCodeThatEndsItsGoroutine(t *testing.T) {
	for _, place := range []string{"TryWrite", "AppendFrame", "Include", "Write", "Transport.Close", "Encode"} {
		t.Run(place, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { endsItsGoroutine(t, place) })
		})
	}
}

func endsItsGoroutine(t *testing.T, place string) {
	h := openHub(t, nil)
	c := &caller{tryTape: tryTape{&tape{}}, at: place, act: runtime.Goexit}
	neighbours := []*tape{{}, {}, {}, {}}
	serveOn(t, h.Join("x", nil), tryTape{neighbours[0]})
	opts := &nodebus.SessionOptions{Include: c.include}
	if place == "Encode" {
		opts.Codec = c
	}
	s := h.Join("x", opts)
	if place == "Write" {
		say(t, h, "queued")
		synctest.Wait()
	}
	over := serveOn(t, s, c)
	serveOn(t, h.Join("x", nil), tryTape{neighbours[1]})
	serveOn(t, h.Join("x", &nodebus.SessionOptions{Codec: &ownCodec{}}), tryTape{neighbours[2]})
	serveOn(t, h.Join("x", &nodebus.SessionOptions{WatchAll: true}), neighbours[3])
	synctest.Wait()
	for _, w := range []word{"a", "b", "c"} {
		for _, ev := range []nodebus.Event{{PromptID: "p", To: "y", Payload: w}, {Broadcast: true, Payload: w}} {
			publish(t, h, ev)
			synctest.Wait()
		}
	}
	if place == "Transport.Close" {
		s.Close(errors.New("before runtime.Goexit"))
	}
	synctest.Wait()
	require.True(t, c.fired.Load())
	for _, p := range neighbours[:3] {
		require.Equal(t, []string{"a", "b", "c"}, p.said(t)[len(p.said(t))-3:])
	}
	require.Len(t, neighbours[3].frames, 6)
	switch place {
	case "Include":
	default:
		require.ErrorContains(t, over(), "runtime.Goexit")
	}
}
