package embed_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// openAt opens a bus at a server of a cluster.
func openAt(t *testing.T, s *embed.Server, name string) *nats.Bus {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	bus, err := nats.Open(ctx, s.Conn(), &nats.Options{Name: name, Replicas: 3, LogBytes: 64 << 20, Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(func() { _ = bus.Close() })
	return bus
}

// moves opens a bus at one server, and returns a function that closes the bus and opens it
// at the next server.
func moves[T any](t *testing.T, servers []*embed.Server, name string, part func(*nats.Bus) T) (T, func() T) {
	n := 0
	bus := openAt(t, servers[0], name)
	return part(bus), func() T {
		require.NoError(t, bus.Close())
		n++
		bus = openAt(t, servers[n%3], name)
		return part(bus)
	}
}

// TestClusterStoreAndSignals runs the suites of the store and the signals at the servers
// of a cluster by turns.
func TestClusterStoreAndSignals(t *testing.T) {
	servers := newCluster(t).start(t, 0, 3)
	n := 0
	name := func() string { n++; return fmt.Sprint("C", n) }
	t.Run("store", func(t *testing.T) {
		conform.Store(t, func(t *testing.T) flow.Store { return openAt(t, servers[n%3], name()).Store() })
	})
	t.Run("store reopens", func(t *testing.T) {
		conform.StoreReopens(t, func(t *testing.T) (flow.Store, func() flow.Store) {
			return moves(t, servers, name(), (*nats.Bus).Store)
		})
	})
	t.Run("signals", func(t *testing.T) {
		conform.Signals(t, func(t *testing.T) flow.Signals { return openAt(t, servers[n%3], name()).Signals() })
	})
	t.Run("signals reopen", func(t *testing.T) {
		conform.SignalsReopens(t, func(t *testing.T) (flow.Signals, func() flow.Signals) {
			return moves(t, servers, name(), (*nats.Bus).Signals)
		})
	})
	t.Run("a server stops", func(t *testing.T) { serverStops(t, servers, name()) })
}

// serverStops stops a server while two processes store records, and send signals to a
// receiver of one of them. Each call either succeeds or fails, and the stream agrees.
func serverStops(t *testing.T, servers []*embed.Server, name string) {
	a, b := openAt(t, servers[0], name), openAt(t, servers[1], name)
	const each = 40
	var mu sync.Mutex
	kept, put, may := map[string]bool{}, map[string]bool{}, map[string]bool{}
	_, err := a.Signals().Receive("p", func(flow.Signal) error { return nil })
	require.NoError(t, err)
	var all sync.WaitGroup
	for w, bus := range []*nats.Bus{a, b} {
		all.Go(func() {
			for i := range each {
				id := fmt.Sprint(w, "-", i)
				sent := bus.Signals().Send(t.Context(), flow.Signal{PromptID: "p", Name: id, Answer: json.RawMessage(`1`)})
				stored := bus.Store().Put(t.Context(), flow.Record{Prompt: &nodebus.Prompt{ID: id}, State: nodebus.Succeeded})
				mu.Lock()
				kept[id], put[id] = sent == nil, stored == nil
				may[id] = sent == nil || strings.Contains(sent.Error(), "NATS does not tell")
				if err := errors.Join(sent, stored); err != nil {
					t.Logf("%s: %v", id, err)
				}
				mu.Unlock()
				if w == 0 && i == each/2 {
					_ = servers[2].Close()
				}
			}
		})
	}
	all.Wait()
	for _, bus := range []*nats.Bus{b, a} {
		got := map[string]int{}
		_, err := bus.Signals().Receive("p", func(x flow.Signal) error { got[x.Name]++; return nil })
		require.NoError(t, err)
		for r, err := range bus.Store().List(t.Context()) {
			require.NoError(t, err)
			got[r.Prompt.ID] += 10
		}
		for id := range kept { // a Put that has failed may have stored the record
			require.GreaterOrEqual(t, got[id]%10, number(kept[id]), "lost: %s", id)
			require.LessOrEqual(t, got[id]%10, number(may[id]), "kept, or doubled: %s", id)
			require.GreaterOrEqual(t, got[id]/10, number(put[id]), "lost: %s", id)
		}
	}
}

// number returns 1 if something is so, and 0 otherwise.
func number(is bool) int {
	if is {
		return 1
	}
	return 0
}
