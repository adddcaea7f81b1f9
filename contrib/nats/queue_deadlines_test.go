package nats_test

import (
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestExpired asks a queue for the prompts whose deadlines have passed: the process that has
// queued them, and a process that opens the queue later. A prompt that was taken and waits
// again counts, and a prompt that is leased does not.
func TestExpired(t *testing.T) {
	opts := withKey()
	q := open(t, shared, opts).Queue()
	now := time.Now()
	for id, at := range map[string]time.Time{
		"late": now.Add(-time.Second), "again": now.Add(-time.Second), "runs": now.Add(-time.Second), "early": now.Add(time.Hour), "none": {},
	} {
		require.NoError(t, q.Push(t.Context(), &nodebus.Prompt{ID: id, Policy: nodebus.Policy{Deadline: at}}, nil))
	}
	for _, id := range []string{"again", "runs"} {
		l, err := q.TakeOne(t.Context(), id)
		require.NoError(t, err)
		if id == "again" {
			require.NoError(t, l.Release(t.Context()))
		}
	}
	for name, q := range map[string]flow.Queue{"the same process": q, "another process": open(t, shared, opts).Queue()} {
		t.Run(name, func(t *testing.T) {
			ids, err := q.(flow.ExpiringQueue).Expired(t.Context(), now)
			require.NoError(t, err)
			require.ElementsMatch(t, []string{"late", "again"}, ids)
		})
	}
}
