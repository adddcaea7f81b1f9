package nats_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/stretchr/testify/require"
)

// TestOpenWaitsForTheServerOfAStream opens a bus of one replica in a cluster, while the server
// that keeps it is away: the other servers say so, and Open waits for that server.
func TestOpenWaitsForTheServerOfAStream(t *testing.T) {
	servers := cluster(t)
	opts := nats.Options{Name: newName(), Replicas: 1}
	require.NoError(t, open(t, servers[0], opts).Close())
	js, err := jetstream.New(connect(t, servers[0]))
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), opts.Name+"_LOG")
	require.NoError(t, err)
	keeper := slices.IndexFunc(servers, func(s *embed.Server) bool {
		return s.Conn().ConnectedServerName() == stream.CachedInfo().Cluster.Leader
	})
	require.NoError(t, servers[keeper].Close())
	nc := connect(t, servers[(keeper+1)%3])
	js, err = jetstream.New(nc)
	require.NoError(t, err)
	until(t, func() bool {
		once, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		_, err := js.Stream(once, opts.Name+"_LOG")
		return err != nil && strings.Contains(err.Error(), "stream is offline")
	})
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	opts.Logger = quiet
	_, err = nats.Open(ctx, nc, &opts)
	require.ErrorIs(t, err, nats.ErrAway)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
