package soak_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/nodebus/nodebus"
)

// patience is how long a client reads nothing, not even a ping, before it gives up its
// connection. The server sends something each second.
const patience = 4 * time.Second

// socket is a simple WebSocket client. It answers a ping when it reads the ping.
type socket struct {
	net.Conn
	in *bufio.Reader
}

// connect opens a connection and sends a GET request.
func connect(addr, path, header string) (*socket, *http.Response, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	small(c)
	s := &socket{c, bufio.NewReader(c)}
	_ = c.SetDeadline(time.Now().Add(2 * patience))
	if _, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", path, header); err == nil {
		var r *http.Response
		if r, err = http.ReadResponse(s.in, nil); err == nil {
			return s, r, nil
		}
	}
	c.Close()
	return nil, nil, err
}

// small makes the buffers of the system small, so that a client that reads nothing is soon
// behind.
func small(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetReadBuffer(8 << 10)
		_ = t.SetWriteBuffer(8 << 10)
	}
}

// smallListener accepts connections with small buffers.
type smallListener struct{ net.Listener }

func (l smallListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		small(c)
	}
	return c, err
}

// dialSocket opens a WebSocket.
func dialSocket(addr, path string) (*socket, error) {
	s, r, err := connect(addr, path, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: c29ha3NvYWtzb2Frc29haw==\r\n")
	if err != nil {
		return nil, err
	}
	r.Body.Close()
	if r.StatusCode != http.StatusSwitchingProtocols {
		s.Close()
		return nil, fmt.Errorf("%w: %s", errRefused, r.Status)
	}
	return s, nil
}

var (
	errRefused  = errors.New("the server refuses the client")
	errBadFrame = errors.New("the server has sent a frame that is not allowed")
)

// next reads the next frame. ok is false for a control frame.
func (s *socket) next() (f nodebus.Frame, ok bool, err error) {
	_ = s.SetReadDeadline(time.Now().Add(patience))
	var head [2]byte
	if _, err := io.ReadFull(s.in, head[:]); err != nil {
		return f, false, err
	}
	size := uint64(head[1])
	switch size {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(s.in, b[:])
		size = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(s.in, b[:])
		size = binary.BigEndian.Uint64(b[:])
	}
	if err != nil {
		return f, false, err
	}
	if size > 1<<24 {
		return f, false, fmt.Errorf("%w: %d bytes", errBadFrame, size)
	}
	f.Data = make([]byte, size)
	if _, err := io.ReadFull(s.in, f.Data); err != nil {
		return f, false, err
	}
	switch head[0] {
	case 0x81:
		return f, true, nil
	case 0x82:
		f.Binary = true
		return f, true, nil
	case 0x89:
		_ = s.SetWriteDeadline(time.Now().Add(patience))
		// A pong with the mask 0. If it cannot be sent, the client still reads what it has.
		_, _ = s.Write(append([]byte{0x8a, 0x80 | head[1], 0, 0, 0, 0}, f.Data...))
		return f, false, nil
	case 0x88:
		return f, false, io.EOF
	}
	return f, false, fmt.Errorf("%w: first byte %#x", errBadFrame, head[0])
}

// drop ends the connection without a close frame, perhaps with a reset.
func (s *socket) drop(reset bool) {
	if t, ok := s.Conn.(*net.TCPConn); ok && reset {
		_ = t.SetLinger(0)
	}
	s.Close()
}

// decode reads an event.
func decode(f nodebus.Frame) (nodebus.Event, note, error) {
	ev, err := nodebus.JSON.Decode(f)
	if err != nil {
		return ev, note{}, err
	}
	n, err := noteOf(ev.Payload)
	return ev, n, err
}

func unmarshal(data, into any) error {
	raw, ok := data.(json.RawMessage)
	if !ok {
		return fmt.Errorf("not JSON: %T", data)
	}
	return json.Unmarshal(raw, into)
}
