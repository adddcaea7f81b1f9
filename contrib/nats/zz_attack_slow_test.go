package nats_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// slowWay passes connections on to a port of this machine. What goes there has some bytes
// a second.
func slowWay(t *testing.T, port, bytes int) (url string) {
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
			go func() { _, _ = io.Copy(from, to); _ = from.Close() }()
			go func() {
				defer to.Close()
				b := make([]byte, 16<<10)
				for {
					n, err := from.Read(b)
					if _, failed := to.Write(b[:n]); err != nil || failed != nil {
						return
					}
					time.Sleep(time.Duration(n) * time.Second / time.Duration(bytes))
				}
			}()
		}
	}()
	return "nats://" + l.Addr().String()
}

// TestSlowWay stores large values on a connection that takes a megabyte a second, and
// extends a lease meanwhile.
func TestSlowWay(t *testing.T) {
	port := freePort(t)
	s := serve(t, t.TempDir(), port)
	opts := nats.Options{Name: newName(), Logger: quiet, LogBytes: 256 << 20}
	fast := open(t, s, opts)
	nc, err := nats.Connect(slowWay(t, port, 1<<20))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	bus, err := nats.Open(t.Context(), nc, &opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = bus.Close() })
	pushAll(t, fast.Queue(), "a")
	l := takeFrom(t, bus.Queue(), "a", 1)
	extends := func(stop <-chan struct{}) error {
		for {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			err := l.Extend(ctx, 30*time.Second)
			cancel()
			t.Log("extended", time.Since(began), err)
			select {
			case <-stop:
				return err
			case <-time.After(2 * time.Second):
			}
		}
	}
	for name, f := range map[string]func(ctx context.Context, text string) error{
		"record": func(ctx context.Context, text string) error {
			return bus.Store().Put(ctx, flow.Record{Prompt: &nodebus.Prompt{ID: "r", Extra: map[string]any{"x": text}}, State: nodebus.Succeeded})
		},
		"prompt": func(ctx context.Context, text string) error {
			return bus.Queue().Push(ctx, &nodebus.Prompt{ID: "p", Extra: map[string]any{"x": text}}, nil)
		},
		"event": func(ctx context.Context, text string) error {
			if err := bus.Log().Append(about("1", nodebus.Custom{Type: "x", Data: text})); err != nil {
				return err
			}
			return nats.Flush(ctx, bus.Log())
		},
	} {
		t.Run(name, func(t *testing.T) {
			stop, ended := make(chan struct{}), make(chan struct{})
			go func() { defer close(ended); _ = extends(stop) }()
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			before := nc.Stats()
			err := f(ctx, strings.Repeat("x", 3<<20))
			t.Log(name, time.Since(began), err, "bytes", nc.Stats().OutBytes-before.OutBytes, "connections", nc.Stats().Reconnects-before.Reconnects)
			require.NoError(t, err)
			close(stop)
			<-ended
		})
	}
}
