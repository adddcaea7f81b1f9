package soak_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
)

// libraryClient is a program that uses package client. Its loop over Events must receive
// what a cursorClient receives, and its loops over Follow all events of their prompts.
type libraryClient struct {
	cursorClient
	follows  []string // prompts of other clients; it watches and follows them
	forgets  bool     // the log keeps too little: the loops over Follow may not end
	restarts int
	loops    int // over Events
	tales    []tale
	mu       sync.Mutex // guards tales
}

// tale is what a loop over Follow has received.
type tale struct {
	prompt string
	got    []received
	gap    bool // events were announced as missing
	unsure bool // the loop has ended before it could learn whether events are missing
	err    error
}

func newLibraryClient(id, addr string, i int, rnd *rand.Rand) *libraryClient {
	c := &libraryClient{cursorClient: cursorClient{id: id, addr: addr, sse: i%2 == 0, rnd: rnd, ready: make(chan struct{}), watch: map[string]bool{}}}
	c.cursorClient.library = c
	return c
}

// web returns an HTTP client with small buffers.
func web() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err == nil {
				small(c)
			}
			return c, err
		},
		DisableKeepAlives: true,
	}}
}

// dialClient connects, as often as necessary: the bad line may break the first connection.
func (c *libraryClient) dialClient(ctx context.Context, since nodebus.Cursor) (*client.Client, error) {
	o := &client.Options{
		ID: c.id, Since: since, SSE: c.sse, HTTPClient: web(), Retry: 20 * time.Millisecond, PingInterval: patience / 2,
	}
	for p := range c.watch {
		o.Watch = append(o.Watch, p)
	}
	address := "ws://" + c.addr + "/ws"
	if c.sse {
		address = "http://" + c.addr + "/sse"
	}
	for {
		k, err := client.Dial(ctx, address, o)
		var refused *client.RefusedError
		if err == nil || ctx.Err() != nil || errors.As(err, &refused) {
			return k, err
		}
		pauseBefore(c.rnd)
	}
}

// runLibrary reads until the last event has arrived.
func (c *libraryClient) runLibrary(ctx context.Context) {
	var since nodebus.Cursor
	for {
		k, err := c.dialClient(ctx, since)
		if err != nil {
			c.fail("no connection: %w", err)
			return
		}
		c.sockets++
		over, done := c.followAll(ctx, k), false
		if !c.began {
			c.began, c.first = true, k.Cursor().ID
			close(c.ready)
		}
		for again := true; again; {
			done, again = c.events(ctx, k)
		}
		over(done)
		since = k.Cursor()
		_ = k.Close() // over a bad line, it may fail
		if done {
			return
		}
		c.restarts++
	}
}

// events is a loop over Events. done is true at the last event. The client then continues
// with a further loop if again is true, and otherwise with a new connection.
func (c *libraryClient) events(ctx context.Context, k *client.Client) (done, again bool) {
	c.loops++
	for ev, err := range k.Events(ctx) {
		if err == nil {
			err = c.receive(ev)
		}
		switch {
		case errors.Is(err, errEnough):
			return true, false
		case err != nil:
			c.fail("%w", err)
			return true, false
		case c.restless == 0 || c.rnd.IntN(c.restless) > 0:
		case c.rnd.IntN(2) == 0:
			time.Sleep(time.Duration(c.rnd.IntN(100)) * time.Millisecond)
		default:
			return false, len(c.follows) > 0 || c.rnd.IntN(2) == 0
		}
	}
	c.fail("has not received the last event in time")
	return true, false
}

// receive notes an event of the loop over Events.
func (c *libraryClient) receive(ev nodebus.Event) error {
	got, err := receivedOf(ev)
	if err != nil {
		return err
	}
	_, watching := ev.Payload.(nodebus.Watching)
	_, status := ev.Payload.(nodebus.Status)
	if watching || status || c.ignores(got.prompt) {
		return nil
	}
	c.got = append(c.got, got)
	if got.kind == kindFinish {
		return errEnough
	}
	return nil
}

func receivedOf(ev nodebus.Event) (received, error) {
	if g, ok := ev.Payload.(nodebus.Gap); ok {
		return received{gap: true, after: g.Since, id: g.Next}, nil
	}
	n, err := noteOf(ev.Payload)
	return received{note: n, id: ev.ID}, err
}

