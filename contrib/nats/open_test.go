package nats_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"

	natsgo "github.com/nats-io/nats.go"
)

func TestOpenAndClose(t *testing.T) {
	bus := open(t, shared, nats.Options{Name: newName()})
	require.NoError(t, bus.Close())
	require.NoError(t, bus.Close(), "closing again does nothing")
}

func TestOpenRefusesOptions(t *testing.T) {
	short := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(short, []byte("short"), 0o600))
	for name, c := range map[string]struct {
		opts nats.Options
		want string
	}{
		"a name with a dot":        {nats.Options{Name: "a.b"}, `Options.Name "a.b": only letters`},
		"replicas below 0":         {nats.Options{Replicas: -1}, "must not be negative"},
		"a size below 0":           {nats.Options{LogBytes: -1}, "must not be negative"},
		"a size in MiB":            {nats.Options{LogBytes: 64}, "Options.LogBytes is a number of bytes, at least 1048576 (1 MiB), and is 64"},
		"a short key":              {nats.Options{SecretKey: []byte("x")}, "the secret key has 1 bytes"},
		"an empty key":             {nats.Options{SecretKey: []byte{}}, "nats: Options.SecretKey is empty"},
		"two keys":                 {nats.Options{SecretKey: make([]byte, 32), KeyFile: "x"}, "both SecretKey and KeyFile"},
		"a key file without a key": {nats.Options{KeyFile: short}, "neither 32 bytes nor 64 hexadecimal digits"},
		"replicas without servers": {nats.Options{Name: newName(), Replicas: 3, LogBytes: 1 << 20}, "Options.Replicas is 3, and the server is alone"},
		"more than the disk has":   {nats.Options{Name: newName(), LogBytes: 1 << 60}, "or lower Options.LogBytes"},
	} {
		t.Run(name, func(t *testing.T) {
			c.opts.Logger = quiet
			_, err := nats.Open(t.Context(), shared.Conn(), &c.opts)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// TestOpenWithoutConnection: a program has ignored the error of Connect.
func TestOpenWithoutConnection(t *testing.T) {
	_, err := nats.Open(t.Context(), nil, nil)
	require.EqualError(t, err, "nats: there is no connection: nc is nil; look at the error of Connect")
}

// TestOpenRefusesConnections checks that a connection is refused that gives up, or that
// publishes later what nobody waits for any more.
func TestOpenRefusesConnections(t *testing.T) {
	for name, opts := range map[string][]natsgo.Option{
		"of the client's defaults": nil,
		"that buffers":             {natsgo.MaxReconnects(-1)},
		"that gives up":            {natsgo.ReconnectBufSize(-1)},
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := natsgo.Connect("", append(opts, natsgo.InProcessServer(shared))...)
			require.NoError(t, err)
			defer nc.Close()
			_, err = nats.Open(t.Context(), nc, nil)
			require.ErrorContains(t, err, "make it with Connect")
		})
	}
}

func TestOpenRefusesStreams(t *testing.T) {
	js, err := jetstream.New(connect(t, shared))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		meta   map[string]string
		reason error
		want   string
	}{
		"of another program":    {nil, nats.ErrForeign, "choose another Options.Name"},
		"without an epoch":      {map[string]string{"nodebus-version": "1"}, nats.ErrForeign, "choose another Options.Name"},
		"of a newer version":    {map[string]string{"nodebus-version": "7", "nodebus-epoch": "x"}, nats.ErrNewer, "it has version 7, this program knows version 1; update this program"},
		"with no number at all": {map[string]string{"nodebus-version": "x", "nodebus-epoch": "x"}, nats.ErrForeign, "choose another Options.Name"},
	} {
		t.Run(name, func(t *testing.T) {
			bus := newName()
			was, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: bus + "_LOG", Subjects: []string{bus + "_LOG.events"}, Metadata: c.meta})
			require.NoError(t, err)
			_, err = nats.Open(t.Context(), shared.Conn(), &nats.Options{Name: bus, Logger: quiet})
			require.ErrorIs(t, err, c.reason)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, bus+"_LOG")
			var wrong *nats.StreamError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, bus+"_LOG", wrong.Stream)
			is, err := js.Stream(t.Context(), bus+"_LOG")
			require.NoError(t, err)
			require.Equal(t, was.CachedInfo().Config, is.CachedInfo().Config, "nothing is changed")
		})
	}
}

