package nodebus_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

func TestCloseDeliversWhatWasPublished(t *testing.T) {
	for _, try := range []bool{false, true} {
		t.Run(fmt.Sprintf("try=%t", try), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := nodebus.NewHub(nil)
				quick, slow := &tape{}, newPausedTape()
				quickOver := serveOn(t, h.Join("quick", nil), asTransport(quick, try))
				slowOver := serveOn(t, h.Join("slow", nil), asTransport(slow, try))
				synctest.Wait() // both are served
				events := h.Subscribe(t.Context())
				const n = 3000 // more frames than one Write
				for i := range n {
					say(t, h, word(fmt.Sprint(i)))
				}
				time.AfterFunc(time.Second, slow.play)
				begin := time.Now()
				require.NoError(t, h.Close())
				require.Equal(t, time.Second, time.Since(begin))
				require.ErrorIs(t, quickOver(), nodebus.ErrClosed)
				require.ErrorIs(t, slowOver(), nodebus.ErrClosed)
				for _, p := range []*tape{quick, slow} {
					require.Len(t, p.frames, n)
					requireConsecutive(t, p.frames)
					require.Equal(t, []error{nodebus.ErrClosed}, p.closed)
				}
				i := 0
				for ev, err := range events {
					require.NoError(t, err)
					require.Equal(t, word(fmt.Sprint(i)), ev.Payload)
					i++
				}
				require.Equal(t, n, i)
			})
		})
	}
}

func TestCloseWaitsForAStalledClientAsLongAsDrainSays(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := nodebus.NewHub(&nodebus.HubOptions{Drain: 3 * time.Second})
		quick, stalled := &tape{}, newPausedTape()
		quickOver := serveOn(t, h.Join("quick", nil), quick)
		stalledOver := serveOn(t, h.Join("stalled", nil), stalled)
		synctest.Wait() // both are served
		say(t, h, "w")
		begin := time.Now()
		require.NoError(t, h.Close())
		require.Equal(t, 3*time.Second, time.Since(begin))
		require.ErrorIs(t, quickOver(), nodebus.ErrClosed)
		require.ErrorIs(t, stalledOver(), nodebus.ErrClosed)
		require.Equal(t, []string{"w"}, quick.said(t))
		require.Empty(t, stalled.frames)
		require.Equal(t, []error{nodebus.ErrClosed}, stalled.closed)
	})
}

// TestSecondCloseReturnsAtOnce checks that a second Close does not wait while the first
// Close waits for a client.
func TestSecondCloseReturnsAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := nodebus.NewHub(&nodebus.HubOptions{Drain: 3 * time.Second})
		over := serveOn(t, h.Join("stalled", nil), newPausedTape())
		synctest.Wait()
		say(t, h, "w")
		begin := time.Now()
		first := make(chan struct{})
		go func() {
			defer close(first)
			_ = h.Close()
		}()
		synctest.Wait()
		require.NoError(t, h.Close())
		require.Zero(t, time.Since(begin))
		<-first
		require.Equal(t, 3*time.Second, time.Since(begin))
		require.ErrorIs(t, over(), nodebus.ErrClosed)
	})
}

func TestCloseDoesNotWaitForASessionNobodyServes(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := nodebus.NewHub(nil)
		s := h.Join("x", &nodebus.SessionOptions{Hello: []nodebus.Payload{word("hello")}})
		begin := time.Now()
		require.NoError(t, h.Close())
		require.Zero(t, time.Since(begin))
		requireOver(t, s)
	})
}

// farewell is a transport whose Close takes some time.
type farewell struct {
	hole
	said bool
}

func (f *farewell) Close(error) error {
	time.Sleep(time.Second)
	f.said = true
	return nil
}

func TestCloseWaitsUntilClientsAreTold(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := nodebus.NewHub(nil)
		f := &farewell{}
		over := serveOn(t, h.Join("x", nil), f)
		synctest.Wait() // wait until the session is served
		require.NoError(t, h.Close())
		require.True(t, f.said)
		require.ErrorIs(t, over(), nodebus.ErrClosed)
	})
}

// requireOver checks that a session writes nothing and ends with ErrClosed, like a
// session of a closed hub.
func requireOver(t *testing.T, s *nodebus.Session) {
	p := &tape{}
	require.ErrorIs(t, s.Serve(t.Context(), p), nodebus.ErrClosed)
	require.Empty(t, p.frames)
	require.Equal(t, []error{nodebus.ErrClosed}, p.closed)
}

func TestClosedHub(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := nodebus.NewHub(nil)
		publish(t, h, start("1"))
		require.NoError(t, h.Close())
		begin := time.Now()
		require.NoError(t, h.Close())
		require.Zero(t, time.Since(begin))

		own := &ownCodec{}
		s := h.Join("alice", &nodebus.SessionOptions{Codec: own, Hello: []nodebus.Payload{word("hello")}})
		s.SetCodec(own)
		require.Equal(t, "alice", s.Client())
		requireOver(t, s)
		require.ErrorIs(t, h.Publish(about("1", word("w"))), nodebus.ErrClosed)
		require.ErrorIs(t, h.Broadcast(word("w")), nodebus.ErrClosed)
		require.Empty(t, own.asked)
		for ev, err := range h.Subscribe(t.Context()) {
			t.Errorf("got %v, %v from a closed hub", ev, err)
		}
	})
}

func TestCloseWhileEverybodyIsBusy(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := nodebus.NewHub(nil)
		var over []func() error
		tapes := make([]*tape, 6)
		for i := range tapes {
			tapes[i] = &tape{enough: 100, full: make(chan struct{})}
			over = append(over, serveOn(t, h.Join(fmt.Sprint(i%3), nil), asTransport(tapes[i], i%2 == 0)))
		}
		synctest.Wait() // wait until all sessions are served
		accepted := make([]int, 4)
		for p := range accepted {
			go func() {
				for ; h.Broadcast(word("w")) == nil; accepted[p]++ {
				}
			}()
			go func() {
				for {
					s := h.Join("3", nil)
					s.Close(nil)
					if h.Broadcast(word("joined")) != nil {
						return
					}
				}
			}()
		}
		<-tapes[0].full
		require.NoError(t, h.Close())
		synctest.Wait()
		n := 0
		for _, a := range accepted {
			n += a
		}
		for i, p := range tapes {
			require.ErrorIs(t, over[i](), nodebus.ErrClosed)
			requireConsecutive(t, p.frames)
			words := 0
			for _, w := range p.said(t) {
				if w == "w" {
					words++
				}
			}
			require.Equal(t, n, words, "every event that Publish accepted must be delivered")
		}
	})
}

// TestCloseDoesNotWaitForATransportThatDoesNotReturn checks that Close returns after
// Drain although a transport is stuck, and that the sessions end.
func TestCloseDoesNotWaitForATransportThatDoesNotReturn(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := nodebus.NewHub(&nodebus.HubOptions{Drain: 3 * time.Second})
		stuck, neighbour := newHoldUp(t), &tape{}
		over := serveOn(t, h.Join("x", nil), stuck)
		neighbourOver := serveOn(t, h.Join("x", nil), neighbour)
		synctest.Wait()
		say(t, h, "a")
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, h.Close())
		require.Equal(t, 3*time.Second, time.Since(begin))
		require.ErrorIs(t, neighbourOver(), nodebus.ErrClosed)
		require.Equal(t, []error{nodebus.ErrClosed}, neighbour.closed)
		stuck.open()
		require.ErrorIs(t, over(), nodebus.ErrClosed)
	})
}
