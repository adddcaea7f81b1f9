package nodebus_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// TestContract4TheBoundIsExact checks that the queue of an idle client has the same
// limit as the queue of any other client. A burst within the limit stays in the queue. A
// larger burst is read from the log.
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
				bubble.Test(t, func(t *testing.T) {
					h := openHub(t, &c.opts)
					worker, p := newHoldUp(t), newPausedTape()
					serveOn(t, h.Join("x", nil), p)
					serveOn(t, h.Join("x", nil), worker) // so that the events of the burst wait in the inbox
					synctest.Wait()
					require.NoError(t, h.SendSync(word("holds the worker up"), "x"))
					synctest.Wait()
					p.play()
					synctest.Wait()
					p.stop() // the client is idle and stops to read
					for n := range c.fits + burst {
						require.NoError(t, h.SendSync(c.event(n), "x"))
					}
					worker.open()
					synctest.Wait()
					stats := h.Stats()
					if burst > 0 && c.fits == most {
						require.EqualValues(t, 1, stats.FellBehind)
						require.Zero(t, stats.Queued)
					} else {
						require.Zero(t, stats.FellBehind)
					}
					require.Empty(t, p.closed)
					p.play()
					synctest.Wait()
					want := c.fits + burst + 1
					if c.fits > most {
						want = 2 // the newest event has replaced all others
					}
					require.Len(t, p.frames, want)
				})
			})
		}
	}
}

// TestContract4ClientThatDoesNotReadHoldsLittle checks that events do not wait in
// another, larger queue before the queue that QueueLen limits. The client still receives
// everything: from the log.
func TestContract4ClientThatDoesNotReadHoldsLittle(t *testing.T) {
	for _, try := range []bool{false, true} {
		t.Run(fmt.Sprintf("try=%t", try), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, &nodebus.HubOptions{QueueLen: 4})
				p := newPausedTape()
				serveOn(t, h.Join("x", nil), asTransport(p, try))
				synctest.Wait()
				var want []string
				for n := range 5000 {
					want = append(want, fmt.Sprint(n))
					require.NoError(t, h.SendSync(word(want[n]), "x"))
				}
				synctest.Wait()
				require.LessOrEqual(t, h.Stats().Queued, 4)
				require.Positive(t, h.Stats().FellBehind)
				p.play()
				synctest.Wait()
				require.Equal(t, want, p.said(t))
				require.Zero(t, h.Stats().Gaps)
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
		"state of a prompt":        {state, state.With(nodebus.NodeState{Place: nodebus.Place{UniqueID: "1"}}), true},
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
				require.Equal(t, c.replaces, sameKey(c.a, c.b), "the hub must replace events by CoalesceKey")
			}
			bubble.Test(t, func(t *testing.T) {
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
				require.Len(t, replayed(t, h, "x", since(h, cursor+1)), len(want)-1, "the log must use the same keys as the queue")
			})
		})
	}
}

// progressOfAnother has the methods of Progress, but another event type.
type progressOfAnother struct{ nodebus.Progress }

func (progressOfAnother) EventType() string { return "another" }

// sameKey reports whether, by their methods, a newer b replaces an older a.
func sameKey(a, b nodebus.Payload) bool {
	ka, ok := a.(nodebus.Coalescer)
	kb, too := b.(nodebus.Coalescer)
	return ok && too && a.EventType() == b.EventType() && ka.CoalesceKey() == kb.CoalesceKey()
}
