package nodebus_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// readingTape is a tape with a ReadLoop. Messages come through a channel. ReadLoop ends
// with the error in lost, or when the transport is closed.
type readingTape struct {
	nodebus.Transport
	tape *tape
	lost chan error
}

func (p readingTape) ReadLoop(ctx context.Context) error {
	select {
	case err := <-p.lost:
		return err
	case <-p.tape.gone:
		return errors.New("the transport is closed")
	}
}

// readingTryTape is a readingTape that is a TryWriter.
type readingTryTape struct {
	tryTape
	readingTape
}

func (p readingTryTape) Write(ctx context.Context, frames []nodebus.Frame) error {
	return p.tryTape.Write(ctx, frames)
}
func (p readingTryTape) Close(cause error) error { return p.tryTape.Close(cause) }

func reading(try bool) (nodebus.Transport, *tape, chan error) {
	p, lost := newPausedTape(), make(chan error)
	r := readingTape{p, p, lost}
	if try {
		return readingTryTape{tryTape{p}, r}, p, lost
	}
	return r, p, lost
}

func TestServeRunsTheReadLoop(t *testing.T) {
	lost := errors.New("the client is lost")
	for name, c := range map[string]struct {
		end  func(s *nodebus.Session, lose chan error)
		want error
	}{
		"the client is lost":   {func(_ *nodebus.Session, lose chan error) { lose <- lost }, lost},
		"the client leaves":    {func(_ *nodebus.Session, lose chan error) { lose <- nil }, nodebus.ErrClosed},
		"the session is ended": {func(s *nodebus.Session, _ chan error) { s.Close(nodebus.ErrForbidden) }, nodebus.ErrForbidden},
	} {
		for _, try := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, try=%t", name, try), func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					h := openHub(t, nil)
					s := h.Join("x", nil)
					r, p, lose := reading(try)
					synctest.Wait() // a goroutine of openHub or Join may still be ending
					before := goroutines()
					over := serveOn(t, s, r)
					say(t, h, "w")
					synctest.Wait()
					p.play()
					synctest.Wait()
					require.Equal(t, []string{"w"}, p.said(t))
					require.Equal(t, before+1, goroutines(), "an idle session has the goroutine of Serve alone")
					p.stop()
					say(t, h, "a write waits")
					synctest.Wait()
					c.end(s, lose)
					require.ErrorIs(t, over(), c.want)
					require.Equal(t, []error{c.want}, p.closed)
					synctest.Wait()
					require.Equal(t, before, goroutines())
				})
			})
		}
	}
}

// badReader is a transport whose ReadLoop panics or ends its goroutine.
type badReader struct {
	*tape
	read func()
}

func (p badReader) ReadLoop(context.Context) error {
	p.read()
	return nil
}

func TestReadLoopThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		read func()
		want string
	}{
		"panic":  {func() { panic("no") }, "nodebus: transport nodebus_test.badReader: ReadLoop: panic: no"},
		"Goexit": {runtime.Goexit, "nodebus: the transport ended the goroutine that reads with runtime.Goexit"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				p := &tape{}
				s := h.Join("x", nil)
				go func() { _ = s.Serve(t.Context(), badReader{p, c.read}) }()
				synctest.Wait()
				require.Len(t, p.closed, 1)
				require.EqualError(t, p.closed[0], c.want)
			})
		})
	}
}

// TestSecondServe checks that a second call of Serve returns an error at once, and
// changes nothing for the first call.
func TestSecondServe(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		first, second := &tape{}, &tape{}
		s := h.Join("x", nil)
		over := serveOn(t, s, first)
		synctest.Wait()
		refused := serveOn(t, s, second)
		synctest.Wait()
		say(t, h, "w")
		synctest.Wait()
		require.Equal(t, []string{"w"}, first.said(t))
		require.Empty(t, first.closed)
		require.ErrorContains(t, refused(), "Serve was called before")
		s.Close(nodebus.ErrForbidden)
		require.ErrorIs(t, over(), nodebus.ErrForbidden)
		require.Equal(t, []error{nodebus.ErrForbidden}, first.closed)
		require.ErrorContains(t, s.Serve(t.Context(), second), "Serve was called before")
		require.Empty(t, second.frames)
		require.Empty(t, second.closed)
	})
}

// quitter is a transport that ends the goroutine of the writer with runtime.Goexit.
type quitter struct{ *tape }

func (quitter) Write(context.Context, []nodebus.Frame) error {
	runtime.Goexit()
	return nil
}

func TestTransportThatEndsItsGoroutine(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		p := &tape{}
		over := serveOn(t, h.Join("x", nil), quitter{p})
		say(t, h, "w")
		require.ErrorContains(t, over(), "runtime.Goexit")
		require.Len(t, p.closed, 1)
	})
}

// goroutines counts the goroutines of the bubble that calls it.
func goroutines() int {
	bubble := regexp.MustCompile(`synctest bubble \d+\]`)
	stacks := make([]byte, 1<<20)
	own := string(bubble.Find(stacks[:runtime.Stack(stacks, false)]))
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), own)
}
