package embed_test

import (
	"errors"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// companion starts a server without JetStream that joins the cluster of the others. A server
// that meets it waits for a majority all the same. A server that meets nobody cannot be
// tested: NATS leaves goroutines of it. The channel is closed when a server has met it and
// wants to become the leader, so that this server waits for the others only.
func companion(t *testing.T) (route string, met chan struct{}) {
	t.Helper()
	route, met = freeAddress(t), make(chan struct{})
	at, err := net.ResolveTCPAddr("tcp", route)
	require.NoError(t, err)
	sys := server.NewAccount(server.DEFAULT_SYSTEM_ACCOUNT)
	s, err := server.NewServer(&server.Options{
		ServerName: "companion", Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		Cluster:  server.ClusterOpts{Name: "nodebus", Host: "127.0.0.1", Port: at.Port},
		Accounts: []*server.Account{sys}, SystemAccount: sys.Name,
		Users: []*server.User{{Username: "u", Password: "p", Account: sys}},
	})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	require.True(t, s.ReadyForConnections(time.Minute))
	nc, err := natsgo.Connect((&url.URL{Scheme: "nats", User: url.UserPassword("u", "p"), Host: s.Addr().String()}).String())
	require.NoError(t, err)
	t.Cleanup(func() {
		nc.Close()
		<-met
	})
	sub, err := nc.SubscribeSync("$NRG.V._meta_") // a vote for a leader of the cluster
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	go func() {
		if _, err := sub.NextMsg(time.Minute); errors.Is(err, natsgo.ErrTimeout) {
			t.Error("no server wants to become the leader")
		}
		close(met)
	}()
	return route, met
}
