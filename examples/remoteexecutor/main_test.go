package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/leak"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain is a worker if the host has started it as one.
func TestMain(m *testing.M) {
	if os.Getenv("NODEBUS_WORKER") != "" {
		work(func(r *flow.Registry) {
			register(r)
			flow.Register(r, deaf{}, nodebus.Info{})
			flow.Register(r, asker{}, nodebus.Info{})
			conform.Register(r)
		})
		return
	}
	os.Exit(leak.Main(m))
}

// testBinary returns the command that starts the test binary as a worker.
func testBinary() *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "NODEBUS_WORKER=1", "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	return cmd
}

func TestDemo(t *testing.T) {
	var out strings.Builder
	demo(&out, testBinary)
	require.Equal(t, `Where success [in another process] <nil>
Crash error [] nodebus: node 1 (Crash): the worker process has ended: exit status 3
Where success [in another process] <nil>
`, out.String())
}

// deaf is a node that does not stop.
type deaf struct{}

func (deaf) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	_ = ctx.SendSync(nodebus.Custom{Type: "begun"})
	select {}
}

// TestDeafNode checks that the worker is killed if a node does not stop.
func TestDeafNode(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the three seconds that a node has to stop")
	}
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, deaf{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Executor: remote{registry, testBinary}})
	g := nodebus.NewGraph()
	g.Add("deaf", nil)
	ctx, cancel := context.WithCancel(t.Context())
	events := hub.Subscribe(t.Context())
	go func() {
		for ev, err := range events {
			if err != nil {
				return
			}
			if ev.Payload.EventType() == "begun" {
				cancel()
				return
			}
		}
	}()
	_, err := flow.Do(ctx, engine, &nodebus.Prompt{ID: "deaf", Nodes: g.Nodes()})
	require.ErrorIs(t, err, context.Canceled)
	outcome, err := engine.Wait(t.Context(), "deaf")
	require.NoError(t, err)
	require.Equal(t, nodebus.Interrupted, outcome.State)
	require.NoError(t, hub.Close())
}

// TestConform checks the executor against the contract of all executors.
func TestConform(t *testing.T) {
	conform.Executor(t, func(_ *testing.T, r *flow.Registry) nodebus.Executor {
		return remote{r, testBinary}
	}, &conform.Claims{Lazy: true, Expansion: true, Hidden: true, Values: true, Throttled: true, Snapshots: true, Dynamic: true})
}

// asker is a node that asks.
type asker struct{}

func (asker) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	yes, err := nodebus.Await[bool](ctx, "ok", nil)
	return nodebus.Text(fmt.Sprint(yes)), err
}

// TestQuestions: a node in another process asks, and holds no place meanwhile.
func TestQuestions(t *testing.T) {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	register(registry)
	flow.Register(registry, asker{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Executor: remote{registry, testBinary}, Parallel: 1})
	events := hub.Subscribe(t.Context())
	other := nodebus.NewGraph()
	other.Add("Where", nodebus.Inputs{"parent": 0})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ev, err := range events {
			q, ok := ev.Payload.(nodebus.Waiting)
			if err != nil || !ok {
				continue
			}
			outcome, err := flow.Do(t.Context(), engine, &nodebus.Prompt{Nodes: other.Nodes()})
			assert.NoError(t, err)
			assert.Equal(t, nodebus.Succeeded, outcome.State)
			switch q.PromptID {
			case "yes":
				assert.NoError(t, engine.Answer(t.Context(), q.PromptID, q.UniqueID, q.Name, true))
			case "wrong":
				assert.NoError(t, engine.Answer(t.Context(), q.PromptID, q.UniqueID, q.Name, "yes"))
			case "no":
				assert.NoError(t, engine.Refuse(t.Context(), q.PromptID, q.UniqueID, q.Name, "too dark"))
			}
		}
	}()
	for id, text := range map[string]string{"yes": "", "wrong": "must be a bool", "no": "refused: too dark"} {
		g := nodebus.NewGraph()
		g.AddAs("1", "asker", nil)
		outcome, err := flow.Do(t.Context(), engine, &nodebus.Prompt{ID: id, Nodes: g.Nodes()})
		require.NoError(t, err)
		if text == "" {
			require.Equal(t, nodebus.Text("true"), outcome.Output("1"))
			continue
		}
		require.ErrorContains(t, outcome.Err(), text)
	}
	require.NoError(t, hub.Close())
	<-done
}
