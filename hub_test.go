package nodebus_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

const visits = 20

func TestContract2SessionsSeeIncreasingIDs(t *testing.T) {
	const publishers, each, visitors = 8, 300, 4
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		stay := []*tape{{}, {}, {}}
		serveOn(t, h.Join("a", nil), stay[0])
		serveOn(t, h.Join("a", &nodebus.SessionOptions{WatchAll: true}), stay[1])
		serveOn(t, h.Join("b", nil), tryTape{stay[2]})
		var all sync.WaitGroup
		for p := range publishers {
			all.Go(func() {
				for n := range each {
					publish(t, h, nodebus.Event{Broadcast: true, Payload: word(fmt.Sprintf("%d/%03d", p, n))})
				}
			})
		}
		for c := range visitors {
			all.Go(func() { comeAndGo(t, h, fmt.Sprint("visitor", c)) })
		}
		all.Wait()
		synctest.Wait()
		for _, p := range stay {
			require.Len(t, p.frames, publishers*each+visitors*visits)
			requireConsecutive(t, p.frames)
			words := p.said(t)
			slices.SortStableFunc(words, func(a, b string) int { return strings.Compare(a[:2], b[:2]) })
			require.True(t, slices.IsSorted(words), "the events of one publisher must stay in order")
		}
	})
}

// comeAndGo joins and leaves several times, each time with the ID of the last event it
// received. Together, the sessions must receive the same events as one long session.
func comeAndGo(t *testing.T, h *nodebus.Hub, client string) {
	var seen []nodebus.Frame
	for range visits {
		opts := &nodebus.SessionOptions{}
		if len(seen) > 0 {
			opts.Since = seen[len(seen)-1].Cursor()
		}
		p := &tape{enough: 1, full: make(chan struct{})}
		s := h.Join(client, opts)
		over := serveOn(t, s, p)
		publish(t, h, nodebus.Event{Broadcast: true, Payload: word("9/visit")})
		<-p.full
		s.Close(nil)
		require.ErrorIs(t, over(), nodebus.ErrClosed)
		seen = append(seen, p.frames...)
	}
	requireConsecutive(t, seen)
}

func requireConsecutive(t *testing.T, frames []nodebus.Frame) {
	t.Helper()
	for i, f := range frames {
		require.Equal(t, frames[0].ID+uint64(i), f.ID)
	}
}

func TestContract3WhoGetsWhat(t *testing.T) {
	type opts = nodebus.SessionOptions
	sessions := []struct {
		name, client string
		opts         *opts
	}{
		{"alice", "alice", nil},
		{"bob", "bob", nil},
		{"anonymous", "", nil},
		{"watcher of 1", "carol", &opts{Watch: []string{"1", "1"}}},
		{"watcher of 2 and 1", "dave", &opts{Watch: []string{"2", "1"}}},
		{"watcher of all", "erin", &opts{WatchAll: true}},
		{"alice, watching her own", "alice", &opts{Watch: []string{"1"}, WatchAll: true}},
	}
	everyone := []string{"alice", "bob", "anonymous", "watcher of 1", "watcher of 2 and 1", "watcher of all", "alice, watching her own"}
	for name, c := range map[string]struct {
		ev   nodebus.Event
		gets []string
	}{
		"to everyone":                        {nodebus.Event{Broadcast: true}, everyone},
		"to bob":                             {nodebus.Event{To: "bob"}, []string{"bob"}},
		"to alice":                           {nodebus.Event{To: "alice"}, []string{"alice", "alice, watching her own"}},
		"to somebody who is not there":       {nodebus.Event{To: "zoe"}, nil},
		"of a prompt of alice":               {nodebus.Event{PromptID: "1", To: "alice"}, []string{"alice", "watcher of 1", "watcher of 2 and 1", "watcher of all", "alice, watching her own"}},
		"of a prompt of bob":                 {nodebus.Event{PromptID: "2", To: "bob"}, []string{"bob", "watcher of 2 and 1", "watcher of all", "alice, watching her own"}},
		"of a prompt of nobody":              {nodebus.Event{PromptID: "1"}, []string{"watcher of 1", "watcher of 2 and 1", "watcher of all", "alice, watching her own"}},
		"of a prompt that nobody watches":    {nodebus.Event{PromptID: "3"}, []string{"watcher of all", "alice, watching her own"}},
		"of a prompt of one who is not here": {nodebus.Event{PromptID: "3", To: "zoe"}, []string{"watcher of all", "alice, watching her own"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				tapes := map[string]*tape{}
				for i, s := range sessions {
					p := &tape{}
					tapes[s.name] = p
					serveOn(t, h.Join(s.client, s.opts), asTransport(p, i%2 == 0))
				}
				synctest.Wait()
				c.ev.Payload = word("w")
				publish(t, h, c.ev, c.ev)
				synctest.Wait()
				for name, p := range tapes {
					var want []string
					if slices.Contains(c.gets, name) {
						want = []string{"w", "w"}
					}
					require.Equal(t, want, p.said(t), name)
				}
			})
		})
	}
}

