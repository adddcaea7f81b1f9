//go:build e2e

package chaos_test

import (
	"io"
	"net"
	"sync"
)

// proxy passes connections on to the address that pick chooses for each of them; an empty
// address means that there is nobody. It can cut and stall the lines that are open.
type proxy struct {
	listener net.Listener
	pick     func() string
	running  sync.WaitGroup

	mu      sync.Mutex
	lines   map[*line]bool
	stalled chan struct{} // closed when the lines go on; nil if they are not stalled
	closed  bool
	opened  int // lines so far
	cuts    int // lines cut so far
}

// line is a connection of a client and its connection to a server.
type line struct{ near, far net.Conn }

func (l *line) close() {
	_ = l.near.Close()
	_ = l.far.Close()
}

func newProxy(pick func() string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: listener, pick: pick, lines: map[*line]bool{}}
	p.running.Go(p.serve)
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) serve() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.pass(near) })
	}
}

func (p *proxy) pass(near net.Conn) {
	defer near.Close()
	to := p.pick()
	if to == "" {
		return
	}
	far, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	l := &line{near, far}
	defer l.close()
	if !p.add(l) {
		return
	}
	defer p.remove(l)
	var both sync.WaitGroup
	both.Go(func() { p.pump(l, near, far) })
	both.Go(func() { p.pump(l, far, near) })
	both.Wait()
}

func (p *proxy) add(l *line) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.lines[l] = true
		p.opened++
	}
	return !p.closed
}

func (p *proxy) remove(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.lines, l)
}

// pump copies bytes in one direction. The end of one direction ends the line.
func (p *proxy) pump(l *line, to io.Writer, from io.Reader) {
	defer l.close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.await()
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// await waits while the lines are stalled.
func (p *proxy) await() {
	p.mu.Lock()
	stalled := p.stalled
	p.mu.Unlock()
	if stalled != nil {
		<-stalled
	}
}

// cut ends the lines that chosen accepts, without a word to either end.
func (p *proxy) cut(chosen func() bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.lines {
		if chosen() {
			l.close()
			p.cuts++
		}
	}
}

// stall stops all bytes until the function that it returns is called.
func (p *proxy) stall() (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	stalled := make(chan struct{})
	p.stalled = stalled
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.stalled == stalled {
			p.stalled = nil
		}
		close(stalled)
	}
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for l := range p.lines {
		l.close()
	}
	p.mu.Unlock()
	p.running.Wait()
}
