//go:build e2e

package e2e

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// faulty is a bad way to a server: it cuts connections in the middle of a frame, stalls, and
// breaks the first bytes of some.
type faulty struct {
	listener net.Listener
	back     string      // address of the server
	good     atomic.Bool // no faults
	cuts     atomic.Int64
	stalls   atomic.Int64
	rejects  atomic.Int64

	mu  sync.Mutex
	rnd *rand.Rand
}

// newFaulty opens a way that is good at first. It ends with the test.
func newFaulty(t *testing.T, back string, seed uint64) *faulty {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &faulty{listener: listener, back: back, rnd: rand.New(rand.NewPCG(seed, 7))}
	f.good.Store(true)
	var running sync.WaitGroup
	over := make(chan struct{})
	running.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { f.carry(c.(*net.TCPConn), over) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		close(over)
		running.Wait()
	})
	return f
}

func (f *faulty) url() string { return "http://" + f.listener.Addr().String() + "/" }

func (f *faulty) roll(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rnd.IntN(n)
}

// carry carries the bytes of a connection until it ends.
func (f *faulty) carry(c *net.TCPConn, over <-chan struct{}) {
	defer c.Close()
	if !f.good.Load() && f.roll(20) == 0 {
		f.rejects.Add(1)
		_ = c.SetLinger(0)
		return
	}
	s, err := net.Dial("tcp", f.back)
	if err != nil {
		return
	}
	defer s.Close()
	done := make(chan struct{})
	var up sync.WaitGroup
	defer up.Wait()
	defer c.Close()
	defer s.Close()
	defer close(done)
	up.Go(func() {
		select {
		case <-over:
		case <-done:
		}
		_, _ = c.Close(), s.Close()
	})
	up.Go(func() {
		_, _ = io.Copy(s, c)
		_ = s.Close()
	})
	f.down(c, s)
}

// down carries what the server sends. A fault comes after some bytes, wherever that is.
func (f *faulty) down(c *net.TCPConn, s net.Conn) {
	var b [8 << 10]byte
	left := 1 + f.roll(24<<10)
	for {
		n, err := s.Read(b[:])
		for part := b[:n]; len(part) > 0; {
			good := f.good.Load()
			k := len(part)
			if !good {
				k = min(k, left)
			}
			if _, err := c.Write(part[:k]); err != nil {
				return
			}
			if part = part[k:]; good {
				continue
			}
			if left -= k; left > 0 {
				continue
			}
			left = 1 + f.roll(24<<10)
			switch fault := f.roll(10); {
			case fault < 6:
				f.cuts.Add(1)
				if fault < 3 {
					_ = c.SetLinger(0) // a reset
				}
				return
			case fault < 8:
				f.stalls.Add(1)
				time.Sleep(time.Duration(f.roll(500)) * time.Millisecond)
			}
		}
		if err != nil {
			return
		}
	}
}
