package embed_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/stretchr/testify/require"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// start starts a server until the end of the test.
func start(t *testing.T, opts embed.Options) *embed.Server {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = quiet
	}
	s, err := embed.Start(t.Context(), &opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestOneProcessUsesADirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by Start")
	s := start(t, embed.Options{Dir: dir})
	for _, wait := range []time.Duration{-1, time.Millisecond} {
		_, err := embed.Start(t.Context(), &embed.Options{Dir: dir, Logger: quiet, LockTimeout: wait})
		require.ErrorIs(t, err, embed.ErrInUse)
		require.ErrorContains(t, err, dir)
	}
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "closing again does nothing")
	start(t, embed.Options{Dir: dir})
}

// TestStartWaitsForTheProcessBefore starts a server while the one before it still has the
// directory.
func TestStartWaitsForTheProcessBefore(t *testing.T) {
	dir := t.TempDir()
	before := start(t, embed.Options{Dir: dir})
	ended := make(chan error, 1)
	go func() {
		s, err := embed.Start(context.Background(), &embed.Options{Dir: dir, Logger: quiet, LockTimeout: time.Hour})
		if err == nil {
			err = s.Close()
		}
		ended <- err
	}()
	require.NoError(t, before.Close())
	require.NoError(t, <-ended)
}

func TestStartErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	ended, stop := context.WithTimeout(t.Context(), 0)
	defer stop()
	for name, c := range map[string]struct {
		opts *embed.Options
		want string
	}{
		"no options":                {nil, "Options.Dir is empty"},
		"no directory":              {&embed.Options{}, "Options.Dir is empty"},
		"a file":                    {&embed.Options{Dir: file}, "not a directory"},
		"no port":                   {&embed.Options{Dir: t.TempDir(), Name: "n", Listen: "here"}, "such as 10.0.0.1:6222"},
		"a name as port":            {&embed.Options{Dir: t.TempDir(), Name: "n", Listen: "here:there"}, "such as 10.0.0.1:6222"},
		"a port that nobody knows":  {&embed.Options{Dir: t.TempDir(), Name: "n", Listen: "127.0.0.1:0", Routes: []string{"127.0.0.1:1", "127.0.0.1:2"}}, `a port that the other servers can know, such as 10.0.0.1:6222, and is "127.0.0.1:0"`},
		"routes without an address": {&embed.Options{Dir: t.TempDir(), Routes: []string{"127.0.0.1:1", "127.0.0.1:2"}}, "Options.Routes without Options.Listen"},
		"a cluster without routes":  {&embed.Options{Dir: t.TempDir(), Name: "n", Listen: "127.0.0.1:3"}, "names 0 servers beside Options.Listen 127.0.0.1:3"},
		"a cluster of one":          {&embed.Options{Dir: t.TempDir(), Name: "n", Listen: "127.0.0.1:3", Routes: []string{"127.0.0.1:3", "127.0.0.1:3"}}, "must name at least two"},
		"a cluster of two":          {&embed.Options{Dir: t.TempDir(), Name: "n", Listen: "127.0.0.1:3", Routes: []string{"127.0.0.1:3", "127.0.0.1:4"}}, "three servers, or five"},
		"a cluster without a name":  {&embed.Options{Dir: t.TempDir(), Listen: "127.0.0.1:3", Routes: []string{"127.0.0.1:4", "127.0.0.1:5"}}, "Options.Listen without Options.Name"},
		"a name with spaces":        {&embed.Options{Dir: t.TempDir(), Name: "my server"}, `Options.Name must have no spaces, and is "my server"`},
		"a port that cannot be":     {&embed.Options{Dir: t.TempDir(), Name: "n", Listen: "here:65536"}, "such as 10.0.0.1:6222"},
		"a route without a port":    {&embed.Options{Dir: t.TempDir(), Name: "n", Listen: "127.0.0.1:3", Routes: []string{"127.0.0.1:4", "b"}}, `Options.Routes must be addresses such as 10.0.0.2:6222, and one is "b"`},
		"a route without a host":    {&embed.Options{Dir: t.TempDir(), Name: "n", Listen: "127.0.0.1:3", Routes: []string{":4"}}, `one is ":4": the host is missing`},
		"empty routes":              {&embed.Options{Dir: t.TempDir(), Name: "n", Listen: "127.0.0.1:3", Routes: []string{"", ""}}, "names 0 servers"},
		"an impossible tuning":      {&embed.Options{Dir: t.TempDir(), Tune: func(o *server.Options) { o.MaxPayload = 1 << 30 }}, "starting the server nodebus"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.opts != nil {
				c.opts.Logger = quiet
			}
			_, err := embed.Start(ended, c.opts)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// TestPortInUse: what the server cannot run with is an error at once, not a wait.
func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	listen := func(o *server.Options) {
		o.DontListen, o.Host, o.Port = false, "127.0.0.1", l.Addr().(*net.TCPAddr).Port
	}
	_, err = embed.Start(t.Context(), &embed.Options{Dir: t.TempDir(), Tune: listen, Logger: quiet})
	require.ErrorContains(t, err, "address already in use")
}

// TestStreamsOutliveTheServer stores a message and starts the server again.
func TestStreamsOutliveTheServer(t *testing.T) {
	dir := t.TempDir()
	for n := range 3 {
		s := start(t, embed.Options{Dir: dir})
		js, err := jetstream.New(s.Conn())
		require.NoError(t, err)
		stream, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
		require.NoError(t, err)
		require.EqualValues(t, n, stream.CachedInfo().State.Msgs)
		_, err = js.Publish(t.Context(), "s", nil)
		require.NoError(t, err)
		require.NoError(t, s.Close())
	}
}

func TestLoggerReceivesTheServersReports(t *testing.T) {
	var text strings.Builder
	s := start(t, embed.Options{Dir: t.TempDir(), Name: "me", Logger: slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	require.NoError(t, s.Close())
	require.Contains(t, text.String(), "server=me")
	require.Contains(t, text.String(), "Server is ready")
}

// cluster has the addresses of three servers, and a directory for all of them.
type cluster struct {
	dir    string
	routes []string
	others bool // each server has the addresses of the others only, and not its own
}

// freeAddress chooses an address that nobody uses. It is none of those that the system gives
// to connections, so that nobody uses it later.
func freeAddress(t *testing.T) string {
	t.Helper()
	for {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 10_000+rand.IntN(20_000)))
		if err == nil {
			require.NoError(t, l.Close())
			return l.Addr().String()
		}
	}
}

// newCluster chooses three addresses.
func newCluster(t *testing.T) cluster {
	t.Helper()
	var routes []string
	for range 3 {
		routes = append(routes, freeAddress(t))
	}
	return cluster{dir: t.TempDir(), routes: routes}
}

// closeAll closes servers at the same time: one after the other, each waits for the next.
func closeAll(all ...*embed.Server) {
	var closing sync.WaitGroup
	for _, s := range all {
		if s != nil {
			closing.Go(func() { _ = s.Close() })
		}
	}
	closing.Wait()
}

// start starts the servers between two numbers.
func (c cluster) start(t *testing.T, from, to int) []*embed.Server {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	all := make([]*embed.Server, to-from)
	var starting sync.WaitGroup
	for i, listen := range c.routes[from:to] {
		starting.Go(func() {
			var err error
			name, routes := fmt.Sprint("n", from+i), c.routes
			if c.others {
				routes = slices.Delete(slices.Clone(routes), from+i, from+i+1)
			}
			opts := &embed.Options{Dir: filepath.Join(c.dir, name), Name: name, Listen: listen, Routes: routes, Unsynced: true, Logger: quiet}
			if all[i], err = embed.Start(ctx, opts); err != nil {
				t.Errorf("starting %s: %v", listen, err)
			}
		})
	}
	starting.Wait()
	t.Cleanup(func() { closeAll(all...) })
	require.False(t, t.Failed())
	return all
}

// TestCluster runs the suites of the log with connections to three servers.
func TestCluster(t *testing.T) {
	servers := newCluster(t).start(t, 0, 3)
	n := 0
	open := func(t *testing.T, server int, name string) nodebus.Log {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		bus, err := nats.Open(ctx, servers[server%3].Conn(), &nats.Options{Name: name, Replicas: 3, LogBytes: 64 << 20, Logger: quiet})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, bus.Close()) })
		return bus.Log()
	}
	conform.Logs(t, func(t *testing.T) (a, b nodebus.Log) {
		n++
		name := fmt.Sprint("C", n)
		return open(t, n, name), open(t, n+1, name)
	})

	name := "STOPS"
	a, b := open(t, 0, name), open(t, 1, name)
	heard := make(chan nodebus.Event, 100)
	_, stop, err := b.Follow(func(ev nodebus.Event) { heard <- ev })
	require.NoError(t, err)
	defer stop()
	require.NoError(t, a.Append(nodebus.Event{PromptID: "1", Payload: nodebus.Custom{Type: "x", Data: 1}}))
	<-heard
	require.NoError(t, servers[2].Close(), "one of three may stop")
	require.NoError(t, a.Append(nodebus.Event{PromptID: "1", Payload: nodebus.Custom{Type: "x", Data: 2}}))
	select {
	case ev := <-heard:
		require.Equal(t, "1", ev.PromptID)
	case <-time.After(time.Minute):
		t.Fatal("no event comes after a server has stopped")
	}
}