func TestContract3SendSyncReachesEachClientNamed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		tapes := map[string]*tape{"a": {}, "b": {}, "c": {}}
		for client, p := range tapes {
			serveOn(t, h.Join(client, nil), p)
		}
		require.NoError(t, h.SendSync(word("some"), "a", "b"))
		require.NoError(t, h.Broadcast(word("all")))
		synctest.Wait()
		require.Equal(t, []string{"some", "all"}, tapes["a"].said(t))
		require.Equal(t, []string{"some", "all"}, tapes["b"].said(t))
		require.Equal(t, []string{"all"}, tapes["c"].said(t))
	})
}

func TestContract6SessionsOfOneClient(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, &nodebus.HubOptions{QueueLen: 2, KeepLen: 2})
		good, closed, slow := &tape{}, &tape{}, newPausedTape()
		serveOn(t, h.Join("alice", nil), good)
		leaver := h.Join("alice", nil)
		serveOn(t, leaver, closed)
		tooSlow := serveOn(t, h.Join("alice", nil), slow)
		synctest.Wait()
		for n := range 6 {
			publish(t, h, about("1", word(fmt.Sprint(n))))
			synctest.Wait()
			if n == 2 {
				leaver.Close(nodebus.ErrForbidden)
				synctest.Wait()
			}
		}
		slow.play()
		require.ErrorIs(t, tooSlow(), nodebus.ErrSlow)
		require.Equal(t, []string{"0", "1", "2", "3", "4", "5"}, good.said(t))
		require.Equal(t, []string{"0", "1", "2"}, closed.said(t))
		require.Equal(t, []error{nodebus.ErrForbidden}, closed.closed)
	})
}

func TestContract7NothingDependsOnWhoListens(t *testing.T) {
	record := func(t *testing.T, listeners int) (kept []string) {
		bubble.Test(t, func(t *testing.T) {
			h := openHub(t, &nodebus.HubOptions{QueueLen: 3})
			for n := range listeners {
				serveOn(t, h.Join("alice", &nodebus.SessionOptions{WatchAll: n > 1}), asTransport(newPausedTape(), n == 0))
			}
			say(t, h, "before")
			begin := h.Join("x", nil)
			publish(t, h, start("1"), about("1", gauge{"g", 1}), about("1", word("w")), about("1", gauge{"g", 2}), ending("1"))
			synctest.Wait()
			begin.Close(nil)
			p := &tape{}
			serveOn(t, h.Join("late", &nodebus.SessionOptions{Watch: []string{"1"}}), p)
			synctest.Wait()
			kept = bare(p.frames)
		})
		return kept
	}
	alone := record(t, 0)
	require.Len(t, alone, 4)
	require.Equal(t, alone, record(t, 1))
	require.Equal(t, alone, record(t, 3))
}

// TestNegativeLimits checks that a limit below zero means the default.
func TestNegativeLimits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := nodebus.NewHub(&nodebus.HubOptions{QueueLen: -1, QueueBytes: -1, Retain: -1, KeepLen: -1, KeepBytes: -1, Drain: -1})
		cursor := newestID(t, h)
		loop := listen(t.Context(), h)
		p := newPausedTape()
		over := serveOn(t, h.Join("alice", nil), p)
		synctest.Wait()
		for _, w := range []word{"a", "b", "c"} {
			publish(t, h, about("1", w))
			synctest.Wait()
		}
		publish(t, h, ending("1"))
		time.Sleep(4 * time.Minute)
		require.Equal(t, []string{"a", "b", "c", "executing"}, replayed(t, h, "alice", since(h, cursor)))
		time.AfterFunc(4*time.Second, p.play)
		require.NoError(t, h.Close())
		require.ErrorIs(t, over(), nodebus.ErrClosed)
		require.Equal(t, []string{"a", "b", "c", "executing"}, p.said(t))
		synctest.Wait()
		require.NoError(t, loop.err)
		require.Len(t, loop.events, 4)
	})
}

// TestPublishersWaitForTheHubItself checks that a publisher waits when the inbox of a
// shard is full. The worker of a shard never waits for clients; here a special
// transport stops it.
func TestPublishersWaitForTheHubItself(t *testing.T) {
	for name, c := range map[string]struct {
		n int
		p nodebus.Payload
	}{
		"many":   {40_000, word("w")},
		"large":  {40, word(strings.Repeat("x", 1<<20))},
		"images": {40, nodebus.Preview{Image: make([]byte, 1<<20)}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, &nodebus.HubOptions{KeepLen: 1})
				worker := newHoldUp(t)
				serveOn(t, h.Join("x", nil), worker)
				synctest.Wait()
				sent := 0
				go func() {
					for range c.n {
						publish(t, h, nodebus.Event{To: "x", Payload: c.p, Frozen: true})
						sent++
					}
				}()
				synctest.Wait()
				require.Less(t, sent, c.n)
				worker.open()
				synctest.Wait()
				require.Equal(t, c.n, sent)
			})
		})
	}
}
