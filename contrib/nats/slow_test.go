package nats_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// slowWay passes connections on to a port of this machine. What goes there, and what comes
// back, has some bytes a second; 0: no limit.
func slowWay(t *testing.T, port, there, back int) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
			if err != nil {
				_ = from.Close()
				continue
			}
			go trickle(to, from, there)
			go trickle(from, to, back)
		}
	}()
	return "nats://" + l.Addr().String()
}

// trickle copies some bytes a second.
func trickle(to, from net.Conn, bytes int) {
	defer to.Close()
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		if _, failed := to.Write(b[:n]); err != nil || failed != nil {
			return
		}
		if bytes > 0 {
			time.Sleep(time.Duration(n) * time.Second / time.Duration(bytes))
		}
	}
}

// TestSlowWay stores large values on a connection that takes longer than a second for a part.
func TestSlowWay(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := serve(t, t.TempDir(), port)
	opts := nats.Options{Name: newName(), Logger: quiet, LogBytes: 256 << 20}
	fast := open(t, s, opts)
	nc, err := nats.Connect(slowWay(t, port, 256<<10, 0))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	bus, err := nats.Open(t.Context(), nc, &opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = bus.Close() })
	text := strings.Repeat("x", 450<<10)
	ctx, stop := context.WithTimeout(t.Context(), 4*patience)
	defer stop()
	require.NoError(t, bus.Store().Put(ctx, flow.Record{Prompt: &nodebus.Prompt{ID: "r", Extra: map[string]any{"x": text}}, State: nodebus.Succeeded}))
	require.NoError(t, bus.Queue().Push(ctx, &nodebus.Prompt{ID: "p", Extra: map[string]any{"x": text}}, nil))
	require.NoError(t, bus.Log().Append(about("1", nodebus.Custom{Type: "x", Data: text})))
	require.NoError(t, nats.Flush(ctx, bus.Log()))
	require.Equal(t, "p", takeFrom(t, fast.Queue(), "p", 1).Job().Prompt.ID)
}

// TestSlowAnswers reads and stores values on connections that take longer than a second for a
// part, both ways: whatever is sent again must not keep the answers from coming.
func TestSlowAnswers(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"a message": 450 << 10, "parts": 1200 << 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			s := serve(t, t.TempDir(), port)
			opts := nats.Options{Name: newName(), Logger: quiet, LogBytes: 256 << 20}
			fast := open(t, s, opts)
			nc, err := nats.Connect(slowWay(t, port, 256<<10, 256<<10))
			require.NoError(t, err)
			t.Cleanup(nc.Close)
			bus, err := nats.Open(t.Context(), nc, &opts)
			require.NoError(t, err)
			t.Cleanup(func() { _ = bus.Close() })
			ctx, stop := context.WithTimeout(t.Context(), 4*patience)
			defer stop()
			p := &nodebus.Prompt{ID: "p", Extra: map[string]any{"x": strings.Repeat("x", size)}}
			require.NoError(t, fast.Store().Put(ctx, flow.Record{Prompt: p, State: nodebus.Succeeded}))
			r, err := bus.Store().Get(ctx, "p")
			require.NoError(t, err)
			require.Equal(t, p.Extra, r.Prompt.Extra)
			require.NoError(t, bus.Store().Put(ctx, flow.Record{Prompt: p, State: nodebus.Failed}))
			require.NoError(t, bus.Queue().Push(ctx, p, nil))
			l, err := bus.Queue().TakeOne(ctx, "p")
			require.NoError(t, err)
			require.Equal(t, p.Extra, l.Job().Prompt.Extra)
			require.NoError(t, l.Done(ctx))
		})
	}
}

// TestSlowReader opens a bus on a connection on which a message takes longer than two
// heartbeats.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := serve(t, t.TempDir(), port)
	opts := nats.Options{Name: newName(), Logger: quiet, LogBytes: 256 << 20}
	fast := open(t, s, opts)
	for n := range 3 {
		require.NoError(t, fast.Log().Append(about(fmt.Sprint(n), nodebus.Custom{Type: "x", Data: strings.Repeat("x", 700<<10)})))
	}
	flush(t, fast.Log())
	nc, err := nats.Connect(slowWay(t, port, 0, 300_000))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	ctx, stop := context.WithTimeout(t.Context(), 4*patience)
	defer stop()
	bus, err := nats.Open(ctx, nc, &opts)
	require.NoError(t, err)
	require.Len(t, everything(t, bus.Log()).Events, 3)
	require.NoError(t, bus.Close())
}
