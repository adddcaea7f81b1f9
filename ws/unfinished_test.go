package ws_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// again writes a text once in each pause, until the connection ends.
func again(c net.Conn, text string, pause time.Duration) {
	for err := error(nil); err == nil; time.Sleep(pause) {
		_, err = io.WriteString(c, text)
	}
}

// long is the header of a frame with n bytes, masked with zeros.
func long(op byte, n int) string {
	return string(binary.BigEndian.AppendUint64([]byte{op, 0xff}, uint64(n))) + "\x00\x00\x00\x00"
}

// TestMessagesWithoutAnEnd checks that the server ends the connection of a client that
// begins a frame or a message and does not go on, also if it answers pings or sends a byte
// from time to time. The close frame says why.
func TestMessagesWithoutAnEnd(t *testing.T) {
	write := func(text string) func(net.Conn) { return func(c net.Conn) { _, _ = io.WriteString(c, text) } }
	for name, c := range map[string]struct {
		timeout time.Duration // ReadTimeout
		send    func(c net.Conn)
		want    time.Duration
	}{
		"a byte of a header":            {0, write("\x81"), time.Minute},
		"half a header":                 {0, write("\x81\xfe\x00"), time.Minute},
		"no payload":                    {0, write(long(0x81, 1000)), time.Minute},
		"half a payload":                {0, write(long(0x81, 1000) + "hello"), time.Minute},
		"half a payload, other timeout": {7 * time.Second, write(long(0x82, 1000) + "hello"), 7 * time.Second},
		"half a message":                {0, write(masked(0x01, "hello")), time.Minute},
		"half a ping":                   {0, write("\x89\x85\x00\x00\x00\x00he"), time.Minute},
		"a byte a second":               {0, func(c net.Conn) { write(long(0x81, 1<<20))(c); again(c, "x", time.Second) }, time.Minute},
		"a frame a second":              {0, func(c net.Conn) { write(masked(0x01, "x"))(c); again(c, masked(0x00, "x"), time.Second) }, time.Minute},
		"many empty frames": {0, func(c net.Conn) {
			write(masked(0x01, "x"))(c)
			again(c, strings.Repeat(masked(0x00, ""), 1000), time.Second)
		}, time.Minute},
		"half a message, and many pings": {0, func(c net.Conn) {
			write(masked(0x01, "x"))(c)
			again(c, strings.Repeat(masked(0x8a, "hello"), 1000), time.Second)
		}, time.Minute},
		"it stops after a while": {0, func(c net.Conn) {
			write(long(0x81, 1<<20))(c)
			time.Sleep(30 * time.Second)
			write(strings.Repeat("x", 16<<10))(c)
		}, 90 * time.Second},
		"it stops in the second message": {0, func(c net.Conn) {
			write(long(0x81, 1000) + strings.Repeat("x", 1000))(c)
			time.Sleep(time.Hour)
			write(masked(0x01, "x"))(c)
		}, time.Hour + time.Minute},
	} {
		for receives, receive := range map[string]func(*nodebus.Session, []byte, bool){"": nil, ", received": func(*nodebus.Session, []byte, bool) {}} {
			t.Run(name+receives, func(t *testing.T) {
				opts := &ws.Options{ReadTimeout: c.timeout, PingInterval: -1, Receive: receive}
				onPipes(t, handler(opts), func(t *testing.T, n *pipes) {
					conn, r := n.knock(t)
					began := time.Now()
					go c.send(conn)
					op, data, err := readFrame(r)
					for ; err == nil && op != 0x88; op, data, err = readFrame(r) {
					}
					require.NoError(t, err)
					require.EqualValues(t, 1008, binary.BigEndian.Uint16(data))
					require.Contains(t, string(data[2:]), "message too slowly")
					require.InDelta(t, c.want, time.Since(began), float64(time.Second))
					<-n.left
					require.LessOrEqual(t, time.Since(began), c.want+2*time.Second, "it is not waited for, either")
					time.Sleep(2 * time.Second) // what it still sends fails
				})
			})
		}
	}
}

// TestMessagesOnASlowLine checks that a message may take hours if it goes on, and that a client
// may be silent between messages.
func TestMessagesOnASlowLine(t *testing.T) {
	var got []string
	receive := func(_ *nodebus.Session, data []byte, _ bool) {
		got = append(got, fmt.Sprint(len(data), " ", string(data[:1])))
	}
	for name, send := range map[string]func(c net.Conn, piece string){
		"one frame": func(c net.Conn, piece string) {
			_, _ = io.WriteString(c, long(0x81, 64*len(piece)))
			for range 64 {
				_, _ = io.WriteString(c, piece)
				time.Sleep(59 * time.Second)
			}
		},
		"many frames": func(c net.Conn, piece string) {
			for i := range 64 {
				op := byte(0x00)
				switch i {
				case 0:
					op = 0x01
				case 63:
					op = 0x80
				}
				_, _ = io.WriteString(c, long(op, len(piece))+piece)
				time.Sleep(59 * time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			got = nil
			onPipes(t, handler(&ws.Options{PingInterval: -1, Receive: receive}), func(t *testing.T, n *pipes) {
				c, r := n.knock(t)
				go func() { _, _ = io.Copy(io.Discard, r) }()
				for range 3 {
					send(c, strings.Repeat("x", 16<<10))
					_, _ = io.WriteString(c, masked(0x81, "y"))
					time.Sleep(3 * time.Hour)
				}
				require.Empty(t, n.left)
			})
			require.Equal(t, []string{"1048576 x", "1 y", "1048576 x", "1 y", "1048576 x", "1 y"}, got)
		})
	}
}

// TestUnfinishedMessageAndClose checks that the end of the hub is not put off by the
// deadline of a message, and the other way round.
func TestUnfinishedMessageAndClose(t *testing.T) {
	onPipes(t, handler(&ws.Options{PingInterval: -1}), func(t *testing.T, n *pipes) {
		c, r := n.knock(t)
		go func() { _, _ = io.Copy(io.Discard, r) }()
		go func() {
			_, _ = io.WriteString(c, long(0x81, 1<<20))
			again(c, strings.Repeat("x", 16<<10), 100*time.Millisecond)
		}()
		time.Sleep(time.Second)
		began := time.Now()
		go func() { _ = n.hub.Close() }()
		<-n.left
		require.Equal(t, time.Second, time.Since(began))
		time.Sleep(time.Second)
	})
}

// TestHandshakeWithABody checks that a request that announces a body and does not send it
// is answered.
func TestHandshakeWithABody(t *testing.T) {
	onPipes(t, handler(nil), func(t *testing.T, n *pipes) {
		c, err := n.dial(t.Context(), "", "")
		require.NoError(t, err)
		began := time.Now()
		_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
		require.NoError(t, err)
		go again(c, "x", time.Second)
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Contains(t, string(got), "400 Bad Request")
		require.InDelta(t, time.Minute, time.Since(began), float64(2*time.Second))
		<-n.left
		time.Sleep(2 * time.Second)
	})
}
