package nodebus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

func TestContract4SlowClientSeesTheLatest(t *testing.T) {
	for _, try := range []bool{false, true} {
		t.Run(fmt.Sprintf("try=%t", try), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
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

func TestContract4FastClientLosesNothing(t *testing.T) {
	const n = 2000
	for name, c := range map[string]struct{ try, burst bool }{
		"written to by its goroutine": {},
		"written to by the hub":       {try: true},
		"in bursts":                   {try: true, burst: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
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

func TestContract4FullQueueEndsThatSessionAlone(t *testing.T) {
	long := word(strings.Repeat("x", 400))
	for name, c := range map[string]struct {
		opts nodebus.HubOptions
		fits []nodebus.Payload // what may wait
		one  nodebus.Payload   // and what is too much
	}{
		"events":              {nodebus.HubOptions{QueueLen: 3}, []nodebus.Payload{word("a"), word("b"), word("c")}, word("d")},
		"events of all keys":  {nodebus.HubOptions{QueueLen: 2}, []nodebus.Payload{gauge{"x", 1}, gauge{"y", 1}, gauge{"x", 2}, gauge{"y", 2}}, gauge{"z", 1}},
		"a word after gauges": {nodebus.HubOptions{QueueLen: 1}, []nodebus.Payload{gauge{"x", 1}, gauge{"x", 2}}, word("d")},
		"bytes":               {nodebus.HubOptions{QueueBytes: 1000}, []nodebus.Payload{long, long}, long},
		"bytes of bytes":      {nodebus.HubOptions{QueueBytes: 1000}, []nodebus.Payload{nodebus.Custom{Type: "9", Data: make([]byte, 900)}}, long},
		"one larger than all": {nodebus.HubOptions{QueueBytes: 100}, []nodebus.Payload{long}, word("d")},
	} {
		for _, try := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, try=%t", name, try), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := openHub(t, &c.opts)
					slow, fast := newPausedTape(), &tape{}
					over := serveOn(t, h.Join("slow", nil), asTransport(slow, try))
					serveOn(t, h.Join("fast", nil), asTransport(fast, try))
					say(t, h, "in the write that waits")
					synctest.Wait()
					for _, p := range c.fits {
						require.NoError(t, h.Broadcast(p))
						synctest.Wait()
					}
					require.Empty(t, slow.closed)
					require.NoError(t, h.Broadcast(c.one))
					synctest.Wait()
					require.Equal(t, []error{nodebus.ErrSlow}, slow.closed)
					require.ErrorIs(t, over(), nodebus.ErrSlow)
					require.NoError(t, h.Broadcast(c.one))
					synctest.Wait()
					require.Empty(t, slow.frames)
					require.Len(t, slow.closed, 1)
					require.Len(t, fast.frames, len(c.fits)+3)
				})
			})
		}
	}
}

func TestContract4QueueOfASessionNobodyServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openHub(t, &nodebus.HubOptions{QueueLen: 2})
		s := h.Join("x", nil)
		say(t, h, "a", "b", "c")
		synctest.Wait()
		p := &tape{}
		require.ErrorIs(t, s.Serve(t.Context(), p), nodebus.ErrSlow)
		require.Equal(t, []error{nodebus.ErrSlow}, p.closed)
		require.Empty(t, p.frames)
	})
}

func TestHelloComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		hello := make([]nodebus.Payload, 0, 8) // room that sessions must not share
		hello = append(hello, nodebus.Status{SID: "alice"}, nodebus.Custom{Type: "no form", Data: t.Context}, word("hello"))
		publish(t, h, start("1"))
		var tapes [2]tape
		var sessions [2]*nodebus.Session
		for i := range sessions {
			sessions[i] = h.Join("alice", &nodebus.SessionOptions{Hello: hello, Since: uint64(i + 1)})
		}
		say(t, h, "live")
		for i, s := range sessions {
			serveOn(t, s, &tapes[i])
			synctest.Wait()
			next := tapes[i].frames[3].ID
			gap := fmt.Sprintf("gap %d-%d", i+1, next)
			require.Equal(t, []string{"status", "hello", gap, "execution_start", "live"}, tapes[i].said(t))
			require.EqualValues(t, i+1, tapes[i].frames[2].ID)
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
				synctest.Test(t, func(t *testing.T) {
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

// faulty is a transport of which some methods fail, or panic with what they
// would return.
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
		"close panics":              {nil, panics, nodebus.ErrReplaced.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				good, bad := &tape{}, &tape{}
				serveOn(t, h.Join("x", nil), good)
				s := h.Join("x", nil)
				over := serveOn(t, s, faulty{bad, c.write, c.close})
				say(t, h, "a")
				synctest.Wait()
				say(t, h, "b")
				synctest.Wait()
				s.Close(nodebus.ErrReplaced) // for those that have not ended
				require.EqualError(t, over(), c.want)
				require.Equal(t, []error{over()}, bad.closed)
				require.Equal(t, []string{"a", "b"}, good.said(t))
			})
		})
	}
}

