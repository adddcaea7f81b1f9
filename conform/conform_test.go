package conform_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
)

func TestQueue(t *testing.T) {
	conform.Queue(t, func(*testing.T) nodebus.Queue { return nodebus.NewQueue(0) })
}

func TestStore(t *testing.T) {
	conform.Store(t, func(*testing.T) nodebus.Store { return nodebus.NewStore(0) })
}

func TestCache(t *testing.T) {
	for name, c := range map[string]func() nodebus.Cache{
		"unbounded": func() nodebus.Cache { return nodebus.NewCache(nodebus.CacheOptions{}) },
		"entries":   func() nodebus.Cache { return nodebus.NewCache(nodebus.CacheOptions{Entries: 3}) },
		"bytes":     func() nodebus.Cache { return nodebus.NewCache(nodebus.CacheOptions{Bytes: 300}) },
		"none":      nodebus.NoCache,
	} {
		t.Run(name, func(t *testing.T) { conform.Cache(t, func(*testing.T) nodebus.Cache { return c() }) })
	}
}

func TestExecutor(t *testing.T) {
	for name, opts := range map[string]*nodebus.LocalOptions{
		"defaults":   nil,
		"one worker": {Workers: 1},
		"no cache":   {Cache: nodebus.NoCache()},
	} {
		t.Run(name, func(t *testing.T) {
			conform.Executor(t, func(r *nodebus.Registry) nodebus.Executor { return nodebus.NewLocal(r, opts) })
		})
	}
}
