package nodebus_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

func TestContract5BoundsLetTheOldestEndedPromptsGoFirst(t *testing.T) {
	pad := strings.Repeat("x", 10_000)
	for name, c := range map[string]struct {
		opts    nodebus.HubOptions
		payload func(name string) nodebus.Payload
	}{
		"events":           {nodebus.HubOptions{KeepLen: 8}, func(s string) nodebus.Payload { return word(s) }},
		"bytes of words":   {nodebus.HubOptions{KeepBytes: 8*21_000 + 7_000}, func(s string) nodebus.Payload { return word(s + pad) }},
		"bytes of anybody": {nodebus.HubOptions{KeepBytes: 8*21_000 + 7_000}, func(s string) nodebus.Payload { return nodebus.Custom{Type: "word", Data: s + pad} }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, &c.opts)
				speak := func(id string, words ...string) {
					for _, w := range words {
						publish(t, h, about(id, c.payload(w)))
					}
				}
				end := func(id string) { publish(t, h, about(id, nodebus.Executing{PromptID: pad})) }
				kept := func() (all []string) {
					opts := &nodebus.SessionOptions{WatchAll: true, Watch: []string{"first", "a", "b", "c"}}
					for _, w := range replayed(t, h, "x", opts) {
						all = append(all, strings.TrimRight(w, "x"))
					}
					return all
				}
				end("first")
				speak("a", "a0")
				speak("b", "b0", "b1")
				end("b")
				end("a")
				speak("c", "c0", "c1")
				require.Equal(t, []string{"executing", "a0", "b0", "b1", "executing", "executing", "c0", "c1"}, kept())
				speak("c", "c2")
				require.Equal(t, []string{"a0", "b0", "b1", "executing", "executing", "c0", "c1", "c2"}, kept())
				speak("d", "d0")
				require.Equal(t, []string{"a0", "executing", "c0", "c1", "c2", "d0"}, kept(), "b must be dropped: it ended first")
				speak("d", "d1", "d2", "d3")
				require.Equal(t, []string{"c0", "c1", "c2", "d0", "d1", "d2", "d3"}, kept())
			})
		})
	}
}

func TestContract5WhatBoundsLetGoIsAGap(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, &nodebus.HubOptions{KeepLen: 4})
		cursor := newestID(t, h) // the only event without a prompt
		publish(t, h, start("1"), ending("1"))
		require.Equal(t, []string{"execution_start", "executing"}, replayed(t, h, "alice", since(h, cursor)))
		publish(t, h, nodebus.Event{PromptID: "2", To: "bob", Payload: word("a")})
		publish(t, h, nodebus.Event{PromptID: "2", To: "bob", Payload: word("b")})
		require.Equal(t, []string{fmt.Sprintf("gap %d-%d", cursor, cursor+3)}, replayed(t, h, "alice", since(h, cursor)))
		require.Equal(t, []string{"a", "b"}, replayed(t, h, "bob", since(h, cursor)), "bob has missed nothing")

		for _, w := range []word{"c", "d", "e", "f"} {
			publish(t, h, nodebus.Event{PromptID: "2", To: "bob", Payload: w})
		}
		kept := []string{"c", "d", "e", "f"}
		require.Equal(t, append([]string{fmt.Sprintf("gap %d-%d", cursor, cursor+5)}, kept...), replayed(t, h, "bob", since(h, cursor)))
		require.Equal(t, append([]string{fmt.Sprintf("gap %d-%d", cursor+2, cursor+5)}, kept...), replayed(t, h, "bob", fresh), "the prompt of bob has lost its first events")
		require.Equal(t, kept, replayed(t, h, "bob", since(h, cursor+4)))
		watch := &nodebus.SessionOptions{Since: at(h, cursor+3), Watch: []string{"2"}}
		require.Equal(t, append([]string{fmt.Sprintf("gap %d-%d", cursor+3, cursor+5)}, kept...), replayed(t, h, "carol", watch))
	})
}