// deaf is a transport whose Write does not mind its context, only Close.
type deaf struct{ *tape }

func (p deaf) Write(_ context.Context, frames []nodebus.Frame) error {
	return p.tape.Write(context.Background(), frames)
}

func TestCloseEndsAWriteThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		p := newPausedTape()
		s := h.Join("x", nil)
		over := serveOn(t, s, deaf{p})
		say(t, h, "w")
		synctest.Wait()
		s.Close(nodebus.ErrReplaced)
		require.ErrorIs(t, over(), nodebus.ErrReplaced)
		require.Equal(t, []error{nodebus.ErrReplaced}, p.closed)
	})
}

func TestWriteIsNeverCalledWithoutFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		own := &ownCodec{fail: func() error { return errors.New("refused") }}
		say(t, h, "before the codec")
		p := &tape{}
		s := h.Join("x", &nodebus.SessionOptions{Since: 1, Hello: []nodebus.Payload{nodebus.Custom{Type: "no form", Data: t.Context}}})
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

// TestContract4TheBoundIsExact: what waits for a client that was at rest is bounded
// like what waits for any other. A burst within the bound loses nothing.
func TestContract4TheBoundIsExact(t *testing.T) {
	const most = 4
	long := strings.Repeat("x", 200)
	for name, c := range map[string]struct {
		opts  nodebus.HubOptions
		event func(n int) nodebus.Payload
		fits  int
	}{
		"events":           {nodebus.HubOptions{QueueLen: most}, func(n int) nodebus.Payload { return word(fmt.Sprint(n)) }, most},
		"bytes":            {nodebus.HubOptions{QueueBytes: 1000}, func(n int) nodebus.Payload { return word(fmt.Sprint(n, long)) }, 4},
		"events that meet": {nodebus.HubOptions{QueueLen: most}, func(n int) nodebus.Payload { return gauge{"g", n} }, 1000},
	} {
		for burst := range 2 {
			t.Run(fmt.Sprintf("%s, %d too many", name, burst), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					h := openHub(t, &c.opts)
					worker, p := newHoldUp(t), newPausedTape()
					over := serveOn(t, h.Join("x", nil), p)
					serveOn(t, h.Join("x", nil), worker) // so that a burst gathers
					synctest.Wait()
					require.NoError(t, h.SendSync(word("holds the worker up"), "x"))
					synctest.Wait()
					p.play()
					synctest.Wait()
					p.stop() // the client is at rest, and reads no more
					for n := range c.fits + burst {
						require.NoError(t, h.SendSync(c.event(n), "x"))
					}
					worker.open()
					synctest.Wait()
					if burst > 0 && c.fits == most {
						require.Equal(t, []error{nodebus.ErrSlow}, p.closed)
						require.ErrorIs(t, over(), nodebus.ErrSlow)
						return
					}
					require.Empty(t, p.closed)
					p.play()
					synctest.Wait()
					want := c.fits + 1
					if c.fits > most {
						want = 2 // the newest has replaced all others
					}
					require.Len(t, p.frames, want)
				})
			})
		}
	}
}

// TestContract4ClientThatDoesNotReadIsCutSoon: no second, larger queue lies before the
// one that QueueLen bounds.
func TestContract4ClientThatDoesNotReadIsCutSoon(t *testing.T) {
	for _, try := range []bool{false, true} {
		t.Run(fmt.Sprintf("try=%t", try), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := openHub(t, &nodebus.HubOptions{QueueLen: 4})
				p := newPausedTape()
				over := serveOn(t, h.Join("x", nil), asTransport(p, try))
				synctest.Wait()
				for range 5000 {
					require.NoError(t, h.SendSync(word("w"), "x"))
				}
				synctest.Wait()
				say(t, h, "1", "2", "3", "4", "5")
				synctest.Wait()
				say(t, h, "1", "2", "3", "4", "5")
				synctest.Wait()
				require.Equal(t, []error{nodebus.ErrSlow}, p.closed)
				require.ErrorIs(t, over(), nodebus.ErrSlow)
			})
		})
	}
}

