package client_test

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// greeted connects a client to a script without cursors.
func greeted(t *testing.T, opts *client.Options) (*client.Client, *scripted, *script) {
	s := newScript(t)
	var on *scripted
	done := make(chan struct{})
	go func() {
		defer close(done)
		on = <-s.accepted
		on.greets(t, "")
	}()
	c := dial(t, s.URL, opts)
	<-done
	return c, on, s
}

// TestManyFollows: many loops read one connection at once, and each yields all events of
// its prompt, in order. A listener has every event once, in order, before a loop yields it.
func TestManyFollows(t *testing.T) {
	const prompts, steps = 50, 40
	s := newSite(t, nil)
	c := dial(t, s.URL, &client.Options{ID: "me"})
	var mu sync.Mutex
	var heard []uint64
	client.On(c, func(ev nodebus.Event, _ ticked) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, ev.ID)
	})
	var loops sync.WaitGroup
	// follow checks that a loop has the steps of its prompt in order. It returns how many.
	follow := func(events iter.Seq2[nodebus.Event, error], one bool, each func(nodebus.Event)) (n int) {
		for ev, err := range events {
			if err != nil {
				t.Error(err)
				return n
			}
			each(ev)
			p, ok := ev.Payload.(ticked)
			if !ok {
				continue
			}
			if one && p.Step != n {
				t.Errorf("%s: step %d instead of %d", ev.PromptID, p.Step, n)
			}
			mu.Lock()
			if len(heard) == 0 || heard[len(heard)-1] < ev.ID {
				t.Error("the listener has not had the event")
			}
			mu.Unlock()
			n++
		}
		return n
	}
	ctx, cancel := context.WithCancel(deadline(t))
	begun := make(chan struct{})
	total := 0
	require.NoError(t, s.hub.SendSync(nodebus.Custom{Type: "begin"}, "me"))
	loops.Go(func() {
		total = follow(c.Events(ctx), false, func(ev nodebus.Event) {
			switch ev.Payload.EventType() {
			case "begin":
				close(begun)
			case "end":
				cancel()
			}
		})
	})
	<-begun
	var closed atomic.Int32
	for i := range prompts {
		id := fmt.Sprint("p", i)
		c.Keep(id)
		loops.Go(func() {
			n := follow(c.Follow(deadline(t), id), true, func(ev nodebus.Event) {
				if _, ok := ev.Payload.(nodebus.Executing); ok {
					closed.Add(1)
				}
			})
			if n != steps {
				t.Errorf("%s: %d steps", id, n)
			}
		})
	}
	for step := range steps {
		for i := range prompts {
			id := fmt.Sprint("p", i)
			require.NoError(t, s.hub.Publish(nodebus.Event{PromptID: id, To: "me", Payload: ticked{step}}))
		}
	}
	for i := range prompts {
		id := fmt.Sprint("p", i)
		require.NoError(t, s.hub.Publish(nodebus.Event{PromptID: id, To: "me", Payload: nodebus.Executing{PromptID: id}}))
	}
	require.NoError(t, s.hub.SendSync(nodebus.Custom{Type: "end"}, "me"))
	loops.Wait()
	require.EqualValues(t, prompts, closed.Load())
	require.Equal(t, prompts*steps, total)
	require.Len(t, heard, prompts*steps)
	require.IsIncreasing(t, heard)
}

// TestSlowLoop: a loop that handles an event for long does not hold up another loop, nor
// does the other loop make it miss anything.
func TestSlowLoop(t *testing.T) {
	c, on, _ := greeted(t, nil)
	next, stop := iter.Pull2(c.Events(deadline(t)))
	defer stop()
	on.says(t, `{"type":"first","data":{}}`)
	slow, _, _ := next()
	require.Equal(t, "first", slow.Payload.EventType())
	for i := range 1000 {
		on.says(t, `{"type":"n","data":%d}`, i)
	}
	n := 0
	for ev, err := range c.Events(deadline(t)) {
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(n), fmt.Sprintf("%s", ev.Payload.(nodebus.Custom).Data))
		if n++; n == 1000 {
			break
		}
	}
	for n := range 1000 {
		ev, err, _ := next()
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(n), fmt.Sprintf("%s", ev.Payload.(nodebus.Custom).Data))
	}
}

