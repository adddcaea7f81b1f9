package nodebus_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/nodebus/nodebus/internal/bytelog"
	"github.com/stretchr/testify/require"
)

// publishAll publishes the events of a prompt.
func publishAll(t *testing.T, h *nodebus.Hub, promptID string, payloads ...nodebus.Payload) {
	t.Helper()
	for _, p := range payloads {
		require.NoError(t, h.Publish(nodebus.Event{PromptID: promptID, To: "me", Payload: p}))
	}
}

// TestEnded asks the hub for the ends of prompts, with the log in memory and with a log
// that a hub finds when it begins.
func TestEnded(t *testing.T) {
	start, success := nodebus.ExecutionStart{PromptID: "p"}, nodebus.ExecutionSuccess{PromptID: "p"}
	last := nodebus.Executing{PromptID: "p"}
	for name, c := range map[string]struct {
		events          []nodebus.Payload
		outcome, closed bool
	}{
		"nothing":              {nil, false, false},
		"it runs":              {[]nodebus.Payload{start, nodebus.Executing{PromptID: "p", UniqueID: "1"}}, false, false},
		"it is half told":      {[]nodebus.Payload{start, success}, true, false},
		"it has ended":         {[]nodebus.Payload{start, success, last}, true, true},
		"it never began":       {[]nodebus.Payload{nodebus.ExecutionInterrupted{PromptID: "p"}, last}, true, true},
		"it has begun again":   {[]nodebus.Payload{start, success, last, start}, false, false},
		"it is long forgotten": {[]nodebus.Payload{start, success, last}, true, true},
	} {
		for _, own := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					opts := &nodebus.HubOptions{}
					if own {
						opts.Log = bytelog.New()
					}
					h := nodebus.NewHub(opts)
					publishAll(t, h, "p", c.events...)
					if name == "it is long forgotten" {
						time.Sleep(24 * time.Hour)
						publishAll(t, h, "other", start, success, last) // the hub forgets what is too old
					}
					if own {
						synctest.Wait()
						require.NoError(t, h.Close())
						h = nodebus.NewHub(opts)
					}
					outcome, closed, err := h.Ended("p")
					require.NoError(t, err)
					require.Equal(t, []bool{c.outcome, c.closed}, []bool{outcome, closed})
					require.NoError(t, h.Close())
				})
			})
		}
	}
}

// brokenReads is a log that cannot be read.
type brokenReads struct{ nodebus.Log }

func (brokenReads) Read(nodebus.LogQuery) (nodebus.LogPage, error) {
	return nodebus.LogPage{}, errors.New("the disk is gone")
}

// TestEndedOfALogThatFails checks that Ended returns the error of the log.
func TestEndedOfALogThatFails(t *testing.T) {
	h := nodebus.NewHub(&nodebus.HubOptions{Log: brokenReads{bytelog.New()}})
	_, _, err := h.Ended("p")
	require.ErrorContains(t, err, "the disk is gone")
	require.NoError(t, h.Close())
}

// TestAfterEnd checks that each function is called once, at the next closing event of its
// prompt, unless it is stopped.
func TestAfterEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := nodebus.NewHub(nil)
		called := map[string]int{}
		note := func(name string) func() {
			return func() { called[name]++ }
		}
		stopA := h.AfterEnd("p", note("a"))
		stopB := h.AfterEnd("p", note("b"))
		h.AfterEnd("other", note("other"))
		require.True(t, stopB())
		require.False(t, stopB())
		publishAll(t, h, "p", nodebus.ExecutionStart{PromptID: "p"}, nodebus.Executing{PromptID: "p", UniqueID: "1"}, nodebus.ExecutionSuccess{PromptID: "p"})
		synctest.Wait()
		require.Empty(t, called)
		publishAll(t, h, "p", nodebus.Executing{PromptID: "p"})
		synctest.Wait()
		require.Equal(t, map[string]int{"a": 1}, called)
		require.False(t, stopA())
		publishAll(t, h, "p", nodebus.ExecutionStart{PromptID: "p"}, nodebus.Executing{PromptID: "p"})
		synctest.Wait()
		require.Equal(t, map[string]int{"a": 1}, called)
		require.NoError(t, h.Close())
	})
}

// TestLastStatus asks two hubs over one log for the newest number that everybody was told.
func TestLastStatus(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		log := bytelog.New()
		first, second := nodebus.NewHub(&nodebus.HubOptions{Log: log}), nodebus.NewHub(&nodebus.HubOptions{Log: log})
		same := func(want nodebus.Status, told bool) {
			t.Helper()
			synctest.Wait()
			for _, h := range []*nodebus.Hub{first, second} {
				s, ok := h.LastStatus()
				require.Equal(t, told, ok)
				require.Equal(t, want, s)
			}
		}
		same(nodebus.Status{}, false)
		require.NoError(t, first.SendSync(nodebus.Status{QueueRemaining: 9}, "me"))
		same(nodebus.Status{}, false) // not everybody was told
		require.NoError(t, first.Broadcast(nodebus.Status{QueueRemaining: 2}))
		same(nodebus.Status{QueueRemaining: 2}, true)
		require.NoError(t, second.Broadcast(nodebus.Status{QueueRemaining: 1, Paused: true}))
		publishAll(t, first, "p", nodebus.ExecutionStart{PromptID: "p"})
		same(nodebus.Status{QueueRemaining: 1, Paused: true}, true)
		require.NoError(t, first.Close())
		require.NoError(t, second.Close())
	})
}
