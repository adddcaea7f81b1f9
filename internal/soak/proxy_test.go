package soak_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// proxy is a bad line: it cuts connections in the middle of a frame, stalls, goes
// silent, and resets connections before their client has read anything.
type proxy struct {
	net.Listener
	target string
	size
	calm    atomic.Bool // no further faults
	lines   sync.WaitGroup
	mu      sync.Mutex
	rnd     *rand.Rand
	open    map[*line]bool
	sockets atomic.Int64
	cuts    atomic.Int64
	stalls  atomic.Int64
	silent  atomic.Int64
	resets  atomic.Int64
}

func newProxy(target string, s size) (*proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{Listener: ln, target: target, size: s, rnd: rand.New(rand.NewPCG(s.seed, 1)), open: map[*line]bool{}}
	p.calm.Store(true)
	p.lines.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.sockets.Add(1)
			p.lines.Go(func() { p.serve(c) })
		}
	})
	return p, nil
}

// stop closes all lines and waits for them.
func (p *proxy) stop() {
	p.Close()
	p.mu.Lock()
	for l := range p.open {
		l.end(false)
	}
	p.mu.Unlock()
	p.lines.Wait()
}

func (p *proxy) roll(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rnd.IntN(n)
}

// line is one connection through the proxy.
type line struct {
	client, server net.Conn
	mu             sync.Mutex
	opened         chan struct{} // closed while bytes to the server may pass
	dead           chan struct{}
	once           sync.Once
}

func (p *proxy) serve(client net.Conn) {
	fault := 100
	if !p.calm.Load() {
		fault = p.roll(100)
	}
	if fault < 10 { // reset before anything was read
		p.resets.Add(1)
		reset(client)
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		client.Close()
		return
	}
	small(client)
	small(server)
	l := &line{client: client, server: server, dead: make(chan struct{})}
	l.open()
	p.mu.Lock()
	p.open[l] = true
	p.mu.Unlock()
	defer func() {
		l.end(false)
		p.mu.Lock()
		delete(p.open, l)
		p.mu.Unlock()
	}()
	if fault < 20 { // the server's answer is lost
		var b [4096]byte
		n, _ := client.Read(b[:])
		_, _ = server.Write(b[:n])
		_, _ = server.Read(b[:])
		p.resets.Add(1)
		l.end(true)
		return
	}
	p.lines.Go(l.up)
	p.down(l)
}

func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// open lets bytes pass to the server; hold stops them.
func (l *line) open() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opened == nil {
		l.opened = make(chan struct{})
		close(l.opened)
	}
}

func (l *line) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened = nil
}

func (l *line) passes() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.opened != nil
}

func (l *line) end(rst bool) {
	l.once.Do(func() {
		close(l.dead)
		if rst {
			reset(l.server)
			reset(l.client)
			return
		}
		l.server.Close()
		l.client.Close()
	})
}

// up copies what the client sends.
func (l *line) up() {
	var b [4096]byte
	for {
		n, err := l.client.Read(b[:])
		if err != nil {
			l.end(false)
			return
		}
		for !l.passes() {
			select {
			case <-l.dead:
				return
			case <-time.After(time.Millisecond):
			}
		}
		if _, err := l.server.Write(b[:n]); err != nil {
			l.end(false)
			return
		}
	}
}

// down copies what the server sends, and makes faults.
func (p *proxy) down(l *line) {
	var b [8192]byte
	var r receiptWindow
	left := p.bytesToFault()
	for {
		n, err := l.server.Read(b[:])
		for rest := b[:n]; len(rest) > 0; {
			if p.calm.Load() {
				left = len(rest) + 1
			}
			part := rest[:min(len(rest), left)]
			left -= len(part)
			last := left == 0 // the client gets this part, and then the line breaks
			if last && p.breaks(l, part) {
				return
			}
			if err := p.pass(l, &r, part); err != nil {
				return
			}
			if rest = rest[len(part):]; last {
				left = p.bytesToFault()
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				l.end(false)
			}
			return
		}
	}
}

// pass passes bytes to the client. While an outcome follows the ping that asks for its
// receipt, the line is held towards the server: a line that loses the outcome but passes
// on the receipt for it is not a fault that a stock client can be saved from.
func (p *proxy) pass(l *line, r *receiptWindow, part []byte) error {
	for len(part) > 0 {
		n := r.feed(part)
		if r.within {
			l.hold()
		}
		if _, err := l.client.Write(part[:n]); err != nil {
			l.end(false)
			return err
		}
		if part = part[n:]; !r.within {
			l.open()
		}
	}
	return nil
}

// bytesToFault returns a small number mostly, and sometimes a large number, so that large
// events get through.
func (p *proxy) bytesToFault() int {
	if p.roll(10) == 0 {
		return 1 + p.roll(40*p.faultEvery)
	}
	return 1 + p.roll(2*p.faultEvery)
}

// breaks makes a fault in the middle of what the server sends. It reports whether the
// line is dead.
func (p *proxy) breaks(l *line, part []byte) bool {
	switch fault := p.roll(20); {
	case fault < 12:
		p.cuts.Add(1)
		if fault < 6 {
			l.end(true)
			return true
		}
		l.server.Close() // first, so that no receipt for the last bytes passes
		_, _ = l.client.Write(part)
		l.end(false)
		return true
	case fault < 13:
		p.silent.Add(1)
		l.hold()
		select {
		case <-l.dead:
		case <-time.After(2 * patience):
			l.end(false)
		}
		return true
	default:
		p.stalls.Add(1)
		select {
		case <-l.dead:
			return true
		case <-time.After(time.Duration(p.roll(300)) * time.Millisecond):
			return false
		}
	}
}
