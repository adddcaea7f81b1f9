package soak_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// stockClient is a client of ComfyUI: it knows no cursor. What it is sent again after a
// reconnect, it takes as new.
type stockClient struct {
	id       string
	addr     string
	load     *load
	restless int
	busy     bool // it sometimes reads nothing for a while
	rnd      *rand.Rand

	ready    chan struct{} // closed when it is connected for the first time
	quiet    chan struct{} // closed when all receipts have arrived
	last     chan struct{} // closed when the last connection is open
	errs     []error
	sockets  int
	drops    int
	starts   map[string]int
	events   int
	receipts int

	mu   sync.Mutex
	open map[string]bool // submitted, and no outcome has arrived
	told map[string]bool
}

func newStockClient(id, addr string) *stockClient {
	return &stockClient{
		id: id, addr: addr, starts: map[string]int{}, open: map[string]bool{}, told: map[string]bool{},
		ready: make(chan struct{}), quiet: make(chan struct{}), last: make(chan struct{}),
	}
}

func (c *stockClient) fail(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("stock client "+c.id+": "+format, args...))
}

// openMax is how many prompts a client waits for at a time.
const openMax = 4

// submits notes that the client waits for a prompt, unless it waits for enough of them.
func (c *stockClient) submits(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= openMax {
		return false
	}
	c.open[promptName(n)] = true
	return true
}

// missing returns the prompts without an outcome.
func (c *stockClient) missing() (ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.open {
		ids = append(ids, p)
	}
	slices.Sort(ids)
	return ids
}

// replay is what one connection has said about a prompt.
type replay struct {
	next            int // number of the next numbered event
	outcome, closed bool
}

// run reads until every prompt has an outcome and no receipt is missing.
func (c *stockClient) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := c.connection(ctx)
		if errors.Is(err, errEnough) {
			c.lastConnection(ctx)
			return
		}
		if errors.Is(err, errRefused) || errors.Is(err, errBadFrame) {
			c.fail("connection: %w", err)
			return
		}
		pauseBefore(c.rnd)
	}
	c.fail("has no outcome of %v in time", c.missing())
}

func (c *stockClient) connection(ctx context.Context) error {
	c.sockets++
	s, err := dialSocket(c.addr, "/ws?clientId="+c.id)
	if err != nil {
		return err
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { s.Close() })()
	select {
	case <-c.ready:
	default:
		close(c.ready)
	}
	said := map[string]*replay{}
	for {
		select {
		case <-c.quiet: // the receipts were sent and have arrived
			return errEnough
		default:
		}
		f, ok, err := s.next()
		if err != nil {
			return err
		}
		if !ok {
			if len(f.Data) > 0 { // a ping that asks for a receipt
				c.receipts++
			}
			continue
		}
		if err := c.take(said, f); err != nil {
			return err
		}
		if c.busy && c.rnd.IntN(100) == 0 {
			time.Sleep(time.Duration(c.rnd.IntN(500)) * time.Millisecond)
		}
		if c.restless > 0 && c.rnd.IntN(c.restless) == 0 && len(c.missing()) > 0 {
			c.drops++
			s.drop(c.rnd.IntN(2) == 0)
			return nil
		}
	}
}

// take handles an event, as a client does that knows of no other connection.
func (c *stockClient) take(said map[string]*replay, f nodebus.Frame) error {
	ev, n, err := decode(f)
	if err != nil {
		return fmt.Errorf("%w: %w", errBadFrame, err)
	}
	if ev.Epoch != "" {
		return fmt.Errorf("%w: %.200q has a cursor", errBadFrame, f.Data)
	}
	c.events++
	if n.prompt == "" {
		return nil
	}
	r := said[n.prompt]
	if n.kind == kindStart {
		if r != nil {
			c.fail("prompt %s begins twice on one connection", n.prompt)
		}
		c.starts[n.prompt]++
		said[n.prompt] = &replay{}
		return nil
	}
	switch {
	case r == nil:
		c.fail("prompt %s goes on with %+v on a connection on which it has not begun", n.prompt, n)
		said[n.prompt] = &replay{next: n.n}
	case r.closed:
		c.fail("prompt %s goes on with %+v after its end", n.prompt, n)
	case n.kind == kindNumbered && n.n != r.next:
		c.fail("prompt %s has sent number %d, due was %d", n.prompt, n.n, r.next)
	case n.kind == kindNumbered:
		r.next++
	case n.kind == kindOutcome && r.outcome:
		c.fail("prompt %s has two outcomes", n.prompt)
	case n.kind == kindOutcome:
		c.outcome(n.prompt, r)
	case n.kind == kindClosing:
		r.closed = true
		if !r.outcome {
			c.fail("prompt %s is closed without an outcome", n.prompt)
		}
	}
	return nil
}

func (c *stockClient) outcome(prompt string, r *replay) {
	r.outcome = true
	var n int
	_, _ = fmt.Sscanf(prompt, "p%d", &n)
	if due := c.load.stepsOf(n); r.next != due {
		c.fail("prompt %s has ended after %d of %d numbered events", prompt, r.next, due)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told[prompt] = true
	delete(c.open, prompt)
}

// lastConnection checks that nothing is sent again that the client has confirmed.
func (c *stockClient) lastConnection(ctx context.Context) {
	c.sockets++
	s, err := dialSocket(c.addr, "/ws?clientId="+c.id)
	if err != nil {
		c.fail("the last connection: %w", err)
		return
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { s.Close() })()
	close(c.last)
	for {
		f, ok, err := s.next()
		if err != nil {
			c.fail("the last connection: %w", err)
			return
		}
		if !ok {
			continue
		}
		_, n, err := decode(f)
		switch {
		case err != nil:
			c.fail("the last connection: %w", err)
			return
		case n.kind == kindFinish:
			return
		case n.kind != kindOther:
			c.fail("is sent %+v although it has confirmed everything", n)
		}
	}
}
