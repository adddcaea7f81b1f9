package conform

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// peer is the server's side of a connection of the client under test. Its methods ignore
// errors of the line, because the client may end a connection at any time.
type peer struct {
	conn   net.Conn
	r      *bufio.Reader
	req    *http.Request
	query  url.Values
	since  string // the cursor that the client brings
	stream bool   // Server-Sent Events; otherwise a WebSocket
	plain  bool   // the server knows no envelope, as ComfyUI

	pongs    chan string // payloads of the client's pongs
	messages chan []byte // text messages of the client
	ended    chan struct{}
	left     bool         // the client has sent a close frame; set before ended is closed
	fault    error        // the client has broken the protocol; set before ended is closed
	pings    atomic.Int64 // the number of the client's pings
	onPing   func(payload []byte)

	mu     sync.Mutex // held while a frame is written
	chunk  int        // bytes are written in pieces of this size; 0: as they are
	budget int        // after so many bytes the line is cut; 0: never
	cutOff bool
}

// newPeer reads the request of a connection.
func newPeer(conn net.Conn) (*peer, error) {
	p := &peer{
		conn: conn, r: bufio.NewReader(conn), pongs: make(chan string, 1000), messages: make(chan []byte, 1000),
		ended: make(chan struct{}),
	}
	p.onPing = func(payload []byte) { p.control(opPong, string(payload)) }
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	req, err := http.ReadRequest(p.r)
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadDeadline(time.Time{})
	p.req, p.query = req, req.URL.Query()
	p.since = p.query.Get("since")
	if last := req.Header.Get("Last-Event-Id"); last != "" {
		p.since = last
	}
	return p, nil
}

// wrong says what is wrong with the request of a client.
func (p *peer) wrong() string {
	h := p.req.Header
	switch {
	case p.req.Method != http.MethodGet:
		return "its method is " + p.req.Method
	case p.query.Get("token") != token:
		return "it lacks the query of the URL: " + p.req.URL.RawQuery
	case p.stream:
		return ""
	case !p.query.Has("since"):
		return "it does not ask for the envelope: " + p.req.URL.RawQuery
	case !strings.EqualFold(h.Get("Upgrade"), "websocket") || !strings.Contains(strings.ToLower(h.Get("Connection")), "upgrade"):
		return "it asks for no WebSocket"
	case h.Get("Sec-WebSocket-Version") != "13" || len(h.Get("Sec-WebSocket-Key")) != 24:
		return "it has no key, or another version"
	}
	return ""
}

// refuse answers the request with an HTTP status.
func (p *peer) refuse(status int, text string) {
	p.write(fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), len(text), text))
	_ = p.conn.Close()
}

// opening returns the answer that accepts the request.
func (p *peer) opening() []byte {
	if p.stream {
		return []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\n\r\nretry: 2\n\n")
	}
	return []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		acceptKey(p.req.Header.Get("Sec-WebSocket-Key")) + "\r\n\r\n")
}

// read handles what the client sends, until the connection ends.
func (p *peer) read() {
	defer close(p.ended)
	var message []byte
	text := false
	for {
		if p.stream {
			if _, err := p.r.ReadByte(); err != nil {
				return
			}
			continue
		}
		last, op, payload, err := readWSFrame(p.r)
		if errors.Is(err, errProtocol) {
			p.fault = err
		}
		if err != nil {
			return
		}
		switch op {
		case opClose:
			p.left = true
			p.control(opClose, string(payload))
			return
		case opPing:
			p.pings.Add(1)
			p.onPing(payload)
		case opPong:
			offer(p.pongs, string(payload))
		default:
			if op != opMore {
				message, text = nil, op == opText
			}
			if message = append(message, payload...); last && text {
				offer(p.messages, message)
			}
		}
	}
}

// offer puts a value into a channel that has room.
func offer[T any](c chan T, v T) {
	select {
	case c <- v:
	default:
	}
}

// wire returns the bytes of an event.
func (p *peer) wire(e *scripted) []byte {
	if p.stream {
		return []byte(e.block())
	}
	op, payload := e.frame(!p.plain)
	return appendWSFrame(nil, true, op, payload)
}

// mute stops all that the server sends, as if the line was dead.
func (p *peer) mute() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutOff = true
}

// control sends a control frame. In a stream, its payload is a comment.
func (p *peer) control(op byte, payload string) {
	if p.stream {
		p.write([]byte(": " + payload + "\n\n"))
		return
	}
	p.write(appendWSFrame(nil, true, op, []byte(payload)))
}

func (p *peer) write(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(b)
}

// whole reports whether b is not cut. p.mu is held.
func (p *peer) whole(b []byte) bool { return !p.cutOff && (p.budget == 0 || p.budget >= len(b)) }

// put writes bytes, as bad as the line is. p.mu is held.
func (p *peer) put(b []byte) {
	for len(b) > 0 && !p.cutOff {
		n := len(b)
		if p.chunk > 0 {
			n = min(n, p.chunk)
		}
		if p.budget > 0 {
			n = min(n, p.budget)
		}
		_ = p.conn.SetWriteDeadline(time.Now().Add(patience))
		if _, err := p.conn.Write(b[:n]); err != nil {
			p.cutOff = true // or whole would be true of a later, smaller frame
			return
		}
		b = b[n:]
		if p.budget > 0 {
			if p.budget -= n; p.budget == 0 {
				p.cutOff = true
				reset(p.conn)
			}
		}
	}
}

// halves writes bytes in two parts, and calls between in the meantime. Nothing else is
// written then.
func (p *peer) halves(b []byte, at int, between func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(b[:at])
	between()
	p.put(b[at:])
}

// pong waits for the client's answer to a ping. A client may leave out the answers to
// earlier pings, RFC 6455, section 5.5.3.
func (p *peer) pong(t *testing.T, payload string) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case got := <-p.pongs:
			if got == payload {
				return
			}
		case <-p.ended:
			t.Fatalf("the client has left instead of answering the ping %q", payload)
		case <-late.C:
			t.Fatalf("the client does not answer the ping %q", payload)
		}
	}
}

// reset ends a connection with the TCP flag RST: what was sent may be lost.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// cut ends the connection in one of these ways: "RST"; "FIN", which lets the client read
// what was sent; "half", which is a FIN in the middle of a frame; or a close frame.
func (p *peer) cut(how string) {
	switch how {
	case "RST":
		reset(p.conn)
		return
	case "FIN":
	case "half":
		half := marked(-1)
		b := p.wire(&half)
		p.write(b[:len(b)/2])
	default:
		code, reason, _ := strings.Cut(how, " ")
		var number int
		if _, _ = fmt.Sscan(code, &number); !p.stream {
			reason = string([]byte{byte(number >> 8), byte(number)}) + reason
		}
		p.control(opClose, reason)
	}
	p.finish()
}

// finish ends the connection: the client can read what was sent.
func (p *peer) finish() {
	if tcp, ok := p.conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	select { // Close sends a RST if bytes of the client are unread
	case <-p.ended:
	case <-time.After(patience):
	}
	_ = p.conn.Close()
}
