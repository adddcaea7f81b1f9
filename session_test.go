package nodebus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

func TestContract4SlowClientSeesTheLatest(t *testing.T) {
	for _, try := range []bool{false, true} {
		t.Run(fmt.Sprintf("try=%t", try), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				slow, fast := newPausedTape(), &tape{}
				serveOn(t, h.Join("slow", nil), asTransport(slow, try))
				serveOn(t, h.Join("fast", nil), asTransport(fast, try))
				say(t, h, "in the write that waits")
				synctest.Wait()
				for _, p := range []nodebus.Payload{
					gauge{"x", 1}, word("a"), gauge{"y", 1}, gauge{"x", 2}, word("b"), gauge{"x", 3}, gauge{"z", 1}, word("a"),
				} {
					require.NoError(t, h.Broadcast(p))
					synctest.Wait()
				}
				slow.play()
				synctest.Wait()
				require.Equal(t, []string{"in the write that waits", "a", "y=1", "b", "x=3", "z=1", "a"}, slow.said(t))
				require.Equal(t, []string{"in the write that waits", "x=1", "a", "y=1", "x=2", "b", "x=3", "z=1", "a"}, fast.said(t))
			})
		})
	}
}

// TestContract4StateComesBeforeTheStep checks that a state that was reported before a step
// of the prompt reaches a slow client before the step. A newer state replaces it only if no
// step lies between.
func TestContract4StateComesBeforeTheStep(t *testing.T) {
	progress := func(n float64) nodebus.Payload {
		return nodebus.Progress{Value: n, Max: 9, PromptID: "1", UniqueID: "5"}
	}
	state := func(value float64) nodebus.Payload {
		return nodebus.ProgressState{PromptID: "1"}.With(nodebus.NodeState{Place: nodebus.Place{UniqueID: "5"}, Value: value, Max: 9})
	}
	executed := nodebus.Executed{Place: nodebus.Place{UniqueID: "5"}, PromptID: "1"}
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		slow := newPausedTape()
		serveOn(t, h.Join("alice", nil), slow)
		say(t, h, "in the write that waits")
		synctest.Wait()
		for _, p := range []nodebus.Payload{
			gauge{"g", 1},
			progress(1), state(1),
			gauge{"g", 2},
			progress(2), state(2), executed,
			state(3),
			nodebus.Preview{PromptID: "1", Image: []byte("a")},
			nodebus.Executing{UniqueID: "6", PromptID: "1"},
			nodebus.Preview{PromptID: "1", Image: []byte("b")},
			state(4), state(5),
			gauge{"g", 3},
		} {
			publish(t, h, about("1", p))
		}
		publish(t, h, about("2", executed), about("1", state(6)))
		synctest.Wait()
		slow.play()
		synctest.Wait()
		require.Equal(t, []string{
			"g=2", "progress", "progress_state", "executed", "progress_state", "executing 6",
			"b_preview_with_metadata", "g=3", "executed", "progress_state",
		}, slow.said(t)[1:])
		require.Contains(t, string(slow.frames[3].Data), `"value":2`)
		require.Contains(t, string(slow.frames[5].Data), `"value":3`)
		require.Contains(t, string(slow.frames[10].Data), `"value":6`)
		require.EqualValues(t, 6, h.Stats().Replaced)
	})
}

func TestContract4FastClientLosesNothing(t *testing.T) {
	const n = 2000
	for name, c := range map[string]struct{ try, burst bool }{
		"written to by its goroutine": {},
		"written to by the hub":       {try: true},
		"in bursts":                   {try: true, burst: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, &nodebus.HubOptions{QueueLen: 2})
				p := &tape{}
				serveOn(t, h.Join("fast", nil), asTransport(p, c.try))
				synctest.Wait()
				for i := range n {
					require.NoError(t, h.Broadcast(gauge{"g", i}))
					if !c.burst || i%500 == 0 {
						synctest.Wait()
					}
				}
				synctest.Wait()
				require.Len(t, p.frames, n)
			})
		})
	}
}

