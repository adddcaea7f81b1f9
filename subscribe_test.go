package nodebus_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// listening is one Subscribe loop, run by listen.
type listening struct {
	events []nodebus.Event
	err    error // the error of the last value
	over   bool
}

// listen reads a subscription to its end. Read the result only after synctest.Wait.
func listen(ctx context.Context, h *nodebus.Hub) *listening {
	l := &listening{}
	events := h.Subscribe(ctx)
	go func() {
		for ev, err := range events {
			if err != nil {
				l.err = err
				continue
			}
			l.events = append(l.events, ev)
		}
		l.over = true
	}()
	return l
}

func payloads(events []nodebus.Event) (all []nodebus.Payload) {
	for _, ev := range events {
		all = append(all, ev.Payload)
	}
	return all
}

func TestSubscriberGetsAllEventsFromTheCallOn(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		say(t, h, "before")
		events := h.Subscribe(t.Context())
		p := &pointed{"the same pointer"}
		sent := []nodebus.Event{
			{Broadcast: true, Payload: word("w")},
			{To: "bob", Payload: gauge{"g", 1}},
			{To: "bob", Payload: gauge{"g", 2}},
			about("1", nodebus.Progress{Value: 1, Max: 2}),
			{PromptID: "2", Attempt: 2, Payload: p},
			ending("1"),
		}
		begin := time.Now()
		publish(t, h, sent...)
		require.ErrorIs(t, h.Publish(about("1", word("refused"))), nodebus.ErrClosed)
		var got []nodebus.Event
		for ev, err := range events {
			require.NoError(t, err)
			if got = append(got, ev); len(got) == len(sent) {
				break
			}
		}
		first := got[0].ID
		for i := range got {
			require.Equal(t, first+uint64(i), got[i].ID)
			require.WithinDuration(t, begin, got[i].Time, 0)
			require.Equal(t, h.Epoch(), got[i].Epoch)
			got[i].ID, got[i].Epoch, got[i].Time = 0, "", time.Time{}
		}
		require.Equal(t, sent, got)
		require.Same(t, p, got[4].Payload)
	})
}

func TestSubscriptionEnds(t *testing.T) {
	for name, end := range map[string]func(h *nodebus.Hub, cancel func()){
		"with its context": func(_ *nodebus.Hub, cancel func()) { cancel() },
		"with the hub":     func(h *nodebus.Hub, _ func()) { _ = h.Close() },
		"with both":        func(h *nodebus.Hub, cancel func()) { cancel(); _ = h.Close(); cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				ctx, cancel := context.WithCancel(t.Context())
				l := listen(ctx, h)
				say(t, h, "a", "b")
				synctest.Wait()
				require.False(t, l.over)
				end(h, cancel)
				synctest.Wait()
				require.True(t, l.over)
				require.NoError(t, l.err)
				_ = h.Broadcast(word("too late"))
				synctest.Wait()
				require.Equal(t, []nodebus.Payload{word("a"), word("b")}, payloads(l.events))
			})
		})
	}
}

func TestSubscriptionOfAContextThatHasEnded(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		l := listen(ctx, h)
		synctest.Wait()
		say(t, h, "w")
		require.True(t, l.over)
		require.NoError(t, l.err)
		require.Empty(t, l.events)
	})
}

// No event follows the end of the context, not even an event that waits already.
func TestSubscriptionEndsBetweenTwoEvents(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		events := h.Subscribe(ctx)
		say(t, h, "a", "b", "c")
		var got []nodebus.Event
		for ev, err := range events {
			require.NoError(t, err)
			got = append(got, ev)
			if ev.Payload == word("b") {
				cancel()
			}
		}
		require.Equal(t, []nodebus.Payload{word("a"), word("b")}, payloads(got))
	})
}

func TestSubscriberWhoBreaksIsGone(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		events := h.Subscribe(t.Context())
		say(t, h, "a", "b", "c")
		for ev, err := range events {
			require.NoError(t, err)
			require.Equal(t, word("a"), ev.Payload)
			break
		}
		say(t, h, "d")
		for ev, err := range events { // a second loop ends at once
			t.Errorf("got %v, %v after the loop", ev, err)
		}
		require.PanicsWithValue(t, "in the loop", func() {
			events := h.Subscribe(t.Context())
			say(t, h, "e")
			for _, err := range events {
				require.NoError(t, err)
				panic("in the loop")
			}
		})
		say(t, h, "and the hub goes on")
	})
}

func TestSubscriberTooFarBehindGetsErrSlowLast(t *testing.T) {
	for name, c := range map[string]struct {
		opts nodebus.HubOptions
		fits int
	}{
		"events": {nodebus.HubOptions{KeepLen: 5}, 5},
		"bytes":  {nodebus.HubOptions{KeepBytes: 1000}, 10},
		"one":    {nodebus.HubOptions{KeepBytes: 10}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, &c.opts)
				fast := listen(t.Context(), h)
				slow := h.Subscribe(t.Context())
				for n := range 20 {
					say(t, h, word(fmt.Sprintf("%80d", n)))
					if n%2 == 0 || c.fits == 1 {
						synctest.Wait()
					}
				}
				n := 0
				var last error
				for ev, err := range slow {
					require.NoError(t, last, "nothing follows the error")
					if last = err; err == nil {
						require.Equal(t, word(fmt.Sprintf("%80d", n)), ev.Payload)
						n++
					}
				}
				require.ErrorIs(t, last, nodebus.ErrSlow)
				synctest.Wait()
				require.Equal(t, c.fits, n)
				require.Len(t, fast.events, 20)
				require.NoError(t, fast.err)
			})
		})
	}
}

func TestSubscriptionThatIsNeverRead(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, &nodebus.HubOptions{KeepLen: 2})
		ctx, cancel := context.WithCancel(t.Context())
		forgotten := h.Subscribe(ctx)
		_ = h.Subscribe(t.Context())
		begin := time.Now()
		say(t, h, "a", "b", "c", "d")
		cancel()
		synctest.Wait()
		say(t, h, "e")
		for ev, err := range forgotten {
			t.Errorf("got %v, %v after the context has ended", ev, err)
		}
		require.NoError(t, h.Close())
		require.Zero(t, time.Since(begin))
	})
}

func TestSubscribersWhilePublishersRun(t *testing.T) {
	const publishers, each, readers = 4, 2000, 3
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		var all []*listening
		for range readers {
			all = append(all, listen(t.Context(), h))
		}
		var done sync.WaitGroup
		for p := range publishers {
			done.Go(func() {
				for n := range each {
					publish(t, h, nodebus.Event{Broadcast: true, Payload: gauge{fmt.Sprint(p), n}})
				}
			})
		}
		done.Go(func() {
			for range visits { // other subscribers come and go at the same time
				events := h.Subscribe(t.Context())
				publish(t, h, nodebus.Event{Broadcast: true, Payload: word("visit")})
				for _, err := range events {
					if err != nil {
						t.Error(err)
					}
					break
				}
			}
		})
		done.Wait()
		say(t, h, "last")
		synctest.Wait()
		for _, l := range all {
			require.NoError(t, l.err)
			require.Len(t, l.events, publishers*each+visits+1)
			for i, ev := range l.events {
				require.Equal(t, l.events[0].ID+uint64(i), ev.ID)
			}
		}
	})
}
