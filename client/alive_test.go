package client_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/sse"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// TestSilentLine: the line falls silent in both directions, and nobody closes it. The
// client notices that, connects again, and misses nothing.
func TestSilentLine(t *testing.T) {
	for name, c := range map[string]struct {
		sse  bool
		opts client.Options
		want time.Duration // from the silence to the new connection
	}{
		"socket":                        {false, client.Options{}, 50*time.Second + 300*time.Millisecond},
		"socket with another interval":  {false, client.Options{PingInterval: time.Second}, 2300 * time.Millisecond},
		"socket with a long interval":   {false, client.Options{PingInterval: 2 * time.Minute}, 150*time.Second + 300*time.Millisecond},
		"stream":                        {true, client.Options{}, 75*time.Second + 300*time.Millisecond},
		"stream with a short interval":  {true, client.Options{PingInterval: time.Second}, 30*time.Second + 300*time.Millisecond},
		"stream with another interval":  {true, client.Options{PingInterval: time.Minute}, 3*time.Minute + 300*time.Millisecond},
		"socket that connects at once":  {false, client.Options{Retry: 1}, 50*time.Second + 1},
		"socket that ends with a break": {false, client.Options{Retry: -1}, 50 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			h := func(hub *nodebus.Hub) http.Handler {
				if c.sse {
					return sse.New(hub, &sse.Options{PingInterval: -1})
				}
				return ws.New(hub, &ws.Options{PingInterval: -1})
			}
			onPipes(t, h, func(t *testing.T, p *pipes) {
				c.opts.SSE, c.opts.ID = c.sse, "me"
				cl := p.dial(t, c.opts)
				require.NoError(t, p.hub.SendSync(ticked{1}, "me"))
				requireTick(t, listening(cl), 1)
				p.line(0).fallSilent()
				began := time.Now()
				require.NoError(t, p.hub.SendSync(ticked{2}, "me"))
				if c.opts.Retry < 0 {
					require.ErrorContains(t, cl.Run(t.Context()), "client: the server is silent for 50s")
					require.Equal(t, c.want, time.Since(began))
				}
				requireTick(t, cl, 2)
				require.Equal(t, c.want, time.Since(began))
			})
		})
	}
}

func listening(c *client.Client) *client.Client {
	client.On(c, func(nodebus.Event, ticked) {})
	return c
}

// TestIdleLine: a server that says nothing, but answers pings, keeps its client. So does a
// stream with comments.
func TestIdleLine(t *testing.T) {
	for name, isStream := range map[string]bool{"socket": false, "stream": true} {
		t.Run(name, func(t *testing.T) {
			h := func(hub *nodebus.Hub) http.Handler {
				if isStream {
					return sse.New(hub, nil)
				}
				return ws.New(hub, &ws.Options{PingInterval: -1})
			}
			onPipes(t, h, func(t *testing.T, p *pipes) {
				cl := listening(p.dial(t, client.Options{ID: "me", SSE: isStream}))
				go func() {
					time.Sleep(time.Hour)
					_ = p.hub.SendSync(ticked{1}, "me")
				}()
				requireTick(t, cl, 1)
				require.Len(t, p.lines, 1)
			})
		})
	}
}

// TestSlowMessage: a message that arrives slowly keeps the line alive, although the answer
// to a ping waits behind it. A loop that handles an event for long does not count as
// silence of the server.
func TestSlowMessage(t *testing.T) {
	frame := append([]byte{0x81, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70}, bytes.Repeat([]byte(" "), 70000)...)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer nc.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + acceptKey(r) + "\r\n\r\n")
		_ = rw.Flush()
		_, _ = nc.Write(textFrame(`{"type":"status","data":{"status":{"exec_info":{"queue_remaining":0}},"sid":"me"}}`))
		gone := make(chan struct{})
		go func() { // the pings of the client
			defer close(gone)
			var b [256]byte
			for err := error(nil); err == nil; {
				_, err = nc.Read(b[:])
			}
		}()
		copy(frame[10:], `{"type":"slow","data":{}}`)
		for len(frame) > 0 {
			n := min(2000, len(frame))
			if _, err := nc.Write(frame[:n]); err != nil {
				return
			}
			frame = frame[n:]
			time.Sleep(40 * time.Second)
		}
		_, _ = nc.Write(textFrame(`{"type":"next","data":{}}`))
		_, _ = nc.Write(textFrame(`{"type":"last","data":{}}`))
		<-gone
	})
	onPipes(t, only(h), func(t *testing.T, p *pipes) {
		cl := p.dial(t, client.Options{})
		var got []string
		for ev, err := range cl.Events(t.Context()) {
			require.NoError(t, err)
			got = append(got, ev.Payload.EventType())
			if len(got) == 3 {
				break
			}
			time.Sleep(time.Hour)
		}
		require.Equal(t, []string{"slow", "next", "last"}, got)
		require.Len(t, p.lines, 1)
	})
}

// textFrame returns a short text frame of a server.
func textFrame(text string) []byte { return append([]byte{0x81, byte(len(text))}, text...) }

// TestSilentHandshake: a server that does not answer the request for a connection is given
// up after 30 s, or after the Timeout of the HTTP client.
func TestSilentHandshake(t *testing.T) {
	for name, isStream := range map[string]bool{"socket": false, "stream": true} {
		for _, limit := range []time.Duration{0, 5 * time.Second} {
			t.Run(name, func(t *testing.T) {
				h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
				onPipes(t, only(h), func(t *testing.T, p *pipes) {
					p.http.Timeout = limit
					began := time.Now()
					_, err := client.Dial(t.Context(), pipesURL, &client.Options{SSE: isStream, HTTPClient: p.http})
					require.ErrorContains(t, err, "has not answered the request for a connection in time")
					if limit == 0 {
						limit = 30 * time.Second
					}
					require.Equal(t, limit, time.Since(began))
				})
			})
		}
	}
}

// only is a server that needs no hub.
func only(h http.Handler) func(*nodebus.Hub) http.Handler {
	return func(*nodebus.Hub) http.Handler { return h }
}

// acceptKey returns the key that a server answers a handshake with.
func acceptKey(r *http.Request) string {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// requireTick reads up to a tick, however long it takes.
func requireTick(t *testing.T, c *client.Client, step int) {
	t.Helper()
	for ev, err := range c.Events(t.Context()) {
		require.NoError(t, err)
		if p, ok := ev.Payload.(ticked); ok {
			require.Equal(t, step, p.Step)
			return
		}
	}
}
