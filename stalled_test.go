package nodebus_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// stalledRun is what twenty clients receive, and what a number of stalled clients beside
// them learn.
type stalledRun struct {
	received  [][]string
	published int
	told      int // stalled clients that learned why their session ended
}

const (
	stalledKeep  = 200 // events that the log keeps
	stalledTotal = 4000
)

// TestStalledClientsChangeNothingForOthers checks that the other clients receive the same
// events in the same order, whether a hundred clients are stalled or none. Publish does
// not wait for a stalled client: all events are published while each of them is inside a
// Write, and the time of the bubble does not move.
func TestStalledClientsChangeNothingForOthers(t *testing.T) {
	runs := map[int]stalledRun{}
	for _, stalled := range []int{0, 100} {
		bubble.Test(t, func(t *testing.T) { runs[stalled] = runBesideStalled(t, stalled) })
	}
	require.Equal(t, stalledTotal, runs[0].published)
	require.Equal(t, stalledTotal, runs[100].published)
	require.Equal(t, runs[0].received, runs[100].received)
	require.Equal(t, 100, runs[100].told, "each stalled client must learn why its session ended")
}

func runBesideStalled(t *testing.T, stalled int) (run stalledRun) {
	h := openHub(t, &nodebus.HubOptions{QueueLen: 50, KeepLen: stalledKeep})
	var quick, slow []*tape
	for i := range 20 {
		p := &tape{}
		quick = append(quick, p)
		serveOn(t, h.Join(clientName(i), nil), asTransport(p, i%2 == 0))
	}
	var overs []func() error
	for i := range stalled {
		p := newPausedTape()
		slow = append(slow, p)
		s := h.Join(clientName(i%20), stalledOptions(i))
		overs = append(overs, serveOn(t, s, asTransport(p, i%3 == 0)))
	}
	synctest.Wait()
	say(t, h, "first")
	synctest.Wait()
	requireInside(t, slow)
	begin := time.Now()
	for n := range stalledTotal {
		publish(t, h, stalledEvent(n))
		run.published++
		if n%10 == 0 { // so that the queues of the quick clients never overflow
			synctest.Wait()
		}
	}
	require.Zero(t, time.Since(begin), "Publish has waited")
	requireInside(t, slices.DeleteFunc(slices.Clone(slow), (*tape).isClosed))
	for _, p := range slow {
		if !p.isClosed() {
			p.play()
		}
	}
	synctest.Wait()
	for i, over := range overs {
		if slow[i].isClosed() {
			require.ErrorIs(t, over(), nodebus.ErrSlow)
			require.ErrorIs(t, slow[i].closed[0], nodebus.ErrSlow)
			run.told++
		} else if slices.ContainsFunc(slow[i].said(t), isGap) { // it knows what it missed
			run.told++
		}
	}
	for _, p := range quick {
		run.received = append(run.received, p.said(t))
	}
	require.NotContains(t, run.received, []string(nil), "each client must receive something")
	return run
}

// stalledOptions returns the options of a stalled client: without a cursor, with a cursor,
// or with a filter.
func stalledOptions(i int) *nodebus.SessionOptions {
	switch i % 4 {
	case 0:
		return &nodebus.SessionOptions{Codec: nodebus.JSONCodec{Envelope: true}}
	case 1:
		return &nodebus.SessionOptions{Include: func(nodebus.Event) bool { return true }}
	case 2:
		return &nodebus.SessionOptions{WatchAll: true}
	}
	return nil
}

func isGap(said string) bool { return len(said) > 4 && said[:4] == "gap " }

func clientName(i int) string { return "client" + strconv.Itoa(i) }

// stalledEvent returns an event to a client, of a prompt of a client, or to everybody.
func stalledEvent(n int) nodebus.Event {
	ev := nodebus.Event{To: clientName(n % 20), Payload: word(fmt.Sprint("w", n))}
	switch n % 5 {
	case 0, 1:
		ev.PromptID = fmt.Sprint("p", n%20)
	case 2:
		ev.To, ev.Broadcast = "", true
	}
	return ev
}

// isClosed reports whether the hub has closed the transport.
func (p *tape) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.closed) > 0
}

// requireInside checks that a Write of each transport runs.
func requireInside(t *testing.T, tapes []*tape) {
	t.Helper()
	for _, p := range tapes {
		p.mu.Lock()
		require.True(t, p.inside, "a stalled transport is not inside a Write")
		p.mu.Unlock()
	}
}
