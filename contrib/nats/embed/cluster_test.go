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
	route, met := companion(t)
	at := make(chan struct{})
	close(at)
	signal := errors.New("a signal")
	for name, c := range map[string]struct {
		when chan struct{}
		opts embed.Options
	}{
		"the others":    {met, embed.Options{Dir: t.TempDir(), Name: "n", Listen: freeAddress(t), Routes: []string{route, "127.0.0.1:1"}}},
		"the directory": {at, embed.Options{Dir: held, LockTimeout: time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			go func() {
				<-c.when
				stop(signal)
			}()
			c.opts.Logger = quiet
			_, err := embed.Start(ctx, &c.opts)
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, signal)
			require.NotErrorIs(t, err, embed.ErrInUse)
			require.NotContains(t, err.Error(), "must run")
			require.ErrorContains(t, err, c.opts.Dir)
		})
	}
}

// TestStartWithoutTheOthers ends the time of Start: the error says what the server waits for.
// Options.Routes and Tune give it its cluster.
func TestStartWithoutTheOthers(t *testing.T) {
	for name, give := range map[string]func(o *embed.Options, routes []string){
		"Routes": func(o *embed.Options, routes []string) { o.Routes = routes },
		"Tune": func(o *embed.Options, routes []string) {
			o.Tune = func(o *server.Options) {
				for _, r := range routes {
					o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: r})
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			route, met := companion(t)
			opts := &embed.Options{Dir: t.TempDir(), Name: "n", Listen: freeAddress(t), Logger: quiet}
			give(opts, []string{route, "127.0.0.1:1"})
			_, err := embed.Start(overdue{t.Context(), met}, opts)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "starting the server n in "+opts.Dir)
			require.ErrorContains(t, err, "more than half of the servers of a cluster must run")
		})
	}
}

// overdue is a context whose deadline has passed when the channel is closed.
type overdue struct {
	context.Context
	passed chan struct{}
}

func (o overdue) Done() <-chan struct{} { return o.passed }

func (o overdue) Err() error {
	select {
	case <-o.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
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
