package embed_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/stretchr/testify/require"
)

// TestRemoveAServerThatIsGone removes a server from a cluster as docs/nats.md says. All others
// have started again since it has gone, so none of them knows its name: the warning has its id.
func TestRemoveAServerThatIsGone(t *testing.T) {
	defer embed.SetPeersPause(10 * time.Millisecond)()
	c, told := newCluster(t), lines{}
	begin := func(names ...string) (all []*embed.Server) {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		all = make([]*embed.Server, len(names))
		var starting sync.WaitGroup
		for n, name := range names {
			starting.Go(func() {
				s, err := embed.Start(ctx, &embed.Options{
					Dir: filepath.Join(c.dir, name), Name: name, Listen: c.routes[n], Routes: c.routes, Unsynced: true,
					Logger: slog.New(slog.NewTextHandler(&told, nil)), Tune: withAdmin,
				})
				if err != nil {
					t.Error(err)
				}
				all[n] = s
			})
		}
		starting.Wait()
		return all
	}
	closeAll(begin("n0", "n1", "gone")...)
	require.False(t, t.Failed())
	all := begin("n0", "n1", "n2")
	told.comes(t, "counted=4")
	closeAll(all...)
	require.False(t, t.Failed())
	told.empty()
	all = begin("n0", "n1", "n2")
	defer func() { closeAll(all...) }()
	require.False(t, t.Failed())
	told.comes(t, "counted=4")
	list := regexp.MustCompile(`"not connected"="?\[([^]]+)\]`).FindStringSubmatch(told.String())
	require.NotNil(t, list, told.String())
	names := strings.Fields(list[1]) // of others, too, if they are not connected yet
	id := names[slices.IndexFunc(names, func(name string) bool { return !strings.HasPrefix(name, "n") || len(name) > 2 })]

	nc, err := all[0].Connect(natsgo.UserInfo("admin", "secret"))
	require.NoError(t, err)
	defer nc.Close()
	for _, c := range []struct {
		field, named string
		want         bool
	}{{"peer", id, false}, {"peer_id", "n2", false}, {"peer_id", id, true}} {
		request, err := json.Marshal(map[string]string{c.field: c.named})
		require.NoError(t, err)
		answer, err := nc.Request("$JS.API.SERVER.REMOVE", request, 2*time.Second)
		again := false // the servers choose a leader, and nobody answers; or the answer is lost
		for ; err != nil; answer, err = nc.Request("$JS.API.SERVER.REMOVE", request, 2*time.Second) {
			require.NoError(t, t.Context().Err())
			again = true
		}
		done := regexp.MustCompile(`"success":true`).Match(answer.Data)
		gone := again && regexp.MustCompile("not a member").Match(answer.Data)
		require.Equal(t, c.want, done || c.want && gone, "%s", answer.Data)
	}
}

// withAdmin gives the system account a user.
func withAdmin(o *server.Options) {
	system := server.NewAccount(server.DEFAULT_SYSTEM_ACCOUNT)
	o.Accounts, o.SystemAccount = []*server.Account{system}, system.Name
	o.Users = []*server.User{
		{Username: o.Username, Password: o.Password},
		{Username: "admin", Password: "secret", Account: system},
	}
}

// empty forgets what the buffer has.
func (l *lines) empty() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}
