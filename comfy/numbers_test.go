package comfy_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"sync/atomic"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// awayQueue is a queue of another process that takes prompts, and does not say which prompts
// it has while away is set.
type awayQueue struct {
	flow.Queue
	away atomic.Bool
}

var errAway = errors.New("the queue does not answer")

func (q *awayQueue) List(ctx context.Context, ids ...string) iter.Seq2[flow.Queued, error] {
	if q.away.Load() {
		return func(yield func(flow.Queued, error) bool) { yield(flow.Queued{}, errAway) }
	}
	return q.Queue.List(ctx, ids...)
}

// awayShared is an awayQueue that several processes share.
type awayShared struct{ *awayQueue }

func (q awayShared) LastPriority(ctx context.Context, most float64) (float64, error) {
	if q.away.Load() {
		return 0, errAway
	}
	last := math.Inf(-1)
	for p, err := range q.List(ctx) {
		if err != nil {
			return 0, err
		}
		if p.Prompt.Priority <= most {
			last = max(last, p.Prompt.Priority)
		}
	}
	return last, nil
}

// TestNumbersOfAQueueThatIsAway has a server that has accepted no prompt yet, and a queue
// with prompts of other processes. While the queue does not say their numbers, a prompt must
// not go before all of them: it is refused, unless the client has chosen its number.
func TestNumbersOfAQueueThatIsAway(t *testing.T) {
	for name, shared := range map[string]bool{"of one process": false, "of several processes": true} {
		t.Run(name, func(t *testing.T) {
			away := &awayQueue{Queue: flow.NewQueue(nil)}
			require.NoError(t, away.Push(t.Context(), &nodebus.Prompt{ID: "theirs", Priority: 5000}, nil))
			require.NoError(t, away.Push(t.Context(), &nodebus.Prompt{ID: "urgent", Priority: -7}, nil))
			var q flow.Queue = away
			if shared {
				q = awayShared{away}
			}
			h := newHostThat(t, nil, &flow.EngineOptions{Queue: q}, (*flow.Engine).Pause)
			away.away.Store(true)
			for _, more := range []string{`"x":1`, `"front":true`} {
				a := h.post("/prompt", `{"prompt":`+quick+`,`+more+`}`)
				require.Equal(t, 503, a.status, a.body)
				require.Equal(t, "not_accepted", at(t, a.json(t), "error", "type"))
			}
			require.Contains(t, h.post("/prompt", `{"prompt":`+quick+`,"number":3}`).body, `"number":3,`)
			away.away.Store(false)
			require.Contains(t, h.post("/prompt", `{"prompt":`+quick+`}`).body, `"number":5001,`)
			require.Contains(t, h.post("/prompt", `{"prompt":`+quick+`,"front":true}`).body, `"number":-`)
			waiting, _, err := away.Len(t.Context())
			require.NoError(t, err)
			require.Equal(t, 5, waiting)
		})
	}
}

// lateQueue is a queue that takes a prompt, and does not say so.
type lateQueue struct{ flow.Queue }

func (q lateQueue) Push(ctx context.Context, p *nodebus.Prompt, secrets map[string]string) error {
	return cmp.Or(q.Queue.Push(ctx, p, secrets), errAway)
}

// TestPromptWithoutConfirmation: the answer has the id of a prompt that may be in the queue, so
// that a client that tries again does not run the prompt twice.
func TestPromptWithoutConfirmation(t *testing.T) {
	for _, member := range []string{"", `,"prompt_id":"mine"`} {
		h := newHostThat(t, nil, &flow.EngineOptions{Queue: lateQueue{flow.NewQueue(nil)}}, (*flow.Engine).Pause)
		a := h.post("/prompt", `{"prompt":`+quick+member+`}`)
		require.Equal(t, 503, a.status, a.body)
		require.Equal(t, "not_accepted", at(t, a.json(t), "error", "type"))
		require.Equal(t, "The queue has not confirmed the prompt", at(t, a.json(t), "error", "message"))
		require.Contains(t, at(t, a.json(t), "error", "details"), "submit it again with the prompt_id of this answer")
		require.Empty(t, at(t, a.json(t), "node_errors"))
		id, _ := at(t, a.json(t), "prompt_id").(string)
		if member == "" {
			require.Len(t, id, 36)
		} else {
			require.Equal(t, "mine", id)
		}
		require.Contains(t, fmt.Sprint(h.get("/queue")), id, "it is in the queue")
		again := h.post("/prompt", `{"prompt":`+quick+`,"prompt_id":"`+id+`"}`)
		require.Equal(t, 409, again.status, again.body)
		require.Contains(t, again.body, "submitted before, then it was accepted")
	}
}
