package conform_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/flow"
)

func TestQueue(t *testing.T) {
	conform.Queue(t, func(*testing.T) flow.Queue { return flow.NewQueue(nil) })
}

func TestStore(t *testing.T) {
	conform.Store(t, func(*testing.T) flow.Store { return flow.NewStore(nil) })
}

func TestCache(t *testing.T) {
	for name, c := range map[string]func() flow.Cache{
		"defaults": func() flow.Cache { return flow.NewCache(nil) },
		"entries":  func() flow.Cache { return flow.NewCache(&flow.CacheOptions{Entries: 3}) },
		"bytes":    func() flow.Cache { return flow.NewCache(&flow.CacheOptions{Bytes: 300}) },
		"none":     flow.NoCache,
		"classic":  flow.ClassicCache,
		"JSON":     func() flow.Cache { return &jsonCache{} },
	} {
		t.Run(name, func(t *testing.T) { conform.Cache(t, func(*testing.T) flow.Cache { return c() }) })
	}
}

func TestExecutor(t *testing.T) {
	uncached := conform.AllClaims()
	uncached.Cached = false
	for name, c := range map[string]struct {
		opts   *flow.LocalOptions
		claims *conform.Claims
	}{
		"defaults":   {nil, conform.AllClaims()},
		"one worker": {&flow.LocalOptions{Workers: 1}, conform.AllClaims()},
		"no cache":   {&flow.LocalOptions{Cache: flow.NoCache()}, uncached},
	} {
		t.Run(name, func(t *testing.T) {
			conform.Executor(t, func(_ *testing.T, r *flow.Registry) nodebus.Executor {
				return flow.NewLocal(r, c.opts)
			}, c.claims)
		})
	}
}
