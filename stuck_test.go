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

// stuckTape is a transport whose first TryWrite does not return until the test says so.
type stuckTape struct {
	tryTape
	hold chan struct{}
}

func (p stuckTape) TryWrite(wire []byte) (bool, error) {
	<-p.hold
	return p.tryTape.TryWrite(wire)
}

// TestContract1StuckTransportDelaysPublishersOnce checks that a transport that breaks its
// contract and waits in TryWrite holds up the publishers at most once, and for a second. No
// session loses an event.
func TestContract1StuckTransportDelaysPublishersOnce(t *testing.T) {
	const events = 60_000 // more than three times as many as fit into an inbox
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		hold := make(chan struct{})
		stuck, other := stuckTape{tryTape{&tape{}}, hold}, &tape{}
		serveOn(t, h.Join("x", nil), stuck)
		serveOn(t, h.Join("x", nil), tryTape{other}) // in the same shard
		synctest.Wait()
		begin := time.Now()
		var want []string
		for n := range events {
			want = append(want, fmt.Sprint(n))
			require.NoError(t, h.Publish(nodebus.Event{PromptID: "1", To: "x", Payload: word(want[n])}))
		}
		require.LessOrEqual(t, time.Since(begin), time.Second)
		close(hold)
		synctest.Wait()
		require.Equal(t, want, other.said(t))
		require.Equal(t, want, stuck.said(t))
		require.Zero(t, h.Stats().Gaps)
	})
}

// TestIndexOfClientsIsBounded checks that prompts that never end, and prompts that clients
// expect in vain, do not fill the memory: the hub forgets the oldest.
func TestIndexOfClientsIsBounded(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, &nodebus.HubOptions{KeepLen: 1 << 20, KeepBytes: 1 << 30})
		for n := range 1<<16 + 10 {
			publish(t, h, nodebus.Event{PromptID: fmt.Sprint(n), To: "x", Payload: nodebus.ExecutionStart{}})
		}
		require.Equal(t, 1<<16, len(replayed(t, h, "x", nil))) //nolint:testifylint // Len would print the list

		confirming := &nodebus.SessionOptions{Confirms: true}
		for n := range 5000 {
			s := h.Join(fmt.Sprint("client ", n), confirming)
			h.Expect(s.Client(), "in vain")
			s.Close(nil)
		}
	})
}
