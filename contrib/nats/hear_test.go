package nats_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// guarded starts a server with users that may do little, each with the password x.
func guarded(t *testing.T) *server.Server {
	t.Helper()
	text := fmt.Sprintf(`jetstream {store_dir: %q}
authorization {users: [
	{user: all, password: x}
	{user: blind, password: x, permissions: {publish: {deny: "$JS.API.STREAM.INFO.>"}}}
	{user: dumb, password: x, permissions: {publish: {deny: "NODEBUS_LOG.>"}}}
	{user: deaf, password: x, permissions: {subscribe: {deny: "_INBOX.>"}}}
]}`, t.TempDir())
	path := filepath.Join(t.TempDir(), "conf")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	conf, err := server.ProcessConfigFile(path)
	require.NoError(t, err)
	conf.Host, conf.Port, conf.NoSigs = "127.0.0.1", server.RANDOM_PORT, true // in a pipe, a refusal is not read
	s, err := server.NewServer(conf)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(patience))
	return s
}

// untilTold returns options with a logger, and a context that ends when the logger has received some words.
func untilTold(t *testing.T, words string) (*lockedBuffer, *nats.Options, context.Context) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	t.Cleanup(stop)
	buf := &lockedBuffer{}
	return buf, &nats.Options{LogBytes: 64 << 20, Logger: loggerTo(writer(func(text string) {
		_, _ = buf.Write([]byte(text))
		if strings.Contains(text, words) {
			stop()
		}
	}))}, ctx
}

// TestNoConnection opens a bus, and renews its log, without a connection: error and warning
// name the address, and say why there is no connection.
func TestNoConnection(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	for name, c := range map[string]struct {
		urls string
		opts []natsgo.Option
		want []string
	}{
		"a wrong password": {
			s.ClientURL(),
			[]natsgo.Option{natsgo.UserInfo("all", "s3cret")},
			[]string{"no connection to " + s.ClientURL() + ": nats: Authorization Violation"},
		},
		"no password": {s.ClientURL(), nil, []string{"Authorization Violation"}},
		"a wrong address": {
			"nats://ann:s3cret@127.0.0.1:1,nats://127.0.0.1:2", nil,
			[]string{"nats://127.0.0.1:1", "nats://127.0.0.1:2", "connection refused"},
		},
	} {
		for verb, call := range map[string]func(context.Context, *natsgo.Conn, *nats.Options) error{
			"open": func(ctx context.Context, nc *natsgo.Conn, o *nats.Options) error {
				_, err := nats.Open(ctx, nc, o)
				return err
			},
			"renew": nats.Renew,
		} {
			t.Run(name+", "+verb, func(t *testing.T) {
				t.Parallel() // it waits for seconds
				nc, err := nats.Connect(c.urls, append(c.opts, natsgo.ReconnectWait(10*time.Millisecond), natsgo.ReconnectJitter(0, 0))...)
				require.NoError(t, err)
				defer nc.Close()
				buf, opts, ctx := untilTold(t, "waits for NATS")
				err = call(ctx, nc, opts)
				require.ErrorIs(t, err, context.Canceled)
				for _, text := range []string{err.Error(), buf.String()} {
					for _, want := range append(c.want, "check that the servers run, the address and the password") {
						require.Contains(t, text, want)
					}
					require.NotContains(t, text, "outbound buffer")
					require.NotContains(t, text, "s3cret")
				}
				require.NotContains(t, err.Error(), "\n")
				require.Equal(t, 1, strings.Count(err.Error(), "no connection to"), err)
			})
		}
	}
}

// TestNoPermission opens a bus as a user who may not do what the bus needs.
func TestNoPermission(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	for _, c := range []struct{ user, until, want string }{
		{"blind", "waits for NATS", `Permissions Violation for Publish to "$JS.API.STREAM.INFO.NODEBUS_LOG"`},
		{"dumb", "Permissions Violation", `Permissions Violation for Publish to "NODEBUS_LOG.`},
		{"deaf", "waits for NATS", `Permissions Violation for Subscription to "_INBOX.`},
	} {
		for _, own := range []bool{false, true} {
			t.Run(fmt.Sprint(c.user, ", own handler ", own), func(t *testing.T) {
				t.Parallel() // it waits for seconds
				opts := []natsgo.Option{natsgo.UserInfo(c.user, "x")}
				buf, o, ctx := untilTold(t, c.until)
				if own {
					opts = append(opts, natsgo.ErrorHandler(func(*natsgo.Conn, *natsgo.Subscription, error) { o.Logger.Warn("Permissions Violation") }))
				}
				nc, err := nats.Connect(s.ClientURL(), opts...)
				require.NoError(t, err)
				defer nc.Close()
				_, err = nats.Open(ctx, nc, o)
				require.ErrorIs(t, err, context.Canceled)
				require.ErrorContains(t, err, c.want)
				require.ErrorContains(t, err, "give the user this permission")
				require.NotContains(t, err.Error(), "more time")
				if !own {
					require.Equal(t, 1, strings.Count(buf.String(), "an error of the connection"), "not with each attempt: %s", buf)
				}
			})
		}
	}
}