// TestErrSlow: a loop ends if too many events, or too many bytes, wait for it because others
// read. Other loops go on, and so does the next loop.
func TestErrSlow(t *testing.T) {
	for name, k := range map[string]struct {
		count, size int
		err         error
	}{
		"events, as many as may wait": {65536, 1, nil},
		"events, one more":            {65537, 1, nodebus.ErrSlow},
		"bytes, as many as may wait":  {16, 4 << 20, nil},
		"bytes, more":                 {17, 4 << 20, nodebus.ErrSlow},
		"one event of any size may":   {1, 65 << 20, nil},
		"but with another event not":  {2, 40 << 20, nodebus.ErrSlow},
	} {
		t.Run(name, func(t *testing.T) {
			c, on, _ := greeted(t, nil)
			slow, stopSlow := iter.Pull2(c.Events(deadline(t)))
			defer stopSlow()
			other, stopOther := iter.Pull2(c.Follow(deadline(t), "p"))
			defer stopOther()
			for _, next := range []func() (nodebus.Event, error, bool){slow, other} {
				on.says(t, `{"type":"begin","data":{},"prompt_id":"p"}`)
				_, err, _ := next()
				require.NoError(t, err)
			}
			_, err, _ := slow()
			require.NoError(t, err)
			for i := range k.count {
				c.TakeIn(nodebus.Event{Payload: ticked{i}}, k.size, false)
			}
			for i := 0; i < k.count && err == nil; i++ {
				var ev nodebus.Event
				if ev, err, _ = slow(); err == nil {
					require.Equal(t, ticked{i}, ev.Payload)
				}
			}
			require.ErrorIs(t, err, k.err)
			if k.err != nil {
				_, _, ok := slow()
				require.False(t, ok)
			}
			on.says(t, `{"type":"after","data":{},"prompt_id":"p"}`)
			ev, err, _ := other()
			require.NoError(t, err)
			require.Equal(t, "after", ev.Payload.EventType())
			on.says(t, `{"type":"last","data":{}}`)
			want := []string{"last"}
			if k.err != nil {
				want = []string{"after", "last"} // no loop over Events was there when it came
			}
			var got []string
			for ev, err := range c.Events(deadline(t)) {
				require.NoError(t, err)
				if got = append(got, ev.Payload.EventType()); len(got) == len(want) {
					break
				}
			}
			require.Equal(t, want, got)
		})
	}
}

// TestListenersMayWatchAndWait: a listener calls Watch, and waits for a prompt, in the
// middle of a loop. Other loops go on afterwards, and the listener has each event once.
func TestListenersMayWatchAndWait(t *testing.T) {
	s := newSite(t, nil)
	c := dial(t, s.URL, &client.Options{ID: "me"})
	say := func(id string, p nodebus.Payload) {
		require.NoError(t, s.hub.Publish(nodebus.Event{PromptID: id, To: "somebody", Payload: p}))
	}
	var heard, waited []string
	client.On(c, func(ev nodebus.Event, p ticked) {
		heard = append(heard, fmt.Sprint(ev.PromptID, p.Step))
		if p.Step != 0 {
			return
		}
		require.NoError(t, c.Watch(deadline(t), "q"))
		for step := range 3 {
			say("q", ticked{step + 1})
		}
		say("q", nodebus.Executing{PromptID: "q"})
		for ev, err := range c.Quietly(deadline(t), "q") {
			require.NoError(t, err)
			waited = append(waited, ev.Payload.EventType())
		}
		require.Equal(t, ev.Cursor(), c.Cursor(), "the listener has not had the later events")
		say("p", ticked{9})
		say("p", nodebus.Executing{PromptID: "p"})
	})
	require.NoError(t, c.Watch(deadline(t), "p"))
	say("p", ticked{0})
	var got []string
	for ev, err := range c.Follow(deadline(t), "p") {
		require.NoError(t, err)
		got = append(got, ev.Payload.EventType())
	}
	require.Equal(t, []string{"nodebus.watching", "test.ticked", "test.ticked", "executing"}, got)
	require.Equal(t, []string{"nodebus.watching", "test.ticked", "test.ticked", "test.ticked", "executing"}, waited)
	require.NoError(t, s.hub.SendSync(ticked{7}, "me"))
	words(t, c, 7)
	require.Equal(t, []string{"p0", "q1", "q2", "q3", "p9", "7"}, heard)
}

