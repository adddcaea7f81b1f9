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

// shownBy describes the previews and pictures that a session has sent, and names the types
// of all other events.
func shownBy(t *testing.T, p *tape) (all []string) {
	for _, f := range p.frames {
		ev, err := nodebus.JSON.Decode(f)
		require.NoError(t, err)
		if p, ok := ev.Payload.(nodebus.Preview); ok {
			all = append(all, fmt.Sprintf("%s:%s", p.UniqueID, p.Image))
		} else {
			all = append(all, ev.Payload.EventType())
		}
	}
	return all
}

// TestContract4PicturesAreKept: a client that is behind gets each picture of each node and
// each call, before the outputs of the node, and of the previews the newest.
func TestContract4PicturesAreKept(t *testing.T) {
	for name, opts := range map[string]*nodebus.HubOptions{
		"in the queue":      nil,
		"in the log":        {QueueLen: 2},
		"in a page of them": {QueueBytes: 600},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h, p := openHub(t, opts), newPausedTape()
				serveOn(t, h.Join("alice", nil), p)
				publish(t, h, start("p"))
				first := nodebus.NewContext(t.Context(), nodebus.CallInfo{
					Publisher: h, Job: &nodebus.Job{Prompt: &nodebus.Prompt{ID: "p", ClientID: "alice"}},
				})
				var want []string
				for _, id := range []string{"a", "1.1/a", "b"} {
					for index := range 2 {
						ctx := &nodebus.Context{}
						ctx.Begin(first, nodebus.Place{UniqueID: id}, index, nil)
						for n := range 6 {
							c := ctx
							if n == 3 {
								c = ctx.With(ctx) // another try of the same call
							}
							require.NoError(t, c.PreviewFile([]byte("preview")))
							require.NoError(t, c.PictureFile(fmt.Appendf(nil, "%d.%d", index, n)))
							want = append(want, fmt.Sprintf("%s:%d.%d", id, index, n))
						}
						ctx.End()
					}
					publish(t, h, about("p", nodebus.Executed{Place: nodebus.Place{UniqueID: id}, PromptID: "p"}))
					want = append(want, "executed")
				}
				p.play()
				synctest.Wait()
				var got []string
				previews := 0
				for _, s := range shownBy(t, p)[1:] {
					if strings.HasSuffix(s, ":preview") {
						previews++
						continue
					}
					got = append(got, s)
				}
				require.Equal(t, want, got)
				require.Less(t, previews, 18)
			})
		})
	}
}

// TestContract5PicturesAreReplayed: who comes later, with or without a cursor, gets each
// picture once. Pictures are not held with the previews.
func TestContract5PicturesAreReplayed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		image := func(final int) nodebus.Event {
			return about("p", nodebus.Preview{
				Place: nodebus.Place{UniqueID: "a"}, PromptID: "p", ImageType: "image/png", Final: final, Image: fmt.Append(nil, final),
			})
		}
		before := &tape{}
		serveOn(t, h.Join("alice", &nodebus.SessionOptions{Codec: nodebus.JSONCodec{Envelope: true}}), before)
		for _, ev := range []nodebus.Event{
			start("p"), image(0), image(1), image(0), image(2), about("p", nodebus.Executed{Place: nodebus.Place{UniqueID: "a"}, PromptID: "p"}), image(0),
		} {
			publish(t, h, ev)
			synctest.Wait()
		}
		require.Equal(t, []string{"execution_start", "a:0", "a:1", "a:0", "a:2", "executed", "a:0"}, shownBy(t, before))
		since := nodebus.Cursor{Epoch: before.frames[2].Epoch, ID: before.frames[2].ID}

		later := &tape{}
		serveOn(t, h.Join("alice", &nodebus.SessionOptions{Codec: nodebus.JSONCodec{Envelope: true}, Since: since}), later)
		held := &tape{}
		s := h.Join("alice", &nodebus.SessionOptions{Hold: []string{nodebus.Preview{}.EventType()}})
		serveOn(t, s, held)
		synctest.Wait()
		require.Equal(t, []string{"a:2", "executed", "a:0"}, shownBy(t, later))
		require.Equal(t, []string{"execution_start", "a:1", "a:2", "executed"}, shownBy(t, held))
		s.Release(nodebus.Preview{}.EventType())
		synctest.Wait()
		require.Equal(t, []string{"execution_start", "a:1", "a:2", "executed", "a:0"}, shownBy(t, held))
	})
}

// TestPictureKeys: pictures have keys of their own, in a queue and for a foreign log.
func TestPictureKeys(t *testing.T) {
	seen := map[string]nodebus.Preview{}
	for _, id := range []string{"a", "1.1/a", "0.1/a", "2:a", ""} {
		for _, prompt := range []string{"p", "q", ""} {
			for index := range 3 {
				for final := range 4 {
					if final == 0 && index > 0 {
						continue // a preview has no index
					}
					p := nodebus.Preview{Place: nodebus.Place{UniqueID: id}, PromptID: prompt, Final: final, Index: index}
					other, taken := seen[p.CoalesceKey()]
					require.False(t, taken, "%v and %v", p, other)
					seen[p.CoalesceKey()] = p
				}
			}
		}
	}
}

// TestPictureOnTheWire: the numbers come back, and a preview has none.
func TestPictureOnTheWire(t *testing.T) {
	for _, p := range []nodebus.Preview{
		{Place: nodebus.Place{UniqueID: "a"}.WithDefaults(), PromptID: "p", ImageType: "image/png", Final: 12, Index: 3, Image: []byte("x")},
		{Place: nodebus.Place{UniqueID: "a"}.WithDefaults(), PromptID: "p", ImageType: "image/jpeg", Image: []byte("x")},
	} {
		f, err := nodebus.JSON.Encode(nodebus.Event{PromptID: "p", Payload: p, Frozen: true})
		require.NoError(t, err)
		require.Equal(t, p.Final > 0, strings.Contains(string(f.Data), `,"final":12,"index":3}x`))
		ev, err := nodebus.JSON.Decode(f)
		require.NoError(t, err)
		require.Equal(t, p, ev.Payload)
	}
}
