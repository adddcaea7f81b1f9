package crowd_test

import (
	"strconv"
	"sync"
	"testing"

	"github.com/nodebus/nodebus/internal/crowd"
	"github.com/stretchr/testify/require"
)

func TestBounds(t *testing.T) {
	for name, c := range map[string]struct{ perClient, all, wantPerClient, wantAll int }{
		"defaults":       {0, 0, 1000, 10_000},
		"below zero":     {-1, -1, 1000, 10_000},
		"others":         {3, 20, 3, 20},
		"more than all":  {30, 20, 20, 20},
		"one for each":   {1, 5, 1, 5},
		"only one":       {5, 1, 1, 1},
		"many of a kind": {10_001, 0, 10_000, 10_000},
	} {
		t.Run(name, func(t *testing.T) {
			cr := crowd.New(c.perClient, c.all)
			fill := func(client string) (n int) {
				for status := 0; status == 0; {
					var err error
					if status, err = cr.Enter(client); err == nil {
						n++
						continue
					}
					if n == c.wantPerClient && n < c.wantAll {
						require.Equal(t, 429, status)
						require.ErrorContains(t, err, "the client has "+strconv.Itoa(n)+" connections")
						require.ErrorContains(t, err, "Options.MaxPerClient")
					} else if client == "" {
						require.Equal(t, 503, status)
						require.ErrorContains(t, err, "Options.MaxConnections")
					}
				}
				return n
			}
			for range 2 { // who has left leaves room
				require.Equal(t, c.wantPerClient, fill("ann"))
				require.Equal(t, min(c.wantPerClient, c.wantAll-c.wantPerClient), fill("bob"))
				rest := c.wantAll - c.wantPerClient - min(c.wantPerClient, c.wantAll-c.wantPerClient)
				require.Equal(t, rest, fill(""), "clients without an id have no bound of their own")
				for client, n := range map[string]int{"ann": c.wantPerClient, "bob": min(c.wantPerClient, c.wantAll-c.wantPerClient), "": rest} {
					for range n {
						cr.Leave(client)
					}
				}
			}
		})
	}
}

func TestConcurrentClients(t *testing.T) {
	cr := crowd.New(4, 10)
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			client := strconv.Itoa(i % 3)
			for range 1000 {
				if _, err := cr.Enter(client); err == nil {
					cr.Leave(client)
				}
			}
		})
	}
	running.Wait()
	for range 4 {
		_, err := cr.Enter("0")
		require.NoError(t, err)
	}
	status, _ := cr.Enter("0")
	require.Equal(t, 429, status)
}
