package comfy_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// The result of an attack on a socket. alive means that the connection stays open
// and still receives events; dropped means that it was closed without a close
// frame. Any other result is the code of the close frame.
const (
	alive   = 101
	dropped = 0
)

// says is an attack with messages that a client sends over its socket.
func says(typ websocket.MessageType, texts ...string) func(*host) answered {
	return func(h *host) answered {
		s := h.connect("attacker")
		defer s.close()
		s.next()
		heard := make(chan answered, 1)
		go func() {
			for {
				m, err := s.read()
				if err != nil {
					heard <- answered{status: int(websocket.CloseStatus(err))}
					return
				}
				if m.short() == "spoken over" {
					heard <- answered{status: alive}
				}
			}
		}()
		for _, text := range texts {
			if err := s.c.Write(h.t.Context(), typ, []byte(text)); err != nil {
				break // the server has closed the connection
			}
		}
		if s.c.Ping(h.t.Context()) == nil { // the server has read all messages
			require.NoError(h.t, h.hub.Broadcast(spoken{Text: "over"}))
		}
		return <-heard
	}
}

// raw is an attack with bytes that a client sends after the handshake. No WebSocket
// library sends such bytes.
func raw(bytes string) func(*host) answered {
	return func(h *host) answered {
		addr := strings.TrimPrefix(h.url, "http://")
		c, err := net.Dial("tcp", addr)
		require.NoError(h.t, err)
		defer func() { _ = c.Close() }()
		require.NoError(h.t, c.SetDeadline(time.Now().Add(time.Minute)))
		_, err = fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n%s", addr, bytes)
		require.NoError(h.t, err)
		r := bufio.NewReader(c)
		res, err := http.ReadResponse(r, nil)
		require.NoError(h.t, err)
		require.NoError(h.t, res.Body.Close())
		require.Equal(h.t, 101, res.StatusCode)
		for {
			var head [2]byte
			if _, err := io.ReadFull(r, head[:]); err != nil {
				return answered{status: dropped, body: err.Error()}
			}
			data := make([]byte, head[1]) // frames of the server are short here
			if _, err := io.ReadFull(r, data); err != nil {
				return answered{status: dropped, body: err.Error()}
			}
			if head[0] == 0x88 && len(data) >= 2 {
				return answered{status: int(binary.BigEndian.Uint16(data))}
			}
		}
	}
}

// unfinished is an attack with bytes that begin something, on a server that waits 30 ms for
// the rest.
func unfinished(bytes string) func(*host) answered {
	return func(h *host) answered {
		return raw(bytes)(newHost(h.t, &comfy.Options{ReadTimeout: 30 * time.Millisecond}))
	}
}

// crowding opens sockets until the server refuses one.
func crowding(h *host) answered {
	for {
		c, res, err := websocket.Dial(h.t.Context(), h.url+"/ws?clientId=crowd", nil)
		if err != nil {
			require.NotNil(h.t, res, "%v", err)
			return answered{status: res.StatusCode}
		}
		defer func() { _ = c.CloseNow() }()
	}
}

const text, binaryFrame = websocket.MessageText, websocket.MessageBinary

// frames lists hostile messages and frames on a socket, and hostile handshakes.
var frames = []attack{
	{"socket: bytes", says(binaryFrame, "\x00\x01\x02"), alive},
	{"socket: nothing", says(text, ""), alive},
	{"socket: half an object", says(text, "{"), alive},
	{"socket: no UTF-8", says(text, "\xff\xfe"), alive},
	{"socket: a number", says(text, "1e999"), alive},
	{"socket: a list", says(text, "[1,2]"), alive},
	{"socket: a type that is an object", says(text, `{"type":{"a":1},"data":[]}`), alive},
	{"socket: data that are a text", says(text, `{"type":"feature_flags","data":"x"}`), alive},
	{"socket: deep flags", says(text, `{"type":"feature_flags","data":`+nested(9000)+`}`), alive},
	{"socket: very deep", says(text, nested(200_000)), alive},
	{"socket: open for ever", says(text, strings.Repeat(`{"a":`, 100_000)), alive},
	{"socket: many flags", says(text, `{"type":"feature_flags","data":{`+strings.Repeat(`"x":1,`, 20_000)+`"y":1}}`), alive},
	{"socket: flags again and again", says(text, strings.Split(strings.Repeat(`{"type":"feature_flags","data":{}};`, 300), ";")...), alive},
	{"socket: nearly too large", says(text, `{"x":"`+strings.Repeat("x", 4<<20-9)+`"}`), alive},
	{"socket: too large", says(text, strings.Repeat("x", 4<<20+1)), 1009},
	{"socket: too many bytes", says(binaryFrame, strings.Repeat("x", 5<<20)), 1009},
	{"socket: a frame without a mask", raw("\x81\x02hi"), 1002},
	{"socket: an odd kind of frame", raw("\x83\x80\x00\x00\x00\x00"), 1002},
	{"socket: reserved bits", raw("\xf1\x80\x00\x00\x00\x00"), 1002},
	{"socket: a long ping", raw("\x89\xfe\x01\x00\x00\x00\x00\x00" + strings.Repeat("x", 256)), 1002},
	{"socket: half a ping", raw("\x09\x80\x00\x00\x00\x00"), 1002},
	{"socket: the rest of nothing", raw("\x80\x80\x00\x00\x00\x00"), 1002},
	{"socket: an absurd length", raw("\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"), 1002},
	{"socket: an odd code at the end", raw("\x88\x82\x00\x00\x00\x00\x00\x01"), 1002},
	{"socket: half a code at the end", raw("\x88\x81\x00\x00\x00\x00\x03"), 1002},
	{"socket: half a header", unfinished("\x81"), 1008},
	{"socket: half a frame", unfinished("\x81\x85\x00\x00\x00\x00he"), 1008},
	{"socket: half a message", unfinished("\x01\x82\x00\x00\x00\x00he"), 1008},
	{"socket: half a message and pings", unfinished("\x01\x80\x00\x00\x00\x00\x8a\x80\x00\x00\x00\x00"), 1008},
	{"socket: too many of one client", crowding, 429},
	{"socket: since below zero", get("/ws?since=-1", "Upgrade", "websocket"), 400},
	{"socket: since for ever", get("/ws?since=99999999999999999999", "Upgrade", "websocket"), 400},
	{"socket: too long an id", get("/ws?clientId="+strings.Repeat("x", 600), "Upgrade", "websocket"), 400},
	{"socket: no version", get("/ws", "Upgrade", "websocket", "Connection", "Upgrade"), 426},
	{"socket: no key", get("/ws", "Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Version", "13"), 400},
	{"socket: another protocol", get("/ws", "Upgrade", "h2c", "Connection", "Upgrade"), 400},
	{"socket: no socket", get("/ws"), 400},
	{"socket: by POST", post("/ws", ""), 405},
}
