package conform_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/flow"
)

func TestQueue(t *testing.T) {
	conform.Queue(t, func(*testing.T) flow.Queue { return flow.NewQueue(0) })
}

func TestStore(t *testing.T) {
	conform.Store(t, func(*testing.T) flow.Store { return flow.NewStore(0) })
}

func TestCache(t *testing.T) {
	for name, c := range map[string]func() flow.Cache{
		"unbounded": func() flow.Cache { return flow.NewCache(flow.CacheOptions{}) },
		"entries":   func() flow.Cache { return flow.NewCache(flow.CacheOptions{Entries: 3}) },
		"bytes":     func() flow.Cache { return flow.NewCache(flow.CacheOptions{Bytes: 300}) },
		"none":      flow.NoCache,
	} {
		t.Run(name, func(t *testing.T) { conform.Cache(t, func(*testing.T) flow.Cache { return c() }) })
	}
}

func TestExecutor(t *testing.T) {
	for name, opts := range map[string]*flow.LocalOptions{
		"defaults":   nil,
		"one worker": {Workers: 1},
		"no cache":   {Cache: flow.NoCache()},
	} {
		t.Run(name, func(t *testing.T) {
			conform.Executor(t, func(r *flow.Registry) nodebus.Executor { return flow.NewLocal(r, opts) })
		})
	}
}
