package nodebus_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// TestSendReachesOneSession: an answer reaches the session that asked, and no other
// session of the client. It has no cursor, and clients that connect later do not receive
// it.
func TestSendReachesOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		opts := &nodebus.SessionOptions{Codec: nodebus.JSONCodec{Envelope: true}}
		tapes := []*tape{{}, {}}
		var sessions []*nodebus.Session
		for _, p := range tapes {
			s := h.Join("alice", opts)
			sessions = append(sessions, s)
			serveOn(t, s, p)
		}
		require.NoError(t, sessions[0].Send(word("answer")))
		synctest.Wait()
		require.Len(t, tapes[0].frames, 1)
		require.Empty(t, tapes[1].frames)
		ev, err := nodebus.JSON.Decode(tapes[0].frames[0])
		require.NoError(t, err)
		require.Equal(t, nodebus.Cursor{}, ev.Cursor())

		var encode *nodebus.EncodeError
		require.ErrorAs(t, sessions[0].Send(nodebus.Custom{Type: "odd", Data: func() {}}), &encode)
		sessions[1].Close(nil)
		require.ErrorIs(t, sessions[1].Send(word("late")), nodebus.ErrClosed)
	})
}

// TestSendIsBounded: a client that asks and does not read gets no more answers.
func TestSendIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		s, p := h.Join("alice", nil), newPausedTape()
		over := serveOn(t, s, p)
		var err error
		n := 0
		for ; err == nil && n < 1<<20; n++ {
			err = s.Send(word("answer"))
		}
		require.ErrorIs(t, err, nodebus.ErrClosed)
		require.Less(t, n, 10_000)
		require.ErrorIs(t, over(), nodebus.ErrSlow)
	})
}

// asking is a transport that sends an answer while the hub's worker writes.
type asking struct {
	tryTape
	s *nodebus.Session
}

func (a asking) TryWrite(wire []byte) (bool, error) {
	if err := a.s.Send(word("answer")); err != nil {
		return false, err
	}
	return a.tryTape.TryWrite(wire)
}

func (a asking) Write(ctx context.Context, frames []nodebus.Frame) error {
	return a.tryTape.Write(ctx, frames)
}

// TestSendDuringAWrite: an answer that is sent while the worker writes does not wait for
// the next event.
func TestSendDuringAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		s := h.Join("alice", nil)
		a := asking{tryTape{&tape{}}, s}
		serveOn(t, s, a)
		synctest.Wait()
		say(t, h, "event")
		synctest.Wait()
		require.Equal(t, []string{"event", "answer"}, a.said(t))
	})
}
