package embed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/stretchr/testify/require"
)

// TestStartEndsWithTheProgram ends the context of Start while the server waits for others, or
// for the directory: the error is the end of the program, and nothing else.
func TestStartEndsWithTheProgram(t *testing.T) {
	held := t.TempDir()
	start(t, embed.Options{Dir: held})
	signal := errors.New("a signal")
	for name, opts := range map[string]embed.Options{
		"the others":    {Dir: t.TempDir(), Name: "n", Listen: "127.0.0.1:0", Routes: []string{"127.0.0.1:1", "127.0.0.1:2"}},
		"the directory": {Dir: held, LockTimeout: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancelCause(t.Context())
			stop(signal)
			opts.Logger = quiet
			_, err := embed.Start(ctx, &opts)
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, signal)
			require.NotErrorIs(t, err, embed.ErrInUse)
			require.NotContains(t, err.Error(), "must run")
			require.ErrorContains(t, err, opts.Dir)
		})
	}
}

// TestTuneGivesRoutes gives a server its cluster with Tune. It waits for the others.
func TestTuneGivesRoutes(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, err := embed.Start(ctx, &embed.Options{Dir: t.TempDir(), Name: "n", Listen: "127.0.0.1:0", Logger: quiet, Tune: func(o *server.Options) {
		o.Routes = []*url.URL{{Scheme: "nats", Host: "127.0.0.1:1"}, {Scheme: "nats", Host: "127.0.0.1:2"}}
	}})
	require.ErrorIs(t, err, context.Canceled)
}

// lines is a buffer that several goroutines use.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// comes waits until the buffer has a text.
func (l *lines) comes(t *testing.T, text string) {
	t.Helper()
	for began := time.Now(); !bytes.Contains([]byte(l.String()), []byte(text)); time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(began), time.Minute, "it does not come: %s\n%s", text, l)
	}
}

// TestClusterCountsAServerThatIsGone replaces a server by another one with another name: the
// cluster counts four servers, and needs three.
func TestClusterCountsAServerThatIsGone(t *testing.T) {
	defer embed.SetPeersPause(10 * time.Millisecond)()
	c, told := newCluster(t), [4]lines{}
	begin := func(n, at int) *embed.Server {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		name := fmt.Sprint("n", n)
		s, err := embed.Start(ctx, &embed.Options{
			Dir: filepath.Join(c.dir, name), Name: name, Listen: c.routes[at], Routes: c.routes, Unsynced: true,
			Logger: slog.New(slog.NewTextHandler(&told[n], nil)),
		})
		if err != nil {
			t.Error(err)
		}
		return s
	}
	all := make([]*embed.Server, 3)
	var starting sync.WaitGroup
	for n := range 3 {
		starting.Go(func() { all[n] = begin(n, n) })
	}
	starting.Wait()
	require.False(t, t.Failed())
	defer func() { closeAll(all...) }()
	require.NoError(t, all[2].Close())
	require.NotContains(t, told[2].String(), "counts more servers")
	all[2] = begin(3, 2)
	require.False(t, t.Failed())
	for _, n := range []int{0, 1, 3} {
		told[n].comes(t, "counts more servers")
		require.Contains(t, told[n].String(), `counted=4 named=3`)
		require.Contains(t, told[n].String(), "peer-remove NAME")
	}
	require.Regexp(t, `"not connected"="?\[n2( n3)?\]`, told[0].String())
}