func TestContract4KeysOfStandardPayloads(t *testing.T) {
	progress := nodebus.Progress{PromptID: "1", UniqueID: "1"}
	state := nodebus.ProgressState{PromptID: "1"}
	preview := nodebus.Preview{PromptID: "1", Place: nodebus.Place{UniqueID: "1"}}
	for name, c := range map[string]struct {
		a, b     nodebus.Payload
		replaces bool
	}{
		"progress of a node":       {progress, nodebus.Progress{PromptID: "1", UniqueID: "1", Value: 1}, true},
		"progress of two nodes":    {progress, nodebus.Progress{PromptID: "1", UniqueID: "2"}, false},
		"progress of two prompts":  {progress, nodebus.Progress{PromptID: "2", UniqueID: "1"}, false},
		"state of a prompt":        {state, nodebus.ProgressState{PromptID: "1", Nodes: []nodebus.NodeState{{Place: nodebus.Place{UniqueID: "1"}}}}, true},
		"state of two prompts":     {state, nodebus.ProgressState{PromptID: "2"}, false},
		"preview of a node":        {preview, nodebus.Preview{PromptID: "1", Place: nodebus.Place{UniqueID: "1"}, Image: []byte("i")}, true},
		"preview of two nodes":     {preview, nodebus.Preview{PromptID: "1", Place: nodebus.Place{UniqueID: "2"}}, false},
		"preview of two prompts":   {preview, nodebus.Preview{PromptID: "2", Place: nodebus.Place{UniqueID: "1"}}, false},
		"status":                   {nodebus.Status{QueueRemaining: 1}, nodebus.Status{}, true},
		"status of the handshake":  {nodebus.Status{SID: "x"}, nodebus.Status{SID: "x"}, true},
		"status of two handshakes": {nodebus.Status{SID: "x"}, nodebus.Status{SID: "y"}, false},
		"slashes in ids":           {nodebus.Progress{PromptID: "a/b", UniqueID: "c"}, nodebus.Progress{PromptID: "a", UniqueID: "b/c"}, false},
		"numbers in ids":           {nodebus.Preview{PromptID: "1:x/y"}, nodebus.Preview{PromptID: "x", Place: nodebus.Place{UniqueID: "y"}}, false},
		"overall of a prompt":      {nodebus.Overall{PromptID: "1"}, nodebus.Overall{PromptID: "1", Value: 1}, true},
		"overall of two prompts":   {nodebus.Overall{PromptID: "1"}, nodebus.Overall{PromptID: "2"}, false},
		"one embeds the other":     {progress, progressOfAnother{progress}, false},
		"executing":                {nodebus.Executing{UniqueID: "1"}, nodebus.Executing{UniqueID: "1"}, false},
		"executed":                 {nodebus.Executed{Place: nodebus.Place{UniqueID: "1"}}, nodebus.Executed{Place: nodebus.Place{UniqueID: "1"}}, false},
		"text":                     {nodebus.ProgressText{UniqueID: "1"}, nodebus.ProgressText{UniqueID: "1"}, false},
		"different types, one key": {state, preview, false},
		"a key that has changed":   {&titled{"t", "was"}, &titled{"t", "was"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "a key that has changed" {
				require.Equal(t, c.replaces, sameKey(c.a, c.b), "CoalesceKey says what the hub does")
			}
			bubble(t, func(t *testing.T) {
				h := openHub(t, nil)
				cursor := newestID(t, h)
				p := newPausedTape()
				serveOn(t, h.Join("x", nil), p)
				say(t, h, "in the write that waits")
				synctest.Wait()
				require.NoError(t, h.Broadcast(c.a))
				if a, ok := c.a.(*titled); ok {
					a.Type, a.Name = "changed", "changed"
				}
				synctest.Wait()
				require.NoError(t, h.Broadcast(c.b))
				synctest.Wait()
				p.play()
				synctest.Wait()
				want := []uint64{cursor + 1, cursor + 2, cursor + 3}
				if c.replaces {
					want = []uint64{cursor + 1, cursor + 3}
				}
				var got []uint64
				for _, f := range p.frames {
					got = append(got, f.ID)
				}
				require.Equal(t, want, got)
				require.Len(t, replayed(t, h, "x", since(cursor+1)), len(want)-1, "the log replaces by the same keys")
			})
		})
	}
}

// progressOfAnother has the methods of Progress, and a name of its own.
type progressOfAnother struct{ nodebus.Progress }

func (progressOfAnother) EventType() string { return "another" }

// sameKey reports whether a newer b replaces an a, as far as their methods say.
func sameKey(a, b nodebus.Payload) bool {
	ka, ok := a.(nodebus.Coalescer)
	kb, too := b.(nodebus.Coalescer)
	return ok && too && a.EventType() == b.EventType() && ka.CoalesceKey() == kb.CoalesceKey()
}