// TestContract4FullQueueContinuesFromTheLog checks what becomes of a session whose queue
// is full: it reads on from the log. If the log has lost the events, a session with
// cursors receives a gap, and a session without cursors ends. Other sessions are
// not affected.
func TestContract4FullQueueContinuesFromTheLog(t *testing.T) {
	long := word(strings.Repeat("x", 400))
	for name, c := range map[string]struct {
		opts nodebus.HubOptions
		fits []nodebus.Payload // events that fit into the queue
		one  nodebus.Payload   // the event that does not fit any more
	}{
		"events":              {nodebus.HubOptions{QueueLen: 3}, []nodebus.Payload{word("a"), word("b"), word("c")}, word("d")},
		"events of all keys":  {nodebus.HubOptions{QueueLen: 2}, []nodebus.Payload{gauge{"x", 1}, gauge{"y", 1}, gauge{"x", 2}, gauge{"y", 2}}, gauge{"z", 1}},
		"a word after gauges": {nodebus.HubOptions{QueueLen: 1}, []nodebus.Payload{gauge{"x", 1}, gauge{"x", 2}}, word("d")},
		"bytes":               {nodebus.HubOptions{QueueBytes: 1000}, []nodebus.Payload{long, long}, long},
		"bytes of bytes":      {nodebus.HubOptions{QueueBytes: 1000}, []nodebus.Payload{nodebus.Custom{Type: "9", Data: make([]byte, 900)}}, long},
		"one larger than all": {nodebus.HubOptions{QueueBytes: 100}, []nodebus.Payload{long}, word("d")},
	} {
		for _, try := range []bool{false, true} {
			for _, keep := range []string{"kept", "lost", "lost, with cursors"} {
				t.Run(fmt.Sprintf("%s, try=%t, %s", name, try, keep), func(t *testing.T) {
					bubble.Test(t, func(t *testing.T) { fullQueue(t, c.opts, c.fits, c.one, try, keep) })
				})
			}
		}
	}
}

func fullQueue(t *testing.T, hubOpts nodebus.HubOptions, fits []nodebus.Payload, tooMany nodebus.Payload, try bool, keep string) {
	opts := &nodebus.SessionOptions{}
	if keep != "kept" {
		hubOpts.KeepLen = 1
	}
	if keep == "lost, with cursors" {
		opts.Codec = nodebus.JSONCodec{Envelope: true}
	}
	h := openHub(t, &hubOpts)
	slow, fast := newPausedTape(), &tape{}
	over := serveOn(t, h.Join("slow", opts), asTransport(slow, try))
	serveOn(t, h.Join("fast", nil), asTransport(fast, try))
	say(t, h, "in the write that waits")
	synctest.Wait()
	for _, p := range fits {
		require.NoError(t, h.Broadcast(p))
		synctest.Wait()
	}
	require.Zero(t, h.Stats().FellBehind)
	require.NoError(t, h.Broadcast(tooMany))
	synctest.Wait()
	require.EqualValues(t, 1, h.Stats().FellBehind)
	require.NoError(t, h.Broadcast(word("last")))
	synctest.Wait()
	require.Empty(t, slow.closed)
	slow.play()
	synctest.Wait()
	require.Len(t, fast.frames, len(fits)+3)
	switch keep {
	case "kept":
		want := replayed(t, h, "fast", since(h, fast.frames[0].ID))
		require.Equal(t, append([]string{"in the write that waits"}, want...), slow.said(t))
	case "lost":
		require.ErrorIs(t, over(), nodebus.ErrSlow)
		require.Equal(t, []error{nodebus.ErrSlow}, slow.closed)
		require.EqualValues(t, 1, h.Stats().Slow)
	default:
		said := slow.said(t)
		require.Len(t, said, 3)
		require.Equal(t, []string{"in the write that waits", "last"}, []string{said[0], said[2]})
		require.Regexp(t, fmt.Sprintf("^gap [0-9]+-%d$", fast.frames[len(fits)+1].ID+1), said[1])
		require.EqualValues(t, 1, h.Stats().Gaps)
	}
}

func TestContract4QueueOfASessionNobodyServes(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, &nodebus.HubOptions{QueueLen: 2})
		s := h.Join("x", nil)
		for range 10 {
			say(t, h, "a", "b", "c")
			synctest.Wait()
		}
		require.LessOrEqual(t, h.Stats().Queued, 2)
		p := &tape{}
		serveOn(t, s, p)
		synctest.Wait()
		require.Len(t, p.frames, 30)
	})
}

func TestHelloComesFirst(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		hello := make([]nodebus.Payload, 0, 8) // spare capacity that sessions must not share
		hello = append(hello, nodebus.Status{SID: "alice"}, nodebus.Custom{Type: "no form", Data: t.Context}, word("hello"))
		publish(t, h, start("1"))
		var tapes [2]tape
		var sessions [2]*nodebus.Session
		for i := range sessions {
			sessions[i] = h.Join("alice", &nodebus.SessionOptions{Hello: hello, Since: at(h, uint64(i))})
		}
		say(t, h, "live")
		for i, s := range sessions {
			serveOn(t, s, &tapes[i])
			synctest.Wait()
			want := []string{"status", "hello", "execution_start", "live"}
			require.Equal(t, append(want[:2:2], want[2+i:]...), tapes[i].said(t))
			require.EqualValues(t, i, tapes[i].frames[0].ID)
			require.Equal(t, h.Epoch(), tapes[i].frames[0].Epoch)
		}
	})
}

