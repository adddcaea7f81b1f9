package nodebus_test

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// ownCodec is a foreign codec. It marks the frames that it encodes and records its
// calls.
type ownCodec struct {
	nodebus.JSONCodec
	mu    sync.Mutex
	asked []nodebus.Event
	fail  func() error // called for every event, if not nil
}

func (c *ownCodec) Encode(ev nodebus.Event) (nodebus.Frame, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, ev)
	if c.fail != nil {
		if err := c.fail(); err != nil {
			return nodebus.Frame{}, err
		}
	}
	f, err := c.JSONCodec.Encode(ev)
	f.Data = append(f.Data, ' ')
	return f, err
}

func TestOwnCodecIsAskedOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		own := &ownCodec{}
		tapes := [...]*tape{{}, {}, {}, {}}
		for i, c := range []nodebus.Codec{own, own, own, nil} {
			serveOn(t, h.Join("x", &nodebus.SessionOptions{Codec: c}), asTransport(tapes[i], i == 1))
		}
		p, spoil := mutable["struct with a map"]()
		original, _ := mutable["struct with a map"]()
		for n, p := range []nodebus.Payload{word("w"), p, nodebus.Status{}} {
			require.NoError(t, h.Broadcast(p))
			if n == 1 {
				spoil()
				p = original
			}
			synctest.Wait()
			require.Len(t, own.asked, n+1)
			require.Equal(t, p, own.asked[n].Payload)
			require.Equal(t, tapes[0].frames[n].ID, own.asked[n].ID)
		}
		for i, p := range tapes {
			require.Equal(t, []string{"w", "map", "status"}, p.said(t))
			require.Equal(t, i < 3, strings.HasSuffix(string(p.frames[0].Data), " "))
		}
	})
}

// TestFrozenPayloadReachesOwnCodecs checks that a foreign codec receives the payload
// itself if the sender promises not to change it.
func TestFrozenPayloadReachesOwnCodecs(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		own := &ownCodec{}
		serveOn(t, h.Join("x", &nodebus.SessionOptions{Codec: own}), &tape{})
		p := &pointed{Name: "a"}
		require.NoError(t, h.Publish(nodebus.Event{To: "x", Payload: p, Frozen: true}))
		require.NoError(t, h.Publish(nodebus.Event{To: "x", Payload: p}))
		synctest.Wait()
		require.Same(t, p, own.asked[0].Payload)
		require.NotSame(t, p, own.asked[1].Payload)
		require.Equal(t, p, own.asked[1].Payload)
	})
}

// TestSlowCodecSlowsOnlyItsSessions checks that neither a publisher nor another session
// waits for a codec.
func TestSlowCodecSlowsOnlyItsSessions(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		stuck := make(chan struct{})
		slow := &ownCodec{fail: func() error { <-stuck; return nil }}
		late, others := &tape{}, []*tape{{}, {}, {}}
		serveOn(t, h.Join("x", &nodebus.SessionOptions{Codec: slow}), tryTape{late})
		for i, c := range []nodebus.Codec{nil, nodebus.JSONCodec{Envelope: true}, &ownCodec{}} {
			serveOn(t, h.Join("x", &nodebus.SessionOptions{Codec: c}), tryTape{others[i]})
		}
		say(t, h, "a", "b")
		synctest.Wait()
		for _, p := range others {
			require.Equal(t, []string{"a", "b"}, p.said(t))
		}
		require.Empty(t, late.frames)
		close(stuck)
		synctest.Wait()
		require.Equal(t, []string{"a", "b"}, late.said(t))
	})
}

// TestWhatAnOwnCodecRefusesIsItsSessionsAffair checks that an event that a foreign
// codec refuses is left out only for the sessions with this codec, also in a replay.
// The sender and other sessions are not affected, even if the event closes a prompt.
func TestWhatAnOwnCodecRefusesIsItsSessionsAffair(t *testing.T) {
	refused := errors.New("refused")
	for name, fail := range map[string]func() error{
		"error": func() error { return refused },
		"panic": func() error { panic(refused) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				own := &ownCodec{}
				mine, queued, other := &tape{}, &tape{}, &tape{}
				serveOn(t, h.Join("alice", &nodebus.SessionOptions{Codec: own}), asTransport(mine, true))
				serveOn(t, h.Join("alice", &nodebus.SessionOptions{Codec: own}), asTransport(queued, false))
				serveOn(t, h.Join("alice", nil), other)
				events := listen(t.Context(), h)
				cursor := newestID(t, h)
				publish(t, h, start("1"))
				synctest.Wait()
				own.fail, own.asked = fail, nil
				require.NoError(t, h.Publish(ending("1")))
				require.NoError(t, h.Broadcast(word("w")))
				require.ErrorIs(t, h.Publish(about("1", word("late"))), nodebus.ErrClosed, "the prompt is closed")
				synctest.Wait()
				require.Len(t, own.asked, 2, "the codec is called once for each event")
				own.fail = nil
				say(t, h, "fine")
				synctest.Wait()
				back := &tape{}
				serveOn(t, h.Join("alice", &nodebus.SessionOptions{Codec: own, Since: at(h, cursor)}), back)
				synctest.Wait()
				for _, p := range []*tape{mine, queued, back} {
					require.Equal(t, []string{"execution_start", "fine"}, p.said(t))
				}
				require.Equal(t, []string{"execution_start", "executing", "w", "fine"}, other.said(t))
				require.Len(t, events.events, 5)
			})
		})
	}
}

// exitingCodec is a foreign codec that ends the goroutine that calls it.
type exitingCodec struct {
	nodebus.JSONCodec
	_ int
}