// TestGapIsAnnouncedOnce checks that a client that reads many pages after a gap receives
// one gap.
func TestGapIsAnnouncedOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, &nodebus.HubOptions{KeepLen: 5000})
		cursor := newestID(t, h)
		for range 2000 {
			publish(t, h, about("1", word("kept")))
		}
		for range 6000 { // the oldest of them are dropped, not the events of the prompt
			say(t, h, "w")
		}
		got := replayed(t, h, "alice", since(h, cursor))
		require.Equal(t, []string{fmt.Sprintf("gap %d-%d", cursor, cursor+5001), "kept"}, got[:2])
		require.Len(t, got, 1+5000)
	})
}

func TestBoundsHoldForPromptsThatNeverEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, &nodebus.HubOptions{KeepLen: 10})
		publish(t, h, about("talks", word("0")))
		cursor := newestID(t, h)
		for n := range 100 {
			publish(t, h, about(fmt.Sprint(n), word(fmt.Sprint("silent ", n))))
			if n%5 == 0 {
				publish(t, h, about("talks", word(fmt.Sprint(n))))
			}
		}
		got := replayed(t, h, "alice", fresh)
		require.Len(t, got, 1+10)
		require.Equal(t, "gap ", got[0][:4], "the prompt of the newest event loses its own oldest events first")
		require.Equal(t, "silent 99", got[10])
		require.NotContains(t, got, "silent 90")
		require.Contains(t, got, "95", "events of the active prompt are kept")

		publish(t, h, about("1", word("speaks again")))
		again := replayed(t, h, "bob", &nodebus.SessionOptions{Since: at(h, cursor), Watch: []string{"1"}})
		require.Equal(t, []string{fmt.Sprintf("gap %d-%d", cursor, cursor+4), "speaks again"}, again)
	})
}

// TestLimitsCountFrozenPayloads checks that the limits in bytes count the data of a
// payload that the hub encodes later: of a session's queue, of the log, and of a
// Subscribe loop.
func TestLimitsCountFrozenPayloads(t *testing.T) {
	const size, limit, events = 100_000, 250_000, 10
	image := make([]byte, size)
	ids := make([]string, size/16) // the headers of the strings count
	for name, payload := range map[string]func(n int) nodebus.Payload{
		"image": func(n int) nodebus.Payload {
			return nodebus.Preview{Place: nodebus.Place{UniqueID: fmt.Sprint(n)}, ImageType: "image/png", Image: image}
		},
		"list of empty strings": func(int) nodebus.Payload { return nodebus.ExecutionCached{Nodes: ids} },
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, &nodebus.HubOptions{QueueBytes: limit, KeepBytes: 2 * limit})
				late := h.Join("alice", nil)
				loop := h.Subscribe(t.Context())
				for n := range events {
					publish(t, h, nodebus.Event{PromptID: "1", To: "alice", Payload: payload(n), Frozen: true})
				}
				synctest.Wait()
				over := serveOn(t, late, &tape{})
				synctest.Wait()
				late.Close(nil)
				require.ErrorIs(t, over(), nodebus.ErrSlow)
				got := replayed(t, h, "alice", fresh)
				require.Len(t, got, 1+2, "a gap, and two events that count twice: their payload and their frame")
				var last error
				n := 0
				for _, err := range loop {
					if last = err; err == nil {
						n++
					}
				}
				require.ErrorIs(t, last, nodebus.ErrSlow)
				require.Equal(t, 4, n, "the events that fit into KeepBytes")
			})
		})
	}
}

// The hub remembers the losses of some thousands of clients and prompts. With
// more, it sends a gap also to clients that have lost nothing.
func TestGapsAreToldToAnyNumberOfClients(t *testing.T) {
	const clients = 10_000
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, &nodebus.HubOptions{Retain: time.Minute})
		cursor := newestID(t, h)
		for n := range clients {
			who := fmt.Sprint(n)
			publish(t, h,
				nodebus.Event{To: who, Payload: word("w")},
				nodebus.Event{PromptID: who, To: "prompts", Payload: nodebus.Executing{}})
		}
		last := newestID(t, h)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for n := 0; n < clients; n += 999 {
			require.Len(t, replayed(t, h, fmt.Sprint(n), since(h, cursor)), 1)
			require.Len(t, replayed(t, h, "x", &nodebus.SessionOptions{Since: at(h, cursor), Watch: []string{fmt.Sprint(n)}}), 1)
			require.Empty(t, replayed(t, h, fmt.Sprint(n), since(h, last)))
		}
	})
}

