package nodebus_test

import (
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// TestInclude checks that a session receives the events of other clients' prompts that
// its Include accepts, in the order of all events, from the time it joined.
func TestInclude(t *testing.T) {
	aloud := func(ev nodebus.Event) bool {
		switch ev.Payload {
		case word("panic"):
			panic("the predicate is wrong")
		case word("aloud"):
			return true
		}
		return ev.To == "" && ev.Payload.EventType() == "gauge"
	}
	events := []nodebus.Event{
		about("1", word("whispered")),
		about("1", word("aloud")),
		{Broadcast: true, Payload: word("to everyone")},
		{PromptID: "2", Payload: gauge{"of nobody", 1}},
		about("1", gauge{"of alice", 1}),
		about("1", word("panic")),
		{Broadcast: true, Payload: word("to everyone else")},
		{PromptID: "2", Payload: word("aloud")},
	}
	all := []string{"whispered", "aloud", "to everyone", "of nobody=1", "of alice=1", "panic", "to everyone else", "aloud"}
	for name, c := range map[string]struct {
		client string
		opts   nodebus.SessionOptions
		want   []string
	}{
		"somebody else":    {"bob", nodebus.SessionOptions{Include: aloud}, []string{"aloud", "to everyone", "of nobody=1", "to everyone else", "aloud"}},
		"the submitter":    {"alice", nodebus.SessionOptions{Include: aloud}, []string{"whispered", "aloud", "to everyone", "of nobody=1", "of alice=1", "panic", "to everyone else", "aloud"}},
		"a watcher":        {"bob", nodebus.SessionOptions{Include: aloud, Watch: []string{"2"}}, []string{"aloud", "to everyone", "of nobody=1", "to everyone else", "aloud"}},
		"one of all":       {"bob", nodebus.SessionOptions{Include: aloud, WatchAll: true}, all},
		"one who does not": {"bob", nodebus.SessionOptions{}, []string{"to everyone", "to everyone else"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				publish(t, h, nodebus.Event{PromptID: "0", Payload: word("aloud")}) // published before the session joins
				direct, queued := &tape{}, &tape{}
				c.opts.Since = at(h, newestID(t, h))
				serveOn(t, h.Join(c.client, &c.opts), asTransport(direct, true))
				serveOn(t, h.Join(c.client, &c.opts), asTransport(queued, false))
				synctest.Wait()
				for _, ev := range events {
					publish(t, h, ev)
					synctest.Wait() // so that no event replaces another event
				}
				require.Equal(t, c.want, direct.said(t))
				require.Equal(t, c.want, queued.said(t))
			})
		})
	}
}

// TestIncludeIsNotAskedAboutWhatIsDueAnyway checks that Include is not called for
// events of the client's own prompts, of prompts that the session watches, and from
// before it joined.
func TestIncludeIsNotAskedAboutWhatIsDueAnyway(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		var asked []nodebus.Payload
		opts := &nodebus.SessionOptions{Watch: []string{"2"}, Include: func(ev nodebus.Event) bool {
			asked = append(asked, ev.Payload)
			return true
		}}
		publish(t, h, nodebus.Event{PromptID: "3", Payload: word("before")})
		p := &tape{}
		serveOn(t, h.Join("alice", opts), p)
		publish(t, h, about("1", word("mine")), nodebus.Event{PromptID: "2", Payload: word("watched")},
			nodebus.Event{PromptID: "3", Payload: word("of another")}, nodebus.Event{Broadcast: true, Payload: word("to everyone")})
		synctest.Wait()
		require.Equal(t, []nodebus.Payload{word("of another")}, asked)
		require.Equal(t, []string{"mine", "watched", "of another", "to everyone"}, p.said(t))
	})
}