// TestAwayWhileNobodyCalls cuts the connection of two buses that have nothing to do: each
// logger learns once that NATS is away, and once that it is back.
func TestAwayWhileNobodyCalls(t *testing.T) {
	defer nats.SetLostTime(0)()
	g := &gate{}
	nc, err := nats.Connect("", natsgo.InProcessServer(g), natsgo.ReconnectWait(10*time.Millisecond), natsgo.ReconnectJitter(0, 0))
	require.NoError(t, err)
	defer nc.Close()
	var told [2]lockedBuffer
	for i := range told {
		bus, err := nats.Open(t.Context(), nc, &nats.Options{Name: newName(), LogBytes: 64 << 20, Logger: loggerTo(&told[i])})
		require.NoError(t, err)
		defer func() { require.NoError(t, bus.Close()) }()
	}
	for n := range 2 {
		g.set(true)
		for i := range told {
			until(t, func() bool { return strings.Count(told[i].String(), "NATS is away") == n+1 })
			require.Contains(t, told[i].String(), "no connection to the server in this process: ")
		}
		g.set(false)
		for i := range told {
			until(t, func() bool { return strings.Count(told[i].String(), "NATS is back") == n+1 })
			require.Equal(t, n+1, strings.Count(told[i].String(), "NATS is away"))
		}
	}
}

// TestBusesShareAConnection: each logger hears of the connection, also when another bus closes.
func TestBusesShareAConnection(t *testing.T) {
	nc := connect(t, shared)
	var told [2]lockedBuffer
	var buses [2]*nats.Bus
	for i := range buses {
		var err error
		buses[i], err = nats.Open(t.Context(), nc, &nats.Options{Name: newName(), LogBytes: 64 << 20, Logger: loggerTo(&told[i])})
		require.NoError(t, err)
	}
	nc.ErrorHandler()(nc, nil, fmt.Errorf("%w: of both", natsgo.ErrPermissionViolation))
	require.NoError(t, buses[0].Close())
	nc.ErrorHandler()(nc, nil, fmt.Errorf("%w: of one", natsgo.ErrPermissionViolation))
	require.NoError(t, buses[1].Close())
	require.Contains(t, told[0].String(), "of both")
	require.NotContains(t, told[0].String(), "of one")
	require.Contains(t, told[1].String(), "of both")
	require.Contains(t, told[1].String(), "of one")
}

// dated is the way to the shared server, which says that it has another version.
type dated string

func (d dated) InProcessConn() (net.Conn, error) {
	c, err := shared.InProcessConn()
	return datedConn{Conn: c, version: string(d)}, err
}

type datedConn struct {
	net.Conn
	version string
}

// Read replaces the version in what the server says of itself. It stays as long as it was.
func (c datedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	was, is := `"version":"`+server.VERSION, `"version":"`+c.version
	copy(b[:n], bytes.ReplaceAll(b[:n], []byte(was), []byte(is)))
	return n, err
}

// TestOldServer: Open makes no streams at a server that is too old for them.
func TestOldServer(t *testing.T) {
	version := "2." + strings.Repeat("0", len(server.VERSION)-len("2..9")-1) + "9." + "7"
	require.Len(t, version, len(server.VERSION))
	nc, err := nats.Connect("", natsgo.InProcessServer(dated(version)))
	require.NoError(t, err)
	defer nc.Close()
	opts := nats.Options{Name: newName(), LogBytes: 64 << 20, Logger: quiet}
	for range 2 {
		_, err = nats.Open(t.Context(), nc, &opts)
		require.ErrorIs(t, err, nats.ErrSettings)
		require.ErrorContains(t, err, "the server has version "+version+", which is too old")
		require.ErrorContains(t, err, "NATS 2.11 or later")
		require.NotContains(t, err.Error(), "stream edit")
		opts.Name = newName()
		open(t, shared, opts)
	}
	for version, old := range map[string]bool{"2.10.29": true, "1.9.0": true, "2.11.0": false, "2.14.5": false, "3.0.1": false, "2.11": false, "": false, "x": false} {
		require.Equal(t, old, nats.IsOld(version), version)
	}
}

// TestNoKeyIsTold: a process without a key says once that a prompt with secrets waits.
func TestNoKeyIsTold(t *testing.T) {
	opts := withKey()
	with := open(t, shared, opts).Queue()
	require.NoError(t, with.Push(t.Context(), &nodebus.Prompt{ID: "secret"}, map[string]string{"KEY": "x"}))
	buf := &lockedBuffer{}
	opts.SecretKey, opts.Logger = nil, loggerTo(buf)
	without := open(t, shared, opts).Queue()
	require.NoError(t, nats.CatchUp(t.Context(), without))
	for n := range 3 {
		id := fmt.Sprint("free", n)
		require.NoError(t, with.Push(t.Context(), &nodebus.Prompt{ID: id, ClientID: "bob"}, nil))
		require.NoError(t, nats.CatchUp(t.Context(), without))
		l, err := without.Take(t.Context(), nobody)
		require.NoError(t, err)
		require.Equal(t, id, l.Job().Prompt.ID)
		require.NoError(t, l.Done(t.Context()))
	}
	buf.comes(t, "a prompt is left to other processes", "prompt=secret", "there is no key")
	require.Equal(t, 1, strings.Count(buf.String(), "is left to other processes"))
}