// document is a payload whose memory a test can observe.
type document struct {
	Title string
	Key   string
	_     [64]byte
}

func (*document) EventType() string { return "document" }

type keyedDocument struct{ document }

func (d *keyedDocument) CoalesceKey() string { return d.Key }

// publishDocument publishes a new document to each address.
func publishDocument(t *testing.T, h *nodebus.Hub, to ...nodebus.Event) weak.Pointer[document] {
	d := &document{Title: strings.Repeat("x", 5000)} // large, because small events share memory and are freed together
	for _, ev := range to {
		ev.Payload = d
		require.NoError(t, h.Publish(ev))
	}
	return weak.Make(d)
}

func TestWhatIsNotKeptIsNotInMemory(t *testing.T) {
	gone := func(t *testing.T, p weak.Pointer[document]) {
		t.Helper()
		runtime.GC()
		require.Nil(t, p.Value())
	}
	t.Run("replaced", func(t *testing.T) {
		bubble.Test(t, func(t *testing.T) {
			h := openHub(t, nil)
			var replaced []weak.Pointer[document]
			for n := range 100 {
				d := &keyedDocument{document{Key: "k"}}
				if n < 99 {
					replaced = append(replaced, weak.Make(&d.document))
				}
				publish(t, h, about("1", d), about("1", word("kept beside it")))
			}
			for _, p := range replaced {
				gone(t, p)
			}
			require.Len(t, replayed(t, h, "alice", nil), 101)
		})
	})
	t.Run("expired", func(t *testing.T) {
		bubble.Test(t, func(t *testing.T) {
			h := openHub(t, &nodebus.HubOptions{Retain: time.Minute})
			waits := h.Join("alice", nil) // its queue must not keep the other events of the prompt in memory
			publish(t, h, about("2", word("first")))
			p := publishDocument(t, h, nodebus.Event{PromptID: "2"})
			publish(t, h, nodebus.Event{PromptID: "2", Payload: nodebus.Executing{}})
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			gone(t, p)
			got := &tape{}
			serveOn(t, waits, got)
			synctest.Wait()
			require.Equal(t, []string{"first"}, got.said(t))
		})
	})
	t.Run("delivered", func(t *testing.T) {
		bubble.Test(t, func(t *testing.T) {
			h := openHub(t, &nodebus.HubOptions{Retain: time.Minute})
			count := 0
			for _, client := range []string{"0", "1"} {
				serveOn(t, h.Join(client, nil), hole{})
				serveOn(t, h.Join(client, nil), tryHole{})
			}
			synctest.Wait()
			events := h.Subscribe(t.Context())
			go func() {
				for _, err := range events {
					if err != nil {
						t.Error(err)
					}
					count++
				}
			}()
			p := publishDocument(t, h, nodebus.Event{Broadcast: true}, nodebus.Event{To: "1"})
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			gone(t, p)
			require.Equal(t, 2, count)
		})
	})
}

func TestSessionThatLeftIsForgotten(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		stays := &tape{}
		serveOn(t, h.Join("0", nil), stays)
		var left []weak.Pointer[nodebus.Session]
		for n := range 20 {
			s := h.Join(fmt.Sprint(n%4), &nodebus.SessionOptions{Watch: []string{"1"}, WatchAll: n%2 == 0})
			over := serveOn(t, s, asTransport(&tape{}, n%3 == 0))
			say(t, h, "w")
			publish(t, h, about("1", word("w")))
			synctest.Wait()
			s.Close(nil)
			require.ErrorIs(t, over(), nodebus.ErrClosed)
			left = append(left, weak.Make(s))
		}
		runtime.GC()
		for _, s := range left {
			require.Nil(t, s.Value())
		}
		say(t, h, "and still")
		synctest.Wait()
		require.Equal(t, "and still", stays.said(t)[20])
	})
}