// TestOpenWaitsForTheCluster opens a bus with three replicas while two servers run.
func TestOpenWaitsForTheCluster(t *testing.T) {
	c := newCluster(t)
	servers := c.start(t, 0, 3)
	require.NoError(t, servers[2].Close())
	opened := make(chan error, 1)
	go func() {
		ctx, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		bus, err := nats.Open(ctx, servers[0].Conn(), &nats.Options{Replicas: 3, LogBytes: 64 << 20, Logger: quiet})
		if err == nil {
			err = bus.Close()
		}
		opened <- err
	}()
	c.start(t, 2, 3)
	require.NoError(t, <-opened)
	// A server that is closed while it joins a stream leaves a goroutine.
	js, err := jetstream.New(servers[0].Conn())
	require.NoError(t, err)
	for joined := 0; joined < 2; time.Sleep(10 * time.Millisecond) {
		stream, err := js.Stream(t.Context(), "NODEBUS_LOG")
		require.NoError(t, err)
		joined = 0
		for _, r := range stream.CachedInfo().Cluster.Replicas {
			if r.Current {
				joined++
			}
		}
	}
}

// TestOpenWaitsForALateServer opens a bus with three replicas at two new servers, and starts the
// third one when both have been refused: a cluster that is not whole has no room for three.
func TestOpenWaitsForALateServer(t *testing.T) {
	c := newCluster(t)
	c.others = true
	servers := c.start(t, 0, 2)
	js, err := jetstream.New(servers[0].Conn())
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: 3})
	require.ErrorContains(t, err, "no suitable peers")
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	opened := make(chan error, 3)
	open := func(s *embed.Server) {
		bus, err := nats.Open(ctx, s.Conn(), &nats.Options{Replicas: 3, LogBytes: 64 << 20, Logger: quiet})
		if err == nil {
			err = bus.Close()
		}
		opened <- err
	}
	for _, s := range servers {
		before := s.Conn().Stats().OutMsgs
		go open(s)
		for len(opened) == 0 && s.Conn().Stats().OutMsgs < before+10 { // it asks again and again
			time.Sleep(time.Millisecond)
		}
	}
	late := c.start(t, 2, 3)[0]
	go open(late)
	for range 3 {
		require.NoError(t, <-opened)
	}
}

// TestOpenRefusesALogWithoutRoom: that the servers have no room does not change by waiting.
func TestOpenRefusesALogWithoutRoom(t *testing.T) {
	_, err := nats.Open(t.Context(), newCluster(t).start(t, 0, 3)[0].Conn(), &nats.Options{Replicas: 3, LogBytes: 1 << 60, Logger: quiet})
	require.ErrorContains(t, err, "NODEBUS_LOG: there is no room")
}

// rude is a handler of a logger that panics, or ends its goroutine.
type rude func()

func (rude) Enabled(context.Context, slog.Level) bool    { return true }
func (f rude) Handle(context.Context, slog.Record) error { f(); return nil }
func (f rude) WithAttrs([]slog.Attr) slog.Handler        { return f }
func (f rude) WithGroup(string) slog.Handler             { return f }

// TestLoggerIsRude checks that a logger that panics, or ends its goroutine, ends neither the
// process nor the server.
func TestLoggerIsRude(t *testing.T) {
	for name, f := range map[string]func(){"panic": func() { panic("of a caller") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			s := start(t, embed.Options{Dir: t.TempDir(), Logger: slog.New(rude(f))})
			require.NoError(t, s.Close())
		})
	}
}
