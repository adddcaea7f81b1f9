package ws_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// TestSilence checks how long a client may be silent, by what the system says about it.
func TestSilence(t *testing.T) {
	type line func(at time.Duration) (unacked bool, since time.Duration, ok bool)
	unknown := line(func(time.Duration) (bool, time.Duration, bool) { return false, 0, false })
	alive := line(func(time.Duration) (bool, time.Duration, bool) { return false, 20 * time.Second, true })
	busy := line(func(time.Duration) (bool, time.Duration, bool) { return true, 100 * time.Millisecond, true })
	dead := line(func(at time.Duration) (bool, time.Duration, bool) { return true, at, true })
	dies := line(func(at time.Duration) (bool, time.Duration, bool) {
		last := min(at, 5*time.Minute).Truncate(25 * time.Second) // it acknowledges the pings
		return at >= 5*time.Minute+25*time.Second, at - last, true
	})
	for name, c := range map[string]struct {
		line line
		opts ws.Options
		want time.Duration
	}{
		"the system says nothing":                 {unknown, ws.Options{}, 62500 * time.Millisecond},
		"nothing to acknowledge":                  {alive, ws.Options{}, 15 * time.Minute},
		"nothing to acknowledge, with MaxSilence": {alive, ws.Options{MaxSilence: 2 * time.Minute}, 125 * time.Second},
		"nothing to acknowledge, strict":          {alive, ws.Options{StrictPings: true}, 62500 * time.Millisecond},
		"acknowledges all the time":               {busy, ws.Options{}, 15 * time.Minute},
		"acknowledges nothing":                    {dead, ws.Options{}, 62500 * time.Millisecond},
		"acknowledges nothing, other interval":    {dead, ws.Options{PingInterval: 10 * time.Second}, 25 * time.Second},
		"acknowledges nothing after 5 minutes":    {dies, ws.Options{}, 5*time.Minute + 37500*time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			var began time.Time
			c.opts.SetLine(ws.Line{Acknowledged: func() (bool, time.Duration, bool) { return c.line(time.Since(began)) }})
			onPipes(t, handler(&c.opts), func(t *testing.T, n *pipes) {
				began = time.Now()
				_, r := n.knock(t)
				go func() { _, _ = io.Copy(io.Discard, r) }() // it takes bytes and says nothing
				<-n.left
				require.Equal(t, c.want, time.Since(began))
			})
		})
	}
}

// TestSilenceDuringReceive checks that the silence of a client does not count while the
// program handles a message and so does not read.
func TestSilenceDuringReceive(t *testing.T) {
	got := 0
	receive := func(*nodebus.Session, []byte, bool) {
		time.Sleep(time.Hour)
		got++
	}
	onPipes(t, handler(&ws.Options{Receive: receive}), func(t *testing.T, n *pipes) {
		began := time.Now()
		c, r := n.knock(t)
		go func() { _, _ = io.Copy(io.Discard, r) }()
		for range 2 {
			_, err := io.WriteString(c, masked(0x81, "x"))
			require.NoError(t, err)
		}
		<-n.left
		require.Equal(t, 2, got)
		require.Equal(t, 2*time.Hour+62500*time.Millisecond, time.Since(began))
	})
}

// TestReasonOfSilence checks that the program learns why the connection has ended.
func TestReasonOfSilence(t *testing.T) {
	accepted(t, &ws.Options{}, func(t *testing.T, c *ws.Conn, client net.Conn) {
		go func() { _, _ = io.Copy(io.Discard, client) }()
		_, _, err := c.Read()
		require.ErrorContains(t, err, "the client has answered nothing for 1m2.5s")
	})
}
