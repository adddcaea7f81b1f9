package nats_test

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// gate is the way of one connection to the shared server. It can be cut.
type gate struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

// InProcessConn connects to the server, unless the gate is cut.
func (g *gate) InProcessConn() (net.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cut {
		return nil, errors.New("the network is cut")
	}
	c, err := shared.InProcessConn()
	g.conns = append(g.conns, c)
	return c, err
}

// set cuts the gate, or mends it.
func (g *gate) set(cut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cut = cut
	for _, c := range g.conns {
		if cut {
			_ = c.Close()
		}
	}
}

// openAt opens a bus on a connection that can be cut.
func openAt(t *testing.T, opts nats.Options) (*gate, *nats.Bus) {
	t.Helper()
	g := &gate{}
	nc, err := nats.Connect("", natsgo.InProcessServer(g), natsgo.ReconnectWait(10*time.Millisecond), natsgo.ReconnectJitter(0, 0))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	opts.Logger, opts.LogBytes = quiet, 64<<20
	bus, err := nats.Open(t.Context(), nc, &opts)
	require.NoError(t, err)
	t.Cleanup(func() {
		g.set(false)
		_ = bus.Close()
	})
	return g, bus
}

// TestCutOff cuts one of two processes off, while both append.
func TestCutOff(t *testing.T) {
	t.Parallel()
	opts := nats.Options{Name: newName()}
	g, cut := openAt(t, opts)
	stays := open(t, shared, opts)
	atCut, atStays := follow(t, cut.Log()), follow(t, stays.Log())
	const each = 300
	for round := range 3 {
		for n := range each {
			if n == each/2 {
				g.set(true)
			}
			require.NoError(t, cut.Log().Append(about(fmt.Sprint("cut", round), said(n))))
			require.NoError(t, stays.Log().Append(about(fmt.Sprint("stays", round), said(n))))
		}
		flush(t, stays.Log())
		g.set(false)
		flush(t, cut.Log())
	}
	next := map[string]int{}
	for range 3 * 2 * each {
		a, b := atCut(), atStays()
		require.Equal(t, a.ID, b.ID)
		require.Equal(t, frame(t, a), frame(t, b))
		require.JSONEq(t, fmt.Sprintf(`{"type": "said", "data": %d}`, next[a.PromptID]), frame(t, a), "in order, and once")
		next[a.PromptID]++
	}
}

// TestCutOffForTooLong trims what a process has not read that is cut off.
func TestCutOffForTooLong(t *testing.T) {
	retain := 50 * time.Millisecond
	opts := nats.Options{Name: newName(), Log: &nodebus.HubOptions{Retain: retain}}
	g, cut := openAt(t, opts)
	stays := open(t, shared, opts)
	flush(t, cut.Log())
	g.set(true)
	l := stays.Log()
	follow(t, l) // a log that nobody follows does not count the time
	require.NoError(t, l.Append(about("1", said(1))))
	flush(t, l)
	require.NoError(t, l.Append(ending("1")))
	outdates(t, l, "1", retain)
	require.NoError(t, l.Append(about("2", said(1))))
	flush(t, l)
	first := streamOf(t, opts.Name).CachedInfo().State.FirstSeq
	require.NoError(t, nats.Trim(t.Context(), l, 0))
	require.NoError(t, nats.Trim(t.Context(), l, nats.TrimAfter(retain)))
	require.Greater(t, streamOf(t, opts.Name).CachedInfo().State.FirstSeq, first+3)
	g.set(false)
	err := error(nil)
	for began := time.Now(); err == nil && time.Since(began) < patience; time.Sleep(time.Millisecond) {
		err = cut.Log().Append(about("2", said(2)))
	}
	require.ErrorIs(t, err, nats.ErrOtherStream)
	require.ErrorContains(t, err, "close the bus and open it again")
	require.NoError(t, cut.Close())
	again := open(t, shared, opts)
	require.NotZero(t, everything(t, again.Log()).Lost, "clients that come back receive a gap")
}
