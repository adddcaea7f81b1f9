package nats_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/stretchr/testify/require"
)

// place is where a server runs now and then. Connections come back to it.
type place struct {
	dir  string
	tune func(*server.Options)

	mu     sync.Mutex
	server *embed.Server
}

// InProcessConn connects to the server, if there is one now.
func (p *place) InProcessConn() (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil {
		return nil, errors.New("no server runs")
	}
	return p.server.InProcessConn()
}

// begin starts the server.
func (p *place) begin(t *testing.T) {
	t.Helper()
	s, err := embed.Start(t.Context(), &embed.Options{Dir: p.dir, Unsynced: true, Logger: quiet, Tune: p.tune})
	require.NoError(t, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = s
}

// end stops the server, if it runs.
func (p *place) end(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	s := p.server
	p.server = nil
	p.mu.Unlock()
	if s != nil {
		require.NoError(t, s.Close())
	}
}

// newPlace returns a place without a server, and a connection to it.
func newPlace(t *testing.T) (*place, *natsgo.Conn) {
	p := &place{dir: t.TempDir()}
	t.Cleanup(func() { p.end(t) })
	nc, err := nats.Connect("", natsgo.InProcessServer(p), natsgo.ReconnectWait(10*time.Millisecond), natsgo.ReconnectJitter(0, 0))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return p, nc
}

func TestNATSIsAwayAtTheStart(t *testing.T) {
	p, nc := newPlace(t)
	short, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	_, err := nats.Open(short, nc, &nats.Options{Logger: quiet})
	require.ErrorIs(t, err, nats.ErrAway)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "NODEBUS_LOG")
	require.ErrorContains(t, err, "check that the servers run")

	type result struct {
		bus *nats.Bus
		err error
	}
	opened := make(chan result, 1)
	go func() {
		bus, err := nats.Open(t.Context(), nc, &nats.Options{Logger: quiet, LogBytes: 64 << 20})
		opened <- result{bus, err}
	}()
	p.begin(t)
	r := <-opened
	require.NoError(t, r.err)
	require.NoError(t, r.bus.Log().Append(about("1", said(1))))
	require.NoError(t, r.bus.Close())
}

// TestNATSIsAwayInTheMiddle stops the server while events are appended, and starts it again.
func TestNATSIsAwayInTheMiddle(t *testing.T) {
	p, nc := newPlace(t)
	p.begin(t)
	bus, err := nats.Open(t.Context(), nc, &nats.Options{Logger: quiet, LogBytes: 64 << 20})
	require.NoError(t, err)
	defer func() { _ = bus.Close() }()
	l := bus.Log()
	next := follow(t, l)
	want := 0
	check := func(n int) {
		t.Helper()
		for range n {
			want++
			require.Equal(t, fmt.Sprint(want), fmt.Sprint(next().Payload.(nodebus.Custom).Data))
		}
	}
	sent := 0
	send := func(n int) {
		t.Helper()
		for range n {
			sent++
			require.NoError(t, l.Append(about("1", said(sent))), "events wait")
		}
	}
	for range 3 {
		send(500)
		check(100)
		p.end(t) // while it stores
		send(1000)
		p.begin(t)
		send(100)
		check(1500)
	}
	require.NoError(t, l.Append(about("last", said(want+1))))
	check(1)
	require.Len(t, everything(t, l).Events, sent+1, "nothing is stored twice")
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	again, err := nats.Open(ctx, nc, &nats.Options{Logger: quiet})
	require.NoError(t, err)
	require.Equal(t, everything(t, l).Events[7].ID, everything(t, again.Log()).Events[7].ID)
	require.Len(t, everything(t, again.Log()).Events, sent+1)
	require.NoError(t, again.Close())
}

// TestAppendWaitsForRoom appends more than may wait while NATS is away.
func TestAppendWaitsForRoom(t *testing.T) {
	p, nc := newPlace(t)
	p.begin(t)
	bus, err := nats.Open(t.Context(), nc, &nats.Options{Logger: quiet, LogBytes: 64 << 20})
	require.NoError(t, err)
	l := bus.Log()
	p.end(t)
	accepted, appended := fillUp(t, l)
	require.Equal(t, 8<<20/100_060, accepted)
	p.begin(t)
	require.Equal(t, fills, <-appended)
	flush(t, l)
	kept := len(everything(t, l).Events) // Len would print them
	require.Equal(t, fills, kept)
	require.NoError(t, bus.Close())
}