// ignores reports whether the loop over Events ignores a prompt, because it is the subject
// of a loop over Follow.
func (c *libraryClient) ignores(prompt string) bool { return slices.Contains(c.follows, prompt) }

// followAll watches and follows prompts. With a WebSocket, it begins to watch half of them
// later. over waits for the ends of the loops if all events have arrived.
func (c *libraryClient) followAll(ctx context.Context, k *client.Client) (over func(done bool)) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for i, p := range c.follows {
		watch := func() error { return k.Watch(ctx, p) }
		if c.sse || i%2 == 0 {
			err := watch()
			watch = func() error { return err }
		}
		pause := time.Duration(c.rnd.IntN(1500)) * time.Millisecond
		all.Go(func() {
			if !c.sse && i%2 == 1 {
				time.Sleep(pause)
			}
			t := tale{prompt: p, err: watch()}
			if t.err == nil {
				t.read(ctx, k)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.tales = append(c.tales, t)
		})
	}
	return func(done bool) {
		if !done || c.forgets {
			cancel()
		}
		all.Wait()
		cancel()
	}
}

func (t *tale) read(ctx context.Context, k *client.Client) {
	told := false // the server has said whether the past of the prompt is complete
	for ev, err := range k.Follow(ctx, t.prompt) {
		if err != nil {
			t.err = err
			return
		}
		got, err := receivedOf(ev)
		if err != nil {
			t.err = err
			return
		}
		w, watching := ev.Payload.(nodebus.Watching)
		t.gap = t.gap || got.gap || w.Incomplete
		told = told || watching
		if !watching && !got.gap && got.kind != kindState {
			t.got = append(t.got, got)
		}
	}
	t.err = ctx.Err()
	// The past may have the closing event, which ends the loop before the server says it.
	t.unsure = !told && len(t.got) > 0 && t.got[0].id == 0
}

// compareTales compares the loops over Follow with what was published.
func (c *libraryClient) compareTales(truth []fact) (events int) {
	if len(c.tales) != len(c.follows) {
		c.fail("%d loops over Follow, not %d", len(c.tales), len(c.follows))
	}
	for _, t := range c.tales {
		events += len(t.got)
		t.gap = t.gap || c.forgets && t.unsure
		if err := t.compare(truth); err != nil {
			c.fail("follows %s: %w", t.prompt, err)
		}
		switch {
		case c.forgets && errors.Is(t.err, context.Canceled):
		case t.err != nil:
			c.fail("follows %s: %w", t.prompt, t.err)
		case t.gap && !c.forgets:
			c.fail("follows %s: events are announced as missing, although the log has all", t.prompt)
		}
	}
	return events
}

// compare checks that a loop over Follow has received each event once and in order. If a
// connection breaks while it receives the past of the prompt, which has no IDs, the past
// comes again from the start, and some of it once more with its IDs.
func (t *tale) compare(truth []fact) error {
	var due []fact
	for _, f := range truth {
		if f.prompt == t.prompt && f.kind != kindState {
			due = append(due, f)
		}
	}
	next, live := 0, uint64(0)
	for _, got := range t.got {
		at := next
		switch {
		case got.id != 0:
			at = slices.IndexFunc(due, func(f fact) bool { return f.id == got.id })
		case got.kind == kindStart:
			at = 0
		case t.gap:
			at = slices.IndexFunc(due, func(f fact) bool { return f.note == got.note })
		}
		switch {
		case at < 0 || at >= len(due) || due[at].note != got.note:
			return fmt.Errorf("event %d is %+v, and event %d of the prompt was due", got.id, got.note, next)
		case got.id != 0 && got.id <= live:
			return fmt.Errorf("event %d (%+v) came after event %d", got.id, got.note, live)
		case t.gap:
		case at > next:
			return fmt.Errorf("events %d to %d of the prompt are lost: %+v came after them", next, at-1, got.note)
		case at < next && live > 0:
			return fmt.Errorf("event %d of the prompt came again: %+v", at, got.note)
		}
		next, live = at+1, max(live, got.id)
	}
	if next != len(due) && !t.gap && t.err == nil {
		return fmt.Errorf("ends after %d of %d events", next, len(due))
	}
	return nil
}
