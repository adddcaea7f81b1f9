package nats_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// cluster starts three servers that keep each message three times.
func cluster(t *testing.T) (all []*embed.Server) {
	t.Helper()
	var routes []string
	for range 3 {
		routes = append(routes, fmt.Sprint("127.0.0.1:", freePort(t)))
	}
	type started struct {
		s   *embed.Server
		err error
	}
	results := make(chan started, 3)
	for i, listen := range routes {
		opts := &embed.Options{Dir: t.TempDir(), Name: fmt.Sprint("n", i), Listen: listen, Routes: routes, Unsynced: true, Logger: quiet}
		go func() {
			ctx, stop := context.WithTimeout(context.Background(), time.Minute)
			defer stop()
			s, err := embed.Start(ctx, opts)
			results <- started{s, err}
		}()
	}
	for range 3 {
		r := <-results
		require.NoError(t, r.err)
		all = append(all, r.s)
	}
	t.Cleanup(func() { // at the same time: one after the other, each waits for the next
		var closing sync.WaitGroup
		for _, s := range all {
			closing.Go(func() { _ = s.Close() })
		}
		closing.Wait()
	})
	return all
}

// TestQueueInCluster runs the suites, and random calls, on streams with three replicas. Each
// bus is at another server.
func TestQueueInCluster(t *testing.T) {
	t.Parallel()
	servers, n := cluster(t), 0
	next := func(t *testing.T, opts nats.Options) *nats.Bus {
		opts.Replicas = 3
		n++
		return open(t, servers[n%3], opts)
	}
	t.Run("queue", func(t *testing.T) {
		conform.Queue(t, func(t *testing.T) flow.Queue { return next(t, withKey()).Queue() })
	})
	t.Run("reopens", func(t *testing.T) {
		conform.QueueReopens(t, func(t *testing.T) (flow.Queue, func() flow.Queue) {
			opts := withKey()
			return next(t, opts).Queue(), func() flow.Queue { return next(t, opts).Queue() }
		})
	})
	t.Run("model", func(t *testing.T) {
		b := &both{t: t, r: rand.New(rand.NewPCG(1, 1)), opts: withKey(), open: next}
		b.run()
	})
}
