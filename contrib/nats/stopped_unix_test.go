//go:build unix

package nats_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

func init() { children["runs"] = onBus(runsStubborn) }

// Stubborn is a node that takes some seconds in its first attempt, and fewer later. It
// publishes, and does not obey its context.
type Stubborn struct{ Seconds, Salt int }

var stubbornSays = func(...any) {}

func (s Stubborn) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	stubbornSays("began", ctx.PromptID())
	if ctx.Attempt() > 1 {
		s.Seconds = 2 + s.Salt%6
	}
	for end, n := time.Now().Add(time.Duration(s.Seconds)*time.Second), 0; time.Now().Before(end); n++ {
		if err := ctx.SendSync(nodebus.Custom{Type: "beat", Data: fmt.Sprint(os.Getpid(), " ", ctx.Attempt(), " ", n)}); err != nil {
			time.Sleep(20 * time.Millisecond)
		}
		ctx.Progress(float64(n), 1e6)
		time.Sleep(50 * time.Millisecond)
	}
	return nodebus.Text(fmt.Sprint(os.Getpid(), " ", ctx.Attempt())), nil
}

func stubbornEngine(bus *nats.Bus) (*flow.Engine, *nodebus.Hub) {
	hub := nodebus.NewHub(&nodebus.HubOptions{Log: bus.Log()})
	r := flow.NewRegistry()
	flow.Register(r, Stubborn{}, nodebus.Info{})
	return flow.NewEngine(r, hub, &flow.EngineOptions{Queue: bus.Queue(), Store: bus.Store(), Signals: bus.Signals(), Parallel: 100, Logger: quiet, Executor: flow.NewLocal(r, &flow.LocalOptions{Workers: 100})}), hub
}

func runsStubborn(bus *nats.Bus, say func(...any)) {
	stubbornSays = say
	e, _ := stubbornEngine(bus)
	say("ready")
	fmt.Println("ran", e.Run(context.Background()))
}

// stopTime is a little longer than a lease lasts: prompts of the process run elsewhere when it
// awakes.
const stopTime = 33 * time.Second

// TestStopped stops a process, while another process takes its prompts. When it awakes, its
// nodes go on, or end at once. Nothing of their attempts counts any more.
func TestStopped(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s, url := serve(t, t.TempDir(), port), fmt.Sprint("nats://127.0.0.1:", port)
	opts := nats.Options{Name: newName()}
	bus := open(t, s, opts)
	e, hub := stubbornEngine(bus)
	defer hub.Close()
	p := start(t, "runs", url+" "+opts.Name)
	require.Equal(t, []string{"ready"}, p.line(t))
	type seen struct {
		attempt int
		what    string
		at      time.Duration
	}
	var mu sync.Mutex
	began := time.Now()
	all := map[string][]seen{}
	_, stop, err := bus.Log().Follow(func(ev nodebus.Event) {
		mu.Lock()
		defer mu.Unlock()
		what := fmt.Sprintf("%T", ev.Payload)
		if x, ok := ev.Payload.(nodebus.Executing); ok && x.UniqueID == "" {
			what = "closing"
		}
		all[ev.PromptID] = append(all[ev.PromptID], seen{ev.Attempt, what, time.Since(began)})
	})
	require.NoError(t, err)
	defer stop()
	seconds := []int{2, 10, 30, 31, 32, 33, 33, 34, 34, 35, 36, 38}
	for i, n := range seconds {
		g := nodebus.NewGraph()
		g.AddAs("c", "Stubborn", nodebus.Inputs{"seconds": n, "salt": i})
		_, err := e.Submit(t.Context(), &nodebus.Prompt{ID: fmt.Sprint("p", i), ClientID: fmt.Sprint("c", i), Nodes: g.Nodes()}, nil)
		require.NoError(t, err)
	}
	for range seconds {
		require.Equal(t, "began", p.line(t)[0])
	}
	time.Sleep(500 * time.Millisecond)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGSTOP))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	defer func() {
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	}()
	time.AfterFunc(stopTime, func() { _ = p.cmd.Process.Signal(syscall.SIGCONT) })
	records := map[string][]string{}
	polling := make(chan struct{})
	var polls sync.WaitGroup
	polls.Go(func() {
		for {
			select {
			case <-polling:
				return
			case <-time.After(100 * time.Millisecond):
			}
			for i := range seconds {
				id := fmt.Sprint("p", i)
				if r, err := bus.Store().Get(context.Background(), id); err == nil {
					text := fmt.Sprint(r.Attempt, " ", r.State)
					if have := records[id]; len(have) == 0 || have[len(have)-1] != text {
						records[id] = append(have, text)
					}
				}
			}
		}
	})
	for i := range seconds {
		id := fmt.Sprint("p", i)
		_, err := e.Wait(t.Context(), id)
		require.NoError(t, err)
	}
	time.Sleep(6 * time.Second) // until the last node of the other process has ended
	close(polling)
	polls.Wait()
	mu.Lock()
	defer mu.Unlock()
	for i := range seconds {
		id := fmt.Sprint("p", i)
		attempt, closings, outcomes := 0, 0, 0
		for _, x := range all[id] {
			if x.attempt < attempt {
				t.Errorf("%s: an event of attempt %d after attempt %d: %+v", id, x.attempt, attempt, x)
			}
			attempt = max(attempt, x.attempt)
			switch x.what {
			case "closing":
				closings++
			case "nodebus.ExecutionSuccess", "nodebus.ExecutionError", "nodebus.ExecutionInterrupted":
				outcomes++
			}
		}
		if closings != 1 || outcomes != 1 || len(records[id]) != 1 {
			t.Errorf("%s: %d closings, %d outcomes, records %v", id, closings, outcomes, records[id])
			for _, x := range all[id] {
				if x.what != "nodebus.Custom" && x.what != "nodebus.Progress" && x.what != "nodebus.ProgressState" {
					t.Log(id, x)
				}
			}
		}
	}
	waiting, leased, err := bus.Queue().Len(t.Context())
	require.NoError(t, err)
	require.Zero(t, waiting+leased)
}