func (exitingCodec) Encode(nodebus.Event) (nodebus.Frame, error) {
	runtime.Goexit()
	return nodebus.Frame{}, nil
}

// TestCodecThatEndsItsGoroutine checks that runtime.Goexit in a codec ends the session
// that uses the codec. The publisher and other sessions are not affected.
func TestCodecThatEndsItsGoroutine(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		bad := &tape{}
		over := serveOn(t, h.Join("x", &nodebus.SessionOptions{Codec: exitingCodec{}}), bad)
		good := make([]*tape, 6)
		for i := range good {
			good[i] = &tape{}
			serveOn(t, h.Join("x", &nodebus.SessionOptions{Codec: &ownCodec{}}), asTransport(good[i], i%2 == 0))
		}
		synctest.Wait()
		for _, p := range []nodebus.Payload{word("a"), withSlice{}, word("b")} {
			require.NoError(t, h.Broadcast(p))
			synctest.Wait()
		}
		for _, p := range good {
			require.Equal(t, []string{"a", "slice", "b"}, p.said(t))
		}
		require.Empty(t, bad.frames)
		require.ErrorContains(t, over(), "runtime.Goexit")
	})
}

func TestSetCodecFromTheNextFrameOn(t *testing.T) {
	for _, try := range []bool{false, true} {
		t.Run(fmt.Sprintf("try=%t", try), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				p := &tape{pause: make(chan struct{})}
				s := h.Join("x", nil)
				serveOn(t, s, asTransport(p, try))
				say(t, h, "a")
				synctest.Wait()
				say(t, h, "b")
				synctest.Wait()
				s.SetCodec(nodebus.JSONCodec{Envelope: true})
				p.play()
				synctest.Wait()
				say(t, h, "c")
				synctest.Wait()
				s.SetCodec(nil)
				say(t, h, "d")
				synctest.Wait()
				require.Equal(t, []string{"a", "b", "c", "d"}, p.said(t))
				var ids []bool
				for _, f := range p.frames {
					ids = append(ids, strings.Contains(string(f.Data), fmt.Sprintf(`,"cursor":"%s-%d"`, h.Epoch(), f.ID)))
				}
				require.Equal(t, []bool{false, true, true, false}, ids)
			})
		})
	}
}

func TestEachCodecVariantIsWhatItEncodes(t *testing.T) {
	payloads := []nodebus.Payload{
		word("w"),
		nodebus.Custom{Type: "c", Data: []int{1}},
		nodebus.Progress{Value: 1, Max: 2, UniqueID: "1"},
		nodebus.ProgressText{PromptID: "1", UniqueID: "2", Text: "t"},
		nodebus.Preview{Place: nodebus.Place{UniqueID: "1"}, ImageType: "image/png", Image: []byte("i")},
	}
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		var tapes [4]tape
		codec := func(n int) nodebus.JSONCodec {
			return nodebus.JSONCodec{Envelope: n&1 != 0, BarePreviews: n&2 != 0}
		}
		for n := range tapes {
			serveOn(t, h.Join("x", &nodebus.SessionOptions{Codec: codec(n)}), asTransport(&tapes[n], n%3 == 0))
		}
		for _, p := range payloads {
			require.NoError(t, h.Broadcast(p))
			synctest.Wait()
		}
		for n := range tapes {
			var want []nodebus.Frame
			for i, p := range payloads {
				f, err := codec(n).Encode(nodebus.Event{ID: tapes[n].frames[i].ID, Epoch: h.Epoch(), Time: time.Now(), Payload: p})
				require.NoError(t, err)
				want = append(want, f)
			}
			require.Equal(t, bare(want), bare(tapes[n].frames))
		}
	})
}

// numberCodec is a codec that does not equal itself if the number is a NaN.
type numberCodec struct {
	*ownCodec
	number float64
}

// TestCodecThatDoesNotEqualItself checks that sessions do not share such a codec, and that
// the hub does not call it after its sessions have left or have changed their codec.
func TestCodecThatDoesNotEqualItself(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		own := &ownCodec{}
		c := numberCodec{own, math.NaN()}
		got := [...]*tape{{}, {}, {}}
		withC := &nodebus.SessionOptions{Codec: c}
		leaves, switches := h.Join("x", withC), h.Join("x", nil)
		switches.SetCodec(c)
		for i, s := range []*nodebus.Session{h.Join("x", withC), leaves, switches} {
			serveOn(t, s, tryTape{got[i]})
		}
		say(t, h, "w")
		synctest.Wait()
		for _, p := range got {
			require.Equal(t, []string{"w"}, p.said(t))
		}
		require.Len(t, own.asked, 3)
		leaves.Close(nil)
		switches.SetCodec(nil)
		say(t, h, "w")
		synctest.Wait()
		require.Len(t, own.asked, 4)
	})
}

// listCodec cannot be compared with ==. anyCodec can be compared only with some values
// of any.
type (
	listCodec struct {
		nodebus.JSONCodec
		_ []int
	}
	anyCodec struct {
		nodebus.JSONCodec
		any
	}
)

func TestCodecThatCannotBeCompared(t *testing.T) {
	for name, c := range map[string]nodebus.Codec{
		"by its type": listCodec{}, "by its value": anyCodec{any: []int{}}, "after all": anyCodec{any: 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				joined, switched := &tape{}, &tape{}
				serveOn(t, h.Join("x", &nodebus.SessionOptions{Codec: c}), joined)
				s := h.Join("x", nil)
				serveOn(t, s, tryTape{switched})
				s.SetCodec(c)
				say(t, h, "w")
				synctest.Wait()
				require.Equal(t, []string{"w"}, joined.said(t))
				require.Equal(t, []string{"w"}, switched.said(t))
			})
		})
	}
}
