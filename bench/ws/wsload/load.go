//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nodebus/nodebus/bench/ws/server"
)

// load holds all clients of one server.
type load struct {
	child   *child
	wire    *server.Wire
	poll    int // epoll file descriptor
	clients []*client
	byFD    map[int32]*client
	stalled []int // file descriptors that are never read
	buf     []byte
	key     []byte // the text before an event's time
	cursor  []byte // the text before an event's cursor; empty if nobody needs cursors

	total   int64   // messages since the start of the phase
	timed   bool    // collect latencies
	samples []int64 // nanoseconds
	closed  int     // connections that the server has closed
}

type client struct {
	fd     int
	number int
	open   bool   // the handshake is over
	count  int64  // messages since the start of the phase
	events int64  // messages with the key of an event
	cursor string // the cursor of the last event
	made   int64  // the time of the last event, in nanoseconds
	carry  []byte // the start of an incomplete frame or chunk
	text   []byte // the start of an incomplete event of a stream
}

func newLoad(c *child) (*load, error) {
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	return &load{
		child: c, wire: c.hello.Wire, poll: poll, byFD: map[int32]*client{},
		buf: make([]byte, 512<<10), key: []byte(c.hello.Wire.Key),
	}, err
}

func (l *load) close() {
	for _, c := range l.clients {
		_ = syscall.Close(c.fd)
	}
	for _, fd := range l.stalled {
		_ = syscall.Close(fd)
	}
	_ = syscall.Close(l.poll)
}

// drop closes the connections of all clients and forgets them.
func (l *load) drop() {
	for _, c := range l.clients {
		_ = syscall.Close(c.fd)
	}
	l.clients, l.byFD = nil, map[int32]*client{}
}

// connect adds a client and waits for the end of its handshake. A stalled client reads
// nothing after that.
func (l *load) connect(stalled bool) error {
	c, err := l.dial(len(l.clients), "", stalled)
	if err == nil {
		err = l.pump(acks{}, func() bool { return c.open })
	}
	if err != nil {
		return fmt.Errorf("connecting client %d: %w", len(l.clients), err)
	}
	if stalled {
		l.clients = l.clients[:len(l.clients)-1]
		l.stalled = append(l.stalled, c.fd)
		return syscall.EpollCtl(l.poll, syscall.EPOLL_CTL_DEL, c.fd, nil)
	}
	return nil
}

// dial adds a client and sends its request. query is appended to the path.
func (l *load) dial(number int, query string, stalled bool) (*client, error) {
	addr, err := net.ResolveTCPAddr("tcp", l.child.hello.Addr)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	c := &client{fd: fd, number: number}
	l.clients = append(l.clients, c)
	l.byFD[int32(fd)] = c
	if stalled {
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}); err != nil {
		return nil, err
	}
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	// Close the socket with a reset, so that thousands of connections leave nothing behind.
	_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	if _, err := syscall.Write(fd, l.request(number, query)); err != nil {
		return nil, err
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	return c, syscall.EpollCtl(l.poll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
}

// request returns the request of a client.
func (l *load) request(number int, query string) []byte {
	path := l.wire.Path
	if strings.Contains(path, "%") {
		path = fmt.Sprintf(path, number)
	}
	head := "GET " + path + query + " HTTP/1.1\r\nHost: " + l.child.hello.Addr + "\r\n"
	if l.wire.Stream {
		return []byte(head + "Accept: text/event-stream\r\n\r\n")
	}
	return []byte(head + "Connection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
}

// handshake handles the response at the start of b and returns the bytes behind it. While
// the response is not complete, it returns all of b.
func (l *load) handshake(c *client, b []byte) ([]byte, error) {
	head, rest, all := bytes.Cut(b, []byte("\r\n\r\n"))
	if !all {
		return b, nil
	}
	want := " 101 "
	if l.wire.Stream {
		want = " 200 "
	}
	if line, _, _ := bytes.Cut(head, []byte("\r\n")); !bytes.Contains(line, []byte(want)) {
		return nil, fmt.Errorf("handshake: %q", head)
	}
	c.open = true
	if l.wire.First == "" {
		return rest, nil
	}
	_, err := syscall.Write(c.fd, masked(l.wire.First))
	return rest, err
}

// masked returns msg as a text frame of a client; the mask is zero. msg must be shorter than
// 126 bytes.
func masked(msg string) []byte {
	return append([]byte{0x81, 0x80 | byte(len(msg)), 0, 0, 0, 0}, msg...)
}

// read reads and handles the bytes that have arrived for one client.
func (l *load) read(c *client) error {
	k := copy(l.buf, c.carry)
	n, err := syscall.Read(c.fd, l.buf[k:])
	switch {
	case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR):
		return nil
	case !c.open && (err != nil || n == 0):
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("handshake: %w after %q", err, c.carry)
	case err != nil || n == 0:
		l.closed++
		return syscall.EpollCtl(l.poll, syscall.EPOLL_CTL_DEL, c.fd, nil)
	}
	rest := l.buf[:k+n]
	if !c.open {
		if rest, err = l.handshake(c, rest); err != nil {
			return err
		}
	}
	if c.open {
		now := time.Now().UnixNano()
		if l.wire.Stream {
			rest, err = l.chunks(c, rest, now)
		} else {
			rest = l.frames(c, rest, now)
		}
	}
	c.carry = append(c.carry[:0], rest...)
	return err
}

// message counts a message. If somebody needs them, it stores its age and its cursor.
func (l *load) message(c *client, msg []byte, now int64) {
	c.count++
	l.total++
	if l.timed {
		if made, ok := l.made(msg); ok {
			l.samples = append(l.samples, now-made)
		}
	}
	if len(l.cursor) == 0 || !bytes.Contains(msg, l.key) {
		return
	}
	c.events++
	c.made, _ = l.made(msg)
	if _, rest, ok := bytes.Cut(msg, l.cursor); ok {
		end := bytes.IndexAny(rest, `",}`)
		c.cursor = string(rest[:max(end, 0)])
	}
}

// made returns the time at which an event was published, in nanoseconds.
func (l *load) made(msg []byte) (at int64, ok bool) {
	_, rest, ok := bytes.Cut(msg, l.key)
	if !ok {
		return 0, false
	}
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	at, err := strconv.ParseInt(string(rest[:end]), 10, 64)
	return at, err == nil
}
