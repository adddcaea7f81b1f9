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
	"github.com/stretchr/testify/require"
)

// slowBack passes connections on to a port of this machine. What comes from there has some
// bytes a second.
func slowBack(t *testing.T, port, bytes int) (url string) {
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
			go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
			go func() {
				defer from.Close()
				b := make([]byte, 16<<10)
				for {
					n, err := to.Read(b)
					if _, failed := from.Write(b[:n]); err != nil || failed != nil {
						return
					}
					time.Sleep(time.Duration(n) * time.Second / time.Duration(bytes))
				}
			}()
		}
	}()
	return "nats://" + l.Addr().String()
}

// TestSlowReader opens a bus whose log has 8 MB, on a connection that gives half a megabyte a
// second.
func TestSlowReader(t *testing.T) {
	port := freePort(t)
	s := serve(t, t.TempDir(), port)
	opts := nats.Options{Name: newName(), Logger: loggerTo(testWriter{t}), LogBytes: 256 << 20}
	fast := open(t, s, opts)
	for n := range 4 {
		require.NoError(t, fast.Log().Append(about(fmt.Sprint(n), nodebus.Custom{Type: "x", Data: strings.Repeat("x", 2<<20)})))
	}
	flush(t, fast.Log())
	nc, err := nats.Connect(slowBack(t, port, 500_000))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
	defer stop()
	began := time.Now()
	bus, err := nats.Open(ctx, nc, &opts)
	t.Log(time.Since(began), nc.Stats().InBytes, nc.Stats().Reconnects)
	require.NoError(t, err)
	require.NoError(t, bus.Close())
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) { w.t.Log(string(b)); return len(b), nil }
