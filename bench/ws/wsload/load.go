//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// load holds all clients of one server.
type load struct {
	child   *child
	poll    int // epoll file descriptor
	clients []*client
	byFD    map[int32]*client
	stalled []int // file descriptors that are never read
	buf     []byte
	key     []byte // the text before an event's time

	total   int64   // messages since the start of the phase
	timed   bool    // collect latencies
	samples []int64 // nanoseconds
	closed  int     // connections that the server has closed
}

type client struct {
	fd    int
	count int64  // messages since the start of the phase
	carry []byte // the start of an incomplete frame
}

func newLoad(c *child) (*load, error) {
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	return &load{
		child: c, poll: poll, byFD: map[int32]*client{}, buf: make([]byte, 512<<10), key: []byte(c.hello.Key),
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

// connect adds a client. A stalled client never reads.
func (l *load) connect(stalled bool) error {
	fd, early, err := l.dial(stalled)
	if err != nil {
		return fmt.Errorf("connecting client %d: %w", len(l.clients), err)
	}
	if stalled {
		l.stalled = append(l.stalled, fd)
		return nil
	}
	c := &client{fd: fd}
	c.carry = bytes.Clone(l.frames(c, early, 0)) // the server may have sent a greeting already
	l.clients = append(l.clients, c)
	l.byFD[int32(fd)] = c
	if err := syscall.SetNonblock(fd, true); err != nil {
		return err
	}
	return syscall.EpollCtl(l.poll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
}

// dial connects and does the handshake. early holds the bytes after the handshake response.
func (l *load) dial(stalled bool) (fd int, early []byte, err error) {
	addr, err := net.ResolveTCPAddr("tcp", l.child.hello.Addr)
	if err != nil {
		return 0, nil, err
	}
	if fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
		return 0, nil, err
	}
	defer func() {
		if err != nil {
			_ = syscall.Close(fd)
		}
	}()
	if stalled {
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}); err != nil {
		return fd, nil, err
	}
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	// Close the socket with a reset, so that thousands of connections leave nothing behind.
	_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	request := "GET /ws HTTP/1.1\r\nHost: " + l.child.hello.Addr + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if _, err := syscall.Write(fd, []byte(request)); err != nil {
		return fd, nil, err
	}
	var got []byte
	for {
		n, err := syscall.Read(fd, l.buf)
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fd, nil, fmt.Errorf("handshake: %w after %q", err, got)
		}
		got = append(got, l.buf[:n]...)
		head, rest, all := bytes.Cut(got, []byte("\r\n\r\n"))
		switch {
		case !all:
		case !bytes.Contains(head, []byte(" 101 ")):
			return fd, nil, fmt.Errorf("handshake: %q", head)
		default:
			return fd, rest, nil
		}
	}
}

// frames handles the complete frames at the start of b and returns the rest.
func (l *load) frames(c *client, b []byte, now int64) []byte {
	for len(b) >= 2 {
		op, n, head := b[0]&15, int(b[1]&127), 2
		switch n {
		case 126:
			if len(b) < 4 {
				return b
			}
			n, head = int(b[2])<<8|int(b[3]), 4
		case 127:
			if len(b) < 10 {
				return b
			}
			n, head = 0, 10
			for _, x := range b[2:10] {
				n = n<<8 | int(x)
			}
		}
		if len(b) < head+n {
			return b
		}
		if op == 1 {
			c.count++
			l.total++
			if l.timed {
				l.sample(b[head:head+n], now)
			}
		}
		b = b[head+n:]
	}
	return b
}

// sample stores the age of a message.
func (l *load) sample(msg []byte, now int64) {
	_, rest, ok := bytes.Cut(msg, l.key)
	if !ok {
		return
	}
	var made int64
	for len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' {
		made = made*10 + int64(rest[0]-'0')
		rest = rest[1:]
	}
	l.samples = append(l.samples, now-made)
}

// read reads and handles the bytes that have arrived for one client.
func (l *load) read(c *client) error {
	k := copy(l.buf, c.carry)
	n, err := syscall.Read(c.fd, l.buf[k:])
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return nil
	case err != nil || n == 0:
		l.closed++
		return syscall.EpollCtl(l.poll, syscall.EPOLL_CTL_DEL, c.fd, nil)
	}
	rest := l.frames(c, l.buf[:k+n], time.Now().UnixNano())
	c.carry = append(c.carry[:0], rest...)
	return nil
}