// TestCursorOfSeveralLoops: the cursor is before the first event that a loop has not had.
func TestCursorOfSeveralLoops(t *testing.T) {
	s := newSite(t, nil)
	c := listen(t, s, &client.Options{ID: "me"})
	events, stopEvents := iter.Pull2(c.Events(deadline(t)))
	follow, stopFollow := iter.Pull2(c.Follow(deadline(t), "p"))
	defer stopEvents()
	defer stopFollow()
	var at []nodebus.Cursor
	for n := range 4 {
		require.NoError(t, s.hub.Publish(nodebus.Event{PromptID: "p", To: "me", Payload: ticked{n}}))
	}
	take := func(next func() (nodebus.Event, error, bool)) nodebus.Event {
		ev, err, ok := next()
		require.NoError(t, err)
		require.True(t, ok)
		return ev
	}
	first := take(follow)
	require.Equal(t, first.Cursor(), c.Cursor(), "no other loop has begun")
	second := take(events)
	require.Equal(t, first.Cursor(), c.Cursor(), "the second event waits for Follow")
	take(follow)
	require.Equal(t, second.Cursor(), c.Cursor())
	third := take(follow)
	require.Equal(t, second.Cursor(), c.Cursor(), "the third event waits for Events")
	stopEvents()
	at = append(at, c.Cursor())
	require.Equal(t, second.Cursor(), at[0], "it waits for the next Events")
	fourth := take(follow)
	require.Equal(t, second.Cursor(), c.Cursor(), "what Follow reads is kept for Events")
	events, stopEvents = iter.Pull2(c.Events(deadline(t)))
	defer stopEvents()
	require.Equal(t, third.Cursor(), take(events).Cursor())
	require.Equal(t, fourth.Cursor(), take(events).Cursor())
	require.Equal(t, fourth.Cursor(), c.Cursor())
}

// TestCursorInAListener: a listener that stores the cursor stores the place after its event.
func TestCursorInAListener(t *testing.T) {
	s := newSite(t, nil)
	c := dial(t, s.URL, &client.Options{ID: "me"})
	ctx, cancel := context.WithCancel(deadline(t))
	n := 0
	client.On(c, func(ev nodebus.Event, p ticked) {
		require.Equal(t, ev.Cursor(), c.Cursor())
		if n++; n == 5 {
			cancel()
		}
	})
	for i := range 5 {
		require.NoError(t, s.hub.SendSync(ticked{i}, "me"))
	}
	require.ErrorIs(t, c.Run(ctx), context.Canceled)
	require.Equal(t, 5, n)
}

// TestWatchWithoutAnswer: a server never answers Watch. Loops of the client go on, also
// another Watch, and the end of one context ends only its Watch.
func TestWatchWithoutAnswer(t *testing.T) {
	c, on, _ := greeted(t, &client.Options{Retry: -1})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	for _, id := range []string{"p", "q"} {
		go func() { ended <- c.Watch(ctx, id) }()
		require.Contains(t, <-on.heard, "nodebus.watch")
	}
	next, stop := iter.Pull2(c.Events(deadline(t)))
	defer stop()
	for i := range 100 {
		on.says(t, `{"type":"n","data":%d}`, i)
		ev, err, _ := next()
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(i), fmt.Sprintf("%s", ev.Payload.(nodebus.Custom).Data))
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.ErrorIs(t, <-ended, context.Canceled)
	on.says(t, `{"type":"n","data":100}`)
	_, err, _ := next()
	require.NoError(t, err, "the connection is the same")
}

// TestContextOfALoopLeavesTheConnection: a server without cursors would not send again what
// is lost with a connection.
func TestContextOfALoopLeavesTheConnection(t *testing.T) {
	c, on, _ := greeted(t, &client.Options{Retry: -1})
	for i := range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%3)*time.Millisecond)
		require.ErrorIs(t, c.Run(ctx), context.DeadlineExceeded)
		cancel()
		on.says(t, `{"type":"n","data":{"prompt_id":"p","n":%d}}`, i)
		for ev, err := range c.Follow(deadline(t), "p") {
			require.NoError(t, err)
			require.JSONEq(t, fmt.Sprintf(`{"prompt_id":"p","n":%d}`, i), fmt.Sprintf("%s", ev.Payload.(nodebus.Custom).Data))
			break
		}
	}
}
