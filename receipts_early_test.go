package nodebus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// eager is a transport whose client confirms the outcome 2 before the write returns.
type eager struct {
	tryTape
	s *nodebus.Session
}

func (e eager) Write(ctx context.Context, frames []nodebus.Frame) error {
	e.s.Confirm(2)
	return e.tryTape.Write(ctx, frames)
}

func (e eager) TryWrite(wire []byte) (bool, error) {
	e.s.Confirm(2)
	return e.tryTape.TryWrite(wire)
}

// TestConfirmationBeforeTheWriteReturns: a quick client answers while the transport still
// writes, or keeps a part for the next write. The confirmation counts, but not before
// the last event of the prompt is sent.
func TestConfirmationBeforeTheWriteReturns(t *testing.T) {
	for name, takes := range map[string]int{"all at once": -1, "a part": 1, "nothing": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				first := eager{tryTape{newPausedTape()}, h.Join("alice", &nodebus.SessionOptions{Confirms: true})}
				first.takes = takes
				if takes < 0 {
					first.play()
				}
				go func() { _ = first.s.Serve(t.Context(), first) }()
				synctest.Wait()
				publish(t, h, start("p"), about("p", nodebus.ExecutionSuccess{PromptID: "p"}), ending("p"))
				synctest.Wait()
				if takes >= 0 {
					require.Equal(t, []string{"execution_start", "execution_success", "executing"}, typesAtReturn(t, h), "a part is not sent")
					first.play()
					synctest.Wait()
				}
				require.Empty(t, typesAtReturn(t, h))
				require.Len(t, first.frames, 3)
			})
		})
	}
}

// TestReturnsBeforeTheWriteReturns: a client has received and confirmed the end of its
// prompt and reconnects, while the hub still waits for the write to return. The hub waits
// a moment, and does not send the prompt again. If the client has not confirmed, the hub
// also waits a moment for the confirmation.
func TestReturnsBeforeTheWriteReturns(t *testing.T) {
	for name, early := range map[string]bool{"confirmed before": true, "confirmed after": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				s, p := h.Join("alice", &nodebus.SessionOptions{Confirms: true}), newPausedTape()
				publish(t, h, start("p"), about("p", nodebus.ExecutionSuccess{PromptID: "p"}), ending("p"))
				synctest.Wait()
				serveOn(t, s, p)
				synctest.Wait() // one Write waits with all three
				if early {
					s.Confirm(2)
				}
				time.AfterFunc(50*time.Millisecond, func() {
					p.play()
					if !early {
						time.Sleep(time.Millisecond)
						s.Confirm(2)
					}
				})
				require.Empty(t, typesAtReturn(t, h))
			})
		})
	}
}

// parting is a transport whose client reads everything and says goodbye before the write
// returns.
type parting struct {
	tryTape
	s   *nodebus.Session
	try bool
}

func (p parting) part(sent []byte) {
	if !bytes.Contains(sent, []byte(`"node":null`)) {
		return
	}
	p.s.ConfirmWritten()
	p.s.Close(nil)
	time.Sleep(time.Millisecond) // the session has ended, and only this write still runs
}

func (p parting) Write(ctx context.Context, frames []nodebus.Frame) error {
	defer p.part(frames[len(frames)-1].Data)
	return p.tryTape.Write(ctx, frames)
}

func (p parting) TryWrite(wire []byte) (bool, error) {
	if !p.try {
		return false, errors.ErrUnsupported
	}
	defer p.part(wire)
	return p.tryTape.TryWrite(wire)
}

// TestLeavesBeforeTheWriteReturns: a client has received the end of its prompt and ends
// the connection in an orderly way, while the hub still waits for the write to return.
func TestLeavesBeforeTheWriteReturns(t *testing.T) {
	for _, try := range []bool{true, false} {
		t.Run(fmt.Sprint("try=", try), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				s := h.Join("alice", &nodebus.SessionOptions{Confirms: true})
				over := serveOn(t, s, parting{tryTape{&tape{}}, s, try})
				synctest.Wait()
				publish(t, h, start("p"), about("p", nodebus.ExecutionSuccess{PromptID: "p"}), ending("p"))
				require.ErrorIs(t, over(), nodebus.ErrClosed)
				require.Empty(t, typesAtReturn(t, h))
			})
		})
	}
}

// typesAtReturn returns the types of the events that a client without a cursor is sent
// when it connects.
func typesAtReturn(t *testing.T, h *nodebus.Hub) (types []string) {
	t.Helper()
	s, p := h.Join("alice", &nodebus.SessionOptions{Confirms: true}), &tape{}
	ended := make(chan error)
	go func() { ended <- s.Serve(t.Context(), p) }()
	synctest.Wait()
	s.Close(nil)
	require.Error(t, <-ended)
	for _, f := range p.frames {
		types = append(types, f.Type)
	}
	return types
}
