package client_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// readTo reads with Events up to an event of type "mark".
func readTo(t *testing.T, c *client.Client, on *scripted) {
	t.Helper()
	go func() { _ = on.Write(context.Background(), websocket.MessageText, []byte(`{"type":"mark","data":{}}`)) }()
	for ev, err := range c.Events(t.Context()) {
		require.NoError(t, err)
		if ev.Payload.EventType() == "mark" {
			return
		}
	}
}

// followed returns the events that Follow yields up to the closing event: the data of a
// custom event, otherwise the type, and for a Gap its place.
func followed(t *testing.T, c *client.Client, promptID string) (got []string) {
	t.Helper()
	for ev, err := range c.Follow(deadline(t), promptID) {
		require.NoError(t, err)
		switch p := ev.Payload.(type) {
		case nodebus.Custom:
			got = append(got, fmt.Sprintf("%s", p.Data))
		case nodebus.Gap:
			got = append(got, fmt.Sprintf("gap %d to %d", p.Since, p.Next))
		default:
			got = append(got, p.EventType())
		}
	}
	return got
}

// TestKeptPrompt: what others read of a kept prompt is for its first Follow.
func TestKeptPrompt(t *testing.T) {
	c, on, _ := greeted(t, nil)
	c.Keep("p")
	c.Keep("q")
	for i, id := range []string{"p", "q", "", "p"} {
		on.says(t, `{"type":"n","data":%d,"prompt_id":%q}`, i, id)
	}
	on.says(t, `{"type":"executing","data":{"node":null,"prompt_id":"p"}}`)
	readTo(t, c, on)
	c.Unkeep("q")
	require.Equal(t, []string{"0", "3", "executing"}, followed(t, c, "p"))
	on.says(t, `{"type":"executing","data":{"node":null,"prompt_id":"p"}}`)
	on.says(t, `{"type":"executing","data":{"node":null,"prompt_id":"q"}}`)
	require.Equal(t, []string{"executing"}, followed(t, c, "p"), "only the first Follow gets them")
	on.says(t, `{"type":"executing","data":{"node":null,"prompt_id":"q"}}`)
	require.Equal(t, []string{"executing"}, followed(t, c, "q"), "they were dropped")
}

// TestKeptPromptsHaveABound: if too much is kept, the oldest prompt loses its events, and
// its Follow begins with a Gap. The others keep theirs.
func TestKeptPromptsHaveABound(t *testing.T) {
	for name, k := range map[string]struct{ old, big, size int }{
		"events": {100, 65536 - 110, 1}, "bytes": {8, 7, 4 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			c, on, _ := greeted(t, nil)
			for _, id := range []string{"none", "old", "big", "new"} {
				c.Keep(id)
			}
			id := 0
			say := func(prompt string, size int) {
				id++
				head := fmt.Sprintf(`{"type":"n","data":%d,"prompt_id":%q,"cursor":"e-%d"`, id, prompt, id)
				pad := strings.Repeat(" ", max(0, size-len(head)-1))
				require.NoError(t, on.Write(t.Context(), websocket.MessageText, []byte(head+pad+"}")))
			}
			go func() {
				for range k.old {
					say("old", k.size)
				}
				for range k.big {
					say("big", k.size)
				}
				for range 20 {
					say("new", max(k.size/4, 1))
				}
				say("old", 0)
			}()
			last := k.old + k.big + 21
			for ev, err := range c.Events(t.Context()) {
				require.NoError(t, err)
				if ev.ID == uint64(last) {
					break
				}
			}
			go func() {
				say("", 0)
				say("none", 0)
				for _, id := range []string{"none", "old", "big", "new"} {
					_ = on.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, `{"type":"executing","data":{"node":null,"prompt_id":%q}}`, id))
				}
			}()
			require.Equal(t, []string{fmt.Sprintf("gap 0 to %d", last+1), "executing"}, followed(t, c, "old"))
			require.Equal(t, []string{fmt.Sprint(last + 2), "executing"}, followed(t, c, "none"), "it had nothing to lose")
			big := followed(t, c, "big")
			require.Len(t, big, k.big+1)
			require.Equal(t, fmt.Sprint(k.old+1), big[0])
			require.Len(t, followed(t, c, "new"), 21)
		})
	}
}

// TestUnreadEventsHaveABound: what Watch reads is kept for Events and for listeners; if it
// is too much, both begin with a Gap.
func TestUnreadEventsHaveABound(t *testing.T) {
	c, on, _ := greeted(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Watch(ctx, "p") }()
	<-on.heard
	for i := range 65536 + 5 {
		on.says(t, `{"type":"n","data":%d,"cursor":"e-%d"}`, i+1, i+1)
	}
	on.says(t, `{"type":"nodebus.watching","data":{"prompt_id":"p","watching":true}}`)
	require.NoError(t, <-ended)
	cancel()
	var heard []string
	c.OnType("", func(ev nodebus.Event) { heard = append(heard, told(ev)) })
	require.Equal(t, nodebus.Cursor{}, c.Cursor(), "before the lost events")
	var got []string
	for ev, err := range c.Events(deadline(t)) {
		require.NoError(t, err)
		if got = append(got, told(ev)); len(got) == 7 {
			break
		}
	}
	want := []string{"gap 0 to 65537", "65537", "65538", "65539", "65540", "65541", "nodebus.watching"}
	require.Equal(t, want, got)
	require.Equal(t, want, heard)
}

func told(ev nodebus.Event) string {
	switch p := ev.Payload.(type) {
	case nodebus.Custom:
		return fmt.Sprintf("%s", p.Data)
	case nodebus.Gap:
		return fmt.Sprintf("gap %d to %d", p.Since, p.Next)
	}
	return ev.Payload.EventType()
}