func TestSessionEnds(t *testing.T) {
	gone := errors.New("the client is gone")
	for name, c := range map[string]struct {
		end  func(s *nodebus.Session, cancel context.CancelCauseFunc)
		want error
	}{
		"by Close":               {func(s *nodebus.Session, _ context.CancelCauseFunc) { s.Close(gone) }, gone},
		"by Close without why":   {func(s *nodebus.Session, _ context.CancelCauseFunc) { s.Close(nil) }, nodebus.ErrClosed},
		"with its context":       {func(_ *nodebus.Session, cancel context.CancelCauseFunc) { cancel(nil) }, context.Canceled},
		"with a cause":           {func(_ *nodebus.Session, cancel context.CancelCauseFunc) { cancel(gone) }, gone},
		"with all of that":       {func(s *nodebus.Session, cancel context.CancelCauseFunc) { s.Close(gone); cancel(nil); s.Close(nil) }, gone},
		"by Close, many times":   {func(s *nodebus.Session, _ context.CancelCauseFunc) { s.Close(gone); s.Close(nil); s.Close(nil) }, gone},
		"by Close, with ErrSlow": {func(s *nodebus.Session, _ context.CancelCauseFunc) { s.Close(nodebus.ErrSlow) }, nodebus.ErrSlow},
	} {
		for _, when := range []string{"before Serve", "idle", "while a Write waits", "while a try waits"} {
			t.Run(name+" "+when, func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					h := openHub(t, nil)
					other := &tape{}
					serveOn(t, h.Join("x", nil), other)
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					s, p := h.Join("x", nil), newPausedTape()
					say(t, h, "w")
					if when == "idle" {
						p.play()
					}
					if when == "before Serve" {
						c.end(s, cancel)
						synctest.Wait()
					}
					var err error
					done := make(chan struct{})
					go func() {
						defer close(done)
						err = s.Serve(ctx, asTransport(p, when == "while a try waits"))
					}()
					synctest.Wait()
					if when != "before Serve" {
						require.Empty(t, p.closed)
						c.end(s, cancel)
					}
					<-done
					require.ErrorIs(t, err, c.want)
					require.Equal(t, []error{c.want}, p.closed)
					say(t, h, "nobody is there")
					synctest.Wait()
					require.Equal(t, []string{"w", "nobody is there"}, other.said(t))
					require.LessOrEqual(t, len(p.frames), 1)
				})
			})
		}
	}
}

// faulty is a transport whose methods return an error, or panic with it.
type faulty struct {
	*tape
	write, close func() error
}

func (p faulty) Write(ctx context.Context, frames []nodebus.Frame) error {
	if p.write != nil {
		return p.write()
	}
	return p.tape.Write(ctx, frames)
}

func (p faulty) Close(cause error) error {
	_ = p.tape.Close(cause)
	if p.close != nil {
		return p.close()
	}
	return nil
}

func TestFaultyTransports(t *testing.T) {
	broken := errors.New("broken pipe")
	fails, panics := func() error { return broken }, func() error { panic(broken) }
	for name, c := range map[string]struct {
		write, close func() error
		want         string
	}{
		"write fails":               {fails, nil, "broken pipe"},
		"write panics":              {panics, nil, "nodebus: transport nodebus_test.faulty: Write: panic: broken pipe"},
		"write fails, as close":     {fails, fails, "broken pipe"},
		"write fails, close panics": {fails, panics, "broken pipe"},
		"close panics":              {nil, panics, nodebus.ErrForbidden.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				good, bad := &tape{}, &tape{}
				serveOn(t, h.Join("x", nil), good)
				s := h.Join("x", nil)
				over := serveOn(t, s, faulty{bad, c.write, c.close})
				say(t, h, "a")
				synctest.Wait()
				say(t, h, "b")
				synctest.Wait()
				s.Close(nodebus.ErrForbidden) // for sessions that have not ended
				require.EqualError(t, over(), c.want)
				require.Equal(t, []error{over()}, bad.closed)
				require.Equal(t, []string{"a", "b"}, good.said(t))
			})
		})
	}
}

// deaf is a transport whose Write ignores its context and returns only after Close.
type deaf struct{ *tape }

func (p deaf) Write(_ context.Context, frames []nodebus.Frame) error {
	return p.tape.Write(context.Background(), frames)
}

func TestCloseEndsAWriteThatIgnoresItsContext(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		p := newPausedTape()
		s := h.Join("x", nil)
		over := serveOn(t, s, deaf{p})
		say(t, h, "w")
		synctest.Wait()
		s.Close(nodebus.ErrForbidden)
		require.ErrorIs(t, over(), nodebus.ErrForbidden)
		require.Equal(t, []error{nodebus.ErrForbidden}, p.closed)
	})
}

func TestWriteIsNeverCalledWithoutFrames(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		own := &ownCodec{fail: func() error { return errors.New("refused") }}
		say(t, h, "before the codec")
		p := &tape{}
		s := h.Join("x", &nodebus.SessionOptions{Since: nodebus.Cursor{Epoch: "0"}, Hello: []nodebus.Payload{nodebus.Custom{Type: "no form", Data: t.Context}}})
		s.SetCodec(own)
		serveOn(t, s, p)
		synctest.Wait()
		s.SetCodec(nil)
		say(t, h, "w")
		synctest.Wait()
		require.Equal(t, []string{"w"}, p.said(t))
		require.Equal(t, []int{1}, p.writes)
	})
}
