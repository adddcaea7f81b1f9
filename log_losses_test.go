package nodebus_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// manyOthers publishes prompts of other clients and lets them expire. There are more of
// them than the log can remember one by one.
func manyOthers(t *testing.T, h *nodebus.Hub) {
	for n := range 4200 {
		id := fmt.Sprint("other ", n)
		of := func(p nodebus.Payload) nodebus.Event { return nodebus.Event{PromptID: id, To: id, Payload: p} }
		publish(t, h, of(nodebus.ExecutionStart{}), of(nodebus.Executing{}))
	}
	time.Sleep(time.Hour)
	synctest.Wait()
}

// TestLossesOfOthersAreNoLosses checks that a client whose events are all kept receives no
// gap and is not disconnected because the events of many others are lost.
func TestLossesOfOthersAreNoLosses(t *testing.T) {
	for name, opts := range map[string]nodebus.SessionOptions{
		"without cursors": {Confirms: true},
		"with cursors":    {Codec: nodebus.JSONCodec{Envelope: true}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				publish(t, h, start("1"))
				for range 1500 { // more than a page
					publish(t, h, about("1", word("w")))
				}
				manyOthers(t, h)
				require.Equal(t, 1501, len(replayed(t, h, "alice", &opts))) //nolint:testifylint // Len would print the list
				require.Zero(t, h.Stats().Gaps)
			})
		})
	}
}

func TestSlowClientIsNotToldOfTheLossesOfOthers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, &nodebus.HubOptions{QueueLen: 10, KeepLen: 10_000})
		p := newPausedTape()
		serveOn(t, h.Join("alice", nil), p)
		publish(t, h, about("1", word("first")))
		synctest.Wait()
		manyOthers(t, h)
		for range 200 {
			publish(t, h, about("1", word("w")))
		}
		synctest.Wait()
		p.play()
		synctest.Wait()
		require.Len(t, p.frames, 201)
		require.Empty(t, p.closed)
	})
}

// TestLossInThePastOfAWatchedPrompt checks that the answer says so. A gap would move the
// client's own cursor back.
func TestLossInThePastOfAWatchedPrompt(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, &nodebus.HubOptions{KeepLen: 20})
		s, p := watcher(t, h, nodebus.SessionOptions{})
		for n := range 30 {
			publish(t, h, ofBob(word(fmt.Sprint(n))))
		}
		require.NoError(t, s.Watch("1"))
		require.NoError(t, s.Watch("2"))
		synctest.Wait()
		require.Len(t, p.frames, 20+2)
		require.Contains(t, string(p.frames[20].Data), `{"prompt_id":"1","watching":true,"incomplete":true}`)
		require.Contains(t, string(p.frames[21].Data), `{"prompt_id":"2","watching":true}`)
		require.Zero(t, h.Stats().Gaps)
	})
}

// TestNewLifeOfAnIDReplacesNothing checks that a state of a new prompt does not replace a
// state of an earlier prompt with the same id, which waits before its end.
func TestNewLifeOfAnIDReplacesNothing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		p := newPausedTape()
		serveOn(t, h.Join("alice", nil), p)
		say(t, h, "in the write that waits")
		synctest.Wait()
		for n := range 2 {
			publish(t, h, start("1"), about("1", gauge{"g", n}), ending("1"))
		}
		synctest.Wait()
		p.play()
		synctest.Wait()
		require.Equal(t, []string{"execution_start", "g=0", "executing", "execution_start", "g=1", "executing"}, p.said(t)[1:])
	})
}

// TestReleaseBeforeTheReplayIsWritten checks that a held event of a later page is sent.
func TestReleaseBeforeTheReplayIsWritten(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		for range 2000 {
			publish(t, h, about("1", word("w")))
		}
		publish(t, h, about("1", gauge{"held", 1}))
		p := newPausedTape()
		s := h.Join("alice", &nodebus.SessionOptions{Hold: []string{"gauge"}})
		serveOn(t, s, p)
		synctest.Wait() // the first page is being written
		s.Release("gauge")
		p.play()
		synctest.Wait()
		require.Equal(t, 2001, len(p.frames)) //nolint:testifylint // Len would print the list
		require.Equal(t, "held=1", p.said(t)[2000])
	})
}

// faultyLog is a log whose parts fail or do not return.
type faultyLog struct {
	nodebus.Log
	follow, read error
	stop         func()
}

func (l *faultyLog) Follow(deliver func(nodebus.Event)) (nodebus.Cursor, func(), error) {
	if l.follow != nil {
		return nodebus.Cursor{}, nil, l.follow
	}
	at, stop, err := l.Log.Follow(deliver)
	if l.stop != nil {
		stop = l.stop
	}
	return at, stop, err
}

func (l *faultyLog) Read(q nodebus.LogQuery) (nodebus.LogPage, error) {
	if l.read != nil {
		return nodebus.LogPage{}, l.read
	}
	return l.Log.Read(q)
}

func TestHubOfALogThatCannotBeFollowed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		no := errors.New("no")
		h := openHub(t, &nodebus.HubOptions{Log: &faultyLog{Log: nodebus.NewMemoryLog(nil), follow: no}})
		require.ErrorIs(t, h.Broadcast(word("w")), no)
		require.ErrorIs(t, h.Join("alice", nil).Serve(t.Context(), &tape{}), no)
		var last error
		for _, err := range h.Subscribe(t.Context()) {
			last = err
		}
		require.ErrorIs(t, last, no)
	})
}

func TestAnswersNeedNoLog(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		log := &faultyLog{Log: nodebus.NewMemoryLog(nil)}
		h := openHub(t, &nodebus.HubOptions{Log: log})
		s, p := watcher(t, h, nodebus.SessionOptions{})
		log.read = errors.New("no")
		require.NoError(t, s.Send(word("for this session")))
		s.Unwatch("1")
		synctest.Wait()
		require.Equal(t, []string{"for this session", "nodebus.watching"}, p.said(t))
		require.Empty(t, p.closed)
	})
}

func TestCloseDoesNotWaitForALogForEver(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		h := nodebus.NewHub(&nodebus.HubOptions{Drain: time.Second, Log: &faultyLog{Log: nodebus.NewMemoryLog(nil), stop: func() { <-hold }}})
		over := serveOn(t, h.Join("alice", nil), &tape{})
		begin := time.Now()
		require.NoError(t, h.Close())
		require.LessOrEqual(t, time.Since(begin), time.Second)
		require.ErrorIs(t, over(), nodebus.ErrClosed)
		close(hold)
	})
}

// angryError is an error of foreign code whose methods panic.
type angryError struct{}

func (angryError) Error() string { return "angry" }
func (angryError) Is(error) bool { panic("no") }

// failingTape is a tape whose writes fail with an angryError.
type failingTape struct {
	tryTape
	try bool
}

func (p failingTape) TryWrite([]byte) (bool, error) {
	if p.try {
		return false, angryError{}
	}
	return false, errors.ErrUnsupported
}

func (failingTape) Write(context.Context, []nodebus.Frame) error { return angryError{} }

func TestErrorsWhoseMethodsPanic(t *testing.T) {
	for _, try := range []bool{false, true} {
		bubble.Test(t, func(t *testing.T) {
			h := openHub(t, nil)
			p := failingTape{tryTape{&tape{}}, try}
			over := serveOn(t, h.Join("x", nil), p)
			other := &tape{}
			serveOn(t, h.Join("x", nil), other)
			say(t, h, "w")
			synctest.Wait()
			require.Equal(t, []string{"w"}, other.said(t))
			require.Equal(t, angryError{}, over())
		})
	}
}