// TestOpenSaysWhatItWaitsFor opens a bus while there is no server: whoever starts the first
// process of a cluster must learn why nothing happens.
func TestOpenSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	_, nc := newPlace(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	told := make(chan string, 100)
	_, err := nats.Open(ctx, nc, &nats.Options{Logger: loggerTo(writer(func(text string) {
		told <- text
		stop() // the test does not wait longer
	}))})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, nats.ErrAway)
	require.ErrorContains(t, err, "check that the servers run")
	text := <-told
	require.Contains(t, text, "opening the bus waits for NATS")
	require.Contains(t, text, "stream=NODEBUS_LOG")
	require.Contains(t, text, "the first time all of them")
}

// writer is an io.Writer that calls a function.
type writer func(text string)

func (w writer) Write(b []byte) (int, error) {
	w(string(b))
	return len(b), nil
}

func TestOpenSaysThatReplicasDiffer(t *testing.T) {
	name := newName()
	open(t, shared, nats.Options{Name: name})
	buf := &lockedBuffer{}
	open(t, shared, nats.Options{Name: name, Replicas: 3, Logger: loggerTo(buf)})
	buf.comes(t, "another number of replicas")
}

// TestOpenSaysThatOneServerKeepsAll opens a bus on a connection to several servers.
func TestOpenSaysThatOneServerKeepsAll(t *testing.T) {
	for _, c := range []struct {
		urls     string
		replicas int
		told     bool
	}{
		{"nats://a:1,nats://b:1,nats://c:1", 0, true},
		{"nats://a:1,nats://b:1,nats://c:1", 1, false},
		{"nats://a:1,nats://b:1", 0, false},
	} {
		nc, err := nats.Connect(c.urls, natsgo.InProcessServer(shared))
		require.NoError(t, err)
		defer nc.Close()
		buf, name := &lockedBuffer{}, newName()
		bus, err := nats.Open(t.Context(), nc, &nats.Options{Name: name, Replicas: c.replicas, LogBytes: 64 << 20, Logger: loggerTo(buf)})
		require.NoError(t, err)
		if c.told {
			buf.comes(t, "one server keeps the bus")
		}
		require.NoError(t, bus.Close(), "it waits for the logger")
		want := 0
		if c.told {
			want = 1
		}
		require.Equal(t, want, strings.Count(buf.String(), "one server keeps the bus"), "%+v", c)
	}
}

// TestRenew begins a new epoch, as after a backup.
func TestRenew(t *testing.T) {
	opts := nats.Options{Name: newName(), Logger: quiet}
	require.ErrorIs(t, nats.Renew(t.Context(), shared.Conn(), &opts), jetstream.ErrStreamNotFound)
	bus := open(t, shared, opts)
	require.NoError(t, bus.Log().Append(about("1", said(1))))
	at, stop, err := bus.Log().Follow(func(nodebus.Event) {})
	require.NoError(t, err)
	stop()
	require.NoError(t, bus.Close())
	require.NoError(t, nats.Renew(t.Context(), shared.Conn(), &opts))
	bus = open(t, shared, opts)
	require.Len(t, everything(t, bus.Log()).Events, 1)
	again, stop, err := bus.Log().Follow(func(nodebus.Event) {})
	require.NoError(t, err)
	stop()
	require.Equal(t, at.ID, again.ID)
	require.NotEqual(t, at.Epoch, again.Epoch)
}
