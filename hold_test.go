package nodebus_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// TestHeldPreviews checks that held previews are not in the replay, and that each Release
// sends what is still kept, also of what the client has received since it joined, but nothing
// of prompts that began later.
func TestHeldPreviews(t *testing.T) {
	preview := func(prompt, node string) nodebus.Event {
		return about(prompt, nodebus.Preview{PromptID: prompt, Place: nodebus.Place{UniqueID: node}, ImageType: "image/png"})
	}
	progress := func(prompt string, value float64) nodebus.Event {
		return about(prompt, nodebus.Progress{PromptID: prompt, UniqueID: "1", Value: value, Max: 2})
	}
	states := func(prompt, first, second string) nodebus.Event {
		return about(prompt, nodebus.ProgressState{PromptID: prompt}.With(
			nodebus.NodeState{Place: nodebus.Place{UniqueID: "1"}, State: first}, nodebus.NodeState{Place: nodebus.Place{UniqueID: "2"}, State: second}))
	}
	again := start("a")
	again.Attempt = 2
	running := []string{"execution_start", "progress", "execution_start", "execution_start", "progress"}
	for name, c := range map[string]struct {
		opts      nodebus.SessionOptions
		meanwhile []nodebus.Event
		replayed  []string
		released  []string // by each of two calls
	}{
		"of one's own": {nodebus.SessionOptions{}, nil, running, []string{"a/1", "a/2", "b/1", "progress"}},
		"replaced":     {nodebus.SessionOptions{}, []nodebus.Event{preview("a", "1"), progress("a", 2)}, running, []string{"a/2", "b/1", "a/1", "progress"}},
		"later": {
			nodebus.SessionOptions{},
			[]nodebus.Event{start("c"), preview("c", "1"), progress("c", 1)},
			running,
			[]string{"a/1", "a/2", "b/1", "progress"},
		},
		"a node has ended":     {nodebus.SessionOptions{}, []nodebus.Event{states("a", "finished", "running")}, running, []string{"a/2", "b/1"}},
		"a node has failed":    {nodebus.SessionOptions{}, []nodebus.Event{states("a", "running", "error")}, running, []string{"a/1", "b/1", "progress"}},
		"all nodes have ended": {nodebus.SessionOptions{}, []nodebus.Event{states("a", "finished", "finished")}, running, []string{"b/1"}},
		"a node runs again": {
			nodebus.SessionOptions{},
			[]nodebus.Event{states("a", "finished", "finished"), states("a", "finished", "running")},
			running,
			[]string{"a/2", "b/1"},
		},
		"an attempt has begun": {
			nodebus.SessionOptions{},
			[]nodebus.Event{states("a", "finished", "finished"), again, preview("a", "1")},
			running,
			[]string{"b/1", "a/1"},
		},
		"ended": {nodebus.SessionOptions{}, []nodebus.Event{ending("a")}, running, []string{"b/1"}},
		"ended before that": {
			nodebus.SessionOptions{Watch: []string{"over"}},
			nil,
			append(slices.Clone(running), "execution_start", "progress", "executing"),
			[]string{"a/1", "a/2", "b/1", "progress"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				publish(t, h, start("a"), progress("a", 1), preview("a", "1"), preview("a", "2"), start("b"), preview("b", "1"),
					start("no preview"), progress("no preview", 1),
					start("over"), preview("over", "1"), progress("over", 1), ending("over"))
				p := &tape{}
				c.opts.Hold = []string{nodebus.Preview{}.EventType()}
				s := h.Join("alice", &c.opts)
				serveOn(t, s, asTransport(p, true))
				synctest.Wait()
				require.Equal(t, c.replayed, typesOf(t, p))
				publish(t, h, c.meanwhile...)
				synctest.Wait()
				before := len(p.frames)
				for range 2 {
					s.Release(nodebus.Preview{}.EventType(), nodebus.Progress{}.EventType())
				}
				synctest.Wait()
				p.frames = p.frames[before:]
				require.Equal(t, slices.Repeat(c.released, 2), typesOf(t, p))
			})
		})
	}
}

// typesOf returns the types of the recorded frames, and the prompt and node of
// previews.
func typesOf(t *testing.T, p *tape) (all []string) {
	for _, f := range p.frames {
		ev, err := nodebus.JSON.Decode(f)
		require.NoError(t, err)
		if p, ok := ev.Payload.(nodebus.Preview); ok {
			all = append(all, p.PromptID+"/"+p.UniqueID)
			continue
		}
		all = append(all, f.Type)
	}
	return all
}

// TestHoldKnowsTypesAsTheyWereSent checks that Hold uses the type that an event had
// when it was published, even if the sender has changed the payload since.
func TestHoldKnowsTypesAsTheyWereSent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		p := &titled{"held", "a"}
		publish(t, h, start("1"), about("1", p), about("1", word("w")))
		p.Type = "changed"
		got := &tape{}
		s := h.Join("alice", &nodebus.SessionOptions{Hold: []string{"held"}})
		serveOn(t, s, got)
		synctest.Wait()
		require.Equal(t, []string{"execution_start", "word"}, typesOf(t, got))
		s.Release("held")
		synctest.Wait()
		require.Equal(t, []string{"execution_start", "word", "held"}, typesOf(t, got))
	})
}
