package comfy_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// told publishes events of the prompt "run" of the client "me".
func told(t *testing.T, hub *nodebus.Hub, payloads ...nodebus.Payload) {
	t.Helper()
	for _, p := range payloads {
		require.NoError(t, hub.Publish(nodebus.Event{PromptID: "run", To: "me", Payload: p}))
	}
}

// previewOf returns a preview with an image of size bytes. The size identifies it.
func previewOf(node string, size int) nodebus.Payload {
	return nodebus.Preview{Place: nodebus.Place{UniqueID: node}, PromptID: "run", ImageType: "image/png", Image: make([]byte, size)}
}

// TestPreviewsAtReload: a client that reconnects during a run receives the last
// previews 2 s after the other events, in the form that the client can read, and again
// after 8 s, 32 s and 128 s: a page that was still loading has dropped them.
func TestPreviewsAtReload(t *testing.T) {
	const flags = `{"type":"feature_flags","data":{"supports_preview_metadata":true}}`
	for name, c := range map[string]struct {
		say       string
		meanwhile []nodebus.Payload
		want      []string
	}{
		"says nothing":          {"", nil, []string{"binary 1", "binary 1"}},
		"knows the old form":    {`{"type":"feature_flags"}`, nil, []string{"binary 1", "binary 1"}},
		"knows the new form":    {flags, nil, []string{"binary 4", "binary 4"}},
		"one has been replaced": {flags, []nodebus.Payload{previewOf("1", 200)}, []string{"binary 4", "binary 4"}},
		"the run is over":       {flags, []nodebus.Payload{nodebus.Executing{PromptID: "run"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPaced(t, nil)
				told(t, p.hub, nodebus.ExecutionStart{PromptID: "run"}, previewOf("1", 50), previewOf("1", 100), previewOf("2", 10), spoken{Text: "last"})
				at := time.Now()
				s := p.dial("me")
				require.Equal(t, []string{"status 0", "execution_start", "spoken last"}, s.until("spoken last"))
				if c.say != "" {
					s.say(c.say)
					require.Equal(t, "feature_flags", s.next().Type)
				}
				told(t, p.hub, c.meanwhile...)
				for range c.meanwhile {
					s.next() // new events are not delayed
				}
				require.Zero(t, time.Since(at))

				var want, got []string
				for _, after := range []string{"2s", "8s", "32s", "2m8s"} {
					for _, preview := range c.want {
						want = append(want, after+" "+preview)
					}
				}
				const clock = 4 // ticks, because a read waits for a minute only
				go func() {
					for range clock {
						time.Sleep(50 * time.Second)
						_ = p.hub.Broadcast(spoken{Text: "tick"})
					}
				}()
				for ticks := 0; ticks < clock; {
					if m := s.next().short(); m == "spoken tick" {
						ticks++
					} else {
						got = append(got, fmt.Sprint(time.Since(at), " ", m))
					}
				}
				require.Equal(t, want, got)
			})
		})
	}
}

// TestPreviewsInOrder: a client with a cursor receives the missed events in their
// original order, without a delay of the previews. The previews say which node they are of,
// although the client has not sent its feature flags yet.
func TestPreviewsInOrder(t *testing.T) {
	h := newHost(t, nil)
	s := h.dial("clientId=me&since=", nil)
	s.next()
	told(t, h.hub, nodebus.ExecutionStart{PromptID: "run"})
	cursor := s.next().Cursor
	s.close()
	told(t, h.hub, spoken{Text: "one"}, previewOf("1", 50), spoken{Text: "two"})
	s = h.dial("clientId=me&since="+cursor, nil)
	require.Equal(t, []string{"status 0", "spoken one", "binary 4", "spoken two"}, s.until("spoken two"))
	s = h.dial("clientId=me&since=", nil)
	require.Equal(t, []string{"status 0", "execution_start", "spoken one", "binary 4", "spoken two"}, s.until("spoken two"))
}
