package flow_test

import (
	"context"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// lateExecutor leaves a goroutine behind that asks for a place when the prompt is over.
type lateExecutor struct{ hosts chan nodebus.Host }

func (x lateExecutor) Prepare(context.Context, *nodebus.Prompt) (any, error) { return nil, nil }

func (x lateExecutor) Execute(_ context.Context, job nodebus.Job, _ nodebus.Publisher) (nodebus.Report, error) {
	job.Host.Rest()
	x.hosts <- job.Host
	return nodebus.Report{}, nil
}

// TestResumeOfAPromptThatIsOver: what an executor leaves behind takes no place, now or later.
func TestResumeOfAPromptThatIsOver(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		x := lateExecutor{make(chan nodebus.Host, 1)}
		hub := nodebus.NewHub(nil)
		engine := flow.NewEngine(flow.NewRegistry(), hub, &flow.EngineOptions{Executor: x, Parallel: 1})
		for range 3 { // with a lost place, the second prompt would wait for ever
			_, err := flow.Do(t.Context(), engine, &nodebus.Prompt{})
			require.NoError(t, err)
			host := <-x.hosts
			require.ErrorIs(t, host.Resume(t.Context()), nodebus.ErrClosed)
			host.Rest()
		}
		require.NoError(t, hub.Close())
	})
}
