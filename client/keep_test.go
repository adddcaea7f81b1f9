package client_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// readTo reads with Events up to an event of type "mark".
func readTo(t *testing.T, c *client.Client, on *scripted) {
	t.Helper()
	go on.says(t, `{"type":"mark","data":{}}`)
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
			n := 0
			say := func(prompt string, count, size int) {
				for range count {
					n++
					c.TakeIn(nodebus.Event{ID: uint64(n), Epoch: "e", PromptID: prompt, Payload: ticked{n}}, size, false)
				}
			}
			say("old", k.old, k.size)
			say("big", k.big, k.size)
			say("new", 20, max(k.size/4, 1))
			say("old", 1, 1)
			say("", 1, 1)
			say("none", 1, 1)
			for _, id := range []string{"none", "old", "big", "new"} {
				on.says(t, `{"type":"executing","data":{"node":null,"prompt_id":%q}}`, id)
			}
			client.On(c, func(nodebus.Event, ticked) {})
			require.Equal(t, []string{fmt.Sprintf("gap 0 to %d", n+1), "executing"}, followed(t, c, "old"))
			require.Equal(t, []string{"test.ticked", "executing"}, followed(t, c, "none"), "it had nothing to lose")
			require.Len(t, followed(t, c, "big"), k.big+1)
			require.Len(t, followed(t, c, "new"), 21)
		})
	}
}

// TestKeptPromptsHaveATime: a prompt that has ended is kept for 10 minutes. A prompt that
// has not ended is kept longer.
func TestKeptPromptsHaveATime(t *testing.T) {
	for name, wait := range map[string]time.Duration{"in time": 10 * time.Minute, "too late": 10*time.Minute + 1} {
		t.Run(name, func(t *testing.T) {
			bubbled(t, client.Options{PingInterval: -1, Watch: []string{"p"}}, "", func(t *testing.T, c *client.Client, on *scripted, _ *script) {
				c.Keep("q")
				go func() {
					on.says(t, `{"type":"n","data":1,"prompt_id":"p"}`)
					on.says(t, `{"type":"n","data":2,"prompt_id":"q"}`)
					on.says(t, `{"type":"executing","data":{"node":null,"prompt_id":"p"}}`)
				}()
				for ev, err := range c.Events(t.Context()) {
					require.NoError(t, err)
					if closing, ok := ev.Payload.(nodebus.Executing); ok && closing.UniqueID == "" {
						break
					}
				}
				time.Sleep(wait)
				go on.says(t, `{"type":"executing","data":{"node":null,"prompt_id":"q"}}`)
				require.Equal(t, []string{"2", "executing"}, followed(t, c, "q"))
				for ev, err := range c.Follow(t.Context(), "p") {
					require.NoError(t, err)
					require.Equal(t, wait > 10*time.Minute, told(ev) == "gap 0 to 1", told(ev))
					break
				}
			})
		})
	}
}

// TestUnreadEventsHaveABound: what Watch reads is kept for Events and for listeners; if it
// is too much, both begin with a Gap.
func TestUnreadEventsHaveABound(t *testing.T) {
	c, _, _ := greeted(t, nil)
	for i := range 65536 + 5 {
		c.TakeIn(nodebus.Event{ID: uint64(i + 1), Epoch: "e", Payload: nodebus.Custom{Type: "n", Data: json.RawMessage(fmt.Sprint(i + 1))}}, 1, true)
	}
	var heard []string
	c.OnType("", func(ev nodebus.Event) { heard = append(heard, told(ev)) })
	require.Equal(t, nodebus.Cursor{}, c.Cursor(), "before the lost events")
	var got []string
	for ev, err := range c.Events(deadline(t)) {
		require.NoError(t, err)
		if got = append(got, told(ev)); len(got) == 6 {
			break
		}
	}
	want := []string{"gap 0 to 65537", "65537", "65538", "65539", "65540", "65541"}
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
