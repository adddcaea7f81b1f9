//go:build linux

package server

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// rawShard writes to a part of the clients of a rawPeer.
type rawShard struct {
	p       *rawPeer
	mu      sync.Mutex
	clients []*rawClient
	wake    chan struct{}
}

type rawClient struct {
	conn net.Conn // keeps a reference, so that the connection is not closed
	raw  syscall.RawConn
	gone bool
	at   int64
	try  func(fd uintptr) bool
	buf  []byte // the input of try; n and err are its results
	n    int
	err  error
}

func newRawClient(c net.Conn, at int64) (*rawClient, error) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	cl := &rawClient{conn: c, raw: raw, at: at}
	cl.try = func(fd uintptr) bool {
		cl.n, cl.err = syscall.Write(int(fd), cl.buf)
		return true // do not wait for this client
	}
	return cl, nil
}

// write writes as much as the socket takes now. It returns false if the socket takes
// nothing.
func (c *rawClient) write(b []byte) bool {
	c.buf = b
	if err := c.raw.Write(c.try); err != nil {
		c.gone = true
		return false
	}
	switch {
	case c.err == nil:
		c.at += int64(c.n)
		return true
	case !errors.Is(c.err, syscall.EAGAIN):
		c.gone = true
	}
	return false
}

func (s *rawShard) run() {
	for range s.wake {
		for {
			head := s.p.head.Load()
			lag, wrote := s.round(head)
			if !lag && s.p.head.Load() == head {
				break
			}
			if lag && !wrote {
				time.Sleep(200 * time.Microsecond)
			}
		}
	}
}

// round writes to every client as many bytes up to head as its socket takes. lag reports
// that a client is not at head yet; wrote reports that at least one write succeeded.
func (s *rawShard) round(head int64) (lag, wrote bool) {
	s.mu.Lock()
	clients := s.clients
	s.mu.Unlock()
	for _, c := range clients {
		if c.gone || c.at == head {
			continue
		}
		ok := c.write(s.p.chunk(c.at, head))
		wrote = wrote || ok
		if c.gone {
			s.p.n.Add(-1)
		} else {
			lag = lag || c.at != head
		}
	}
	return lag, wrote
}
