package soak_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nodebus/nodebus"
)

// cursorClient continues after the cursor of its last event, over ws or sse.
type cursorClient struct {
	id       string
	addr     string
	sse      bool
	watch    map[string]bool // prompts of other clients
	restless int             // it drops its connection once in so many events; 0: never
	rnd      *rand.Rand

	since   string
	began   bool
	ready   chan struct{} // closed when the first greeting has arrived
	first   uint64        // the ID of the first greeting
	got     []received    // in the order of arrival
	errs    []error
	sockets int
	drops   int

	library *libraryClient // it uses package client; nil: it reads by itself
}

// received is an event, or an announced gap: the events above after and below the ID may
// be missing.
type received struct {
	note
	id    uint64
	gap   bool
	after uint64
}

func (c *cursorClient) path() string {
	q := url.Values{"clientId": {c.id}, "since": {c.since}}
	for p := range c.watch {
		q.Add("watch", p)
	}
	if c.sse {
		q.Del("since")
		return "/sse?" + q.Encode()
	}
	return "/ws?" + q.Encode()
}

// errEnough ends a client that has received the last event.
var errEnough = errors.New("the client has received everything")

// run reads until the last event has arrived.
func (c *cursorClient) run(ctx context.Context) {
	if c.library != nil {
		c.library.runLibrary(ctx)
		return
	}
	for vain := 0; ctx.Err() == nil; vain++ {
		had := c.since
		err := c.connection(ctx)
		if errors.Is(err, errEnough) {
			return
		}
		if c.since != had {
			vain = 0
		}
		if vain > vainMax {
			c.fail("has received nothing on %d connections, with cursor %s: %w", vain, c.since, err)
			return
		}
		if errors.Is(err, errRefused) || errors.Is(err, errBadFrame) {
			c.fail("connection: %w", err)
			return
		}
		pauseBefore(c.rnd)
	}
	c.fail("has not received the last event in time")
}

// vainMax is how often a client may connect in vain. It is more than the bad line causes.
const vainMax = 1000

// pauseBefore waits before a client connects again.
func pauseBefore(rnd *rand.Rand) { time.Sleep(time.Duration(rnd.IntN(200)) * time.Millisecond) }

func (c *cursorClient) fail(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("client "+c.id+": "+format, args...))
}

// connection reads one connection until it ends.
func (c *cursorClient) connection(ctx context.Context) error {
	c.sockets++
	s, next, err := c.dial()
	if err != nil {
		return err
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { s.Close() })()
	for {
		f, ok, err := next()
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := c.take(f); err != nil {
			return err
		}
		if c.restless > 0 && c.rnd.IntN(c.restless) == 0 {
			c.drops++
			s.drop(c.rnd.IntN(2) == 0)
			return nil
		}
	}
}

func (c *cursorClient) dial() (s *socket, next func() (nodebus.Frame, bool, error), err error) {
	if !c.sse {
		if s, err = dialSocket(c.addr, c.path()); err == nil {
			next = s.next
		}
		return s, next, err
	}
	header := "Accept: text/event-stream\r\n"
	if c.since != "" {
		header += "Last-Event-ID: " + c.since + "\r\n"
	}
	s, r, err := connect(c.addr, c.path(), header) //nolint:bodyclose // Close would read to the end of the stream
	if err != nil {
		return nil, nil, err
	}
	if r.StatusCode != http.StatusOK {
		s.Close()
		return nil, nil, fmt.Errorf("%w: %s", errRefused, r.Status)
	}
	return s, (&stream{s: s, body: bufio.NewReader(r.Body)}).next, nil
}

// take handles an event.
func (c *cursorClient) take(f nodebus.Frame) error {
	ev, n, err := decode(f)
	if err != nil {
		return fmt.Errorf("%w: %w", errBadFrame, err)
	}
	if ev.Epoch == "" {
		return fmt.Errorf("%w: %.200q has no cursor", errBadFrame, f.Data)
	}
	c.since = ev.Cursor().String()
	switch p := ev.Payload.(type) {
	case nodebus.Status: // the greeting
		if !c.began {
			c.began, c.first = true, ev.ID
			close(c.ready)
		}
		return nil
	case nodebus.Gap:
		c.got = append(c.got, received{gap: true, after: p.Since, id: p.Next})
		return nil
	}
	c.got = append(c.got, received{note: n, id: ev.ID})
	if n.kind == kindFinish {
		return errEnough
	}
	return nil
}

// compare compares what arrived with what was due. It returns how many events were due.
func (c *cursorClient) compare(truth []fact) (due int) {
	next := 0 // in truth
	last := c.first
	var gaps []received
	announced := func(f fact) bool {
		return slices.ContainsFunc(gaps, func(g received) bool { return f.id > g.after && f.id < g.id })
	}
	for _, got := range c.got {
		if got.gap {
			gaps = append(gaps, got)
			continue
		}
		if got.id <= last {
			c.fail("event %d (%+v) came after event %d", got.id, got.note, last)
			return due
		}
		for ; next < len(truth) && truth[next].id <= got.id; next++ {
			f := truth[next]
			if f.id <= c.first || !f.isFor(c.id, c.watch) || c.library != nil && c.library.ignores(f.prompt) {
				continue
			}
			due++
			if f.id == got.id {
				if f.note != got.note {
					c.fail("event %d is %+v, not %+v", f.id, got.note, f.note)
				}
				last = got.id
			} else if f.kind != kindState && !announced(f) {
				c.fail("event %d (%+v) is lost; event %d came after it", f.id, f.note, got.id)
			}
		}
		if last != got.id {
			c.fail("event %d (%+v) was for another client", got.id, got.note)
			return due
		}
	}
	return due
}

// stream reads Server-Sent Events.
type stream struct {
	s    *socket
	body *bufio.Reader
}

// next reads the next event. ok is false for a comment.
func (t *stream) next() (f nodebus.Frame, ok bool, err error) {
	for {
		_ = t.s.SetReadDeadline(time.Now().Add(patience))
		text, err := t.body.ReadString('\n')
		if err != nil {
			return f, false, err
		}
		text = strings.TrimSuffix(text, "\n")
		field, value, _ := strings.Cut(text, ":")
		switch {
		case text == "":
			if f.Data == nil {
				return f, false, nil
			}
			return f, true, nil
		case field == "data":
			f.Data = append(f.Data, strings.TrimPrefix(value, " ")...)
		}
	}
}
