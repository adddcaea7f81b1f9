package ws

import (
	"fmt"
	"sync"
	"time"
)

// The server pings each client. A client that answers is alive. A client that does not
// answer may be dead, or it may be a program that does not read while it is busy. The
// system knows the difference: the system of a living client acknowledges the bytes of
// the pings, even if the program does not read them.

// ackTime is the minimum time that the system of a client has to acknowledge bytes.
const ackTime = 3 * time.Second

// pings sends pings to a client and ends the connection of a lost client.
type pings struct {
	net *netConn

	mu    sync.Mutex
	timer *time.Timer // nil without pings, and after stop
	ticks uint        // only tick uses it
}

// start begins to send pings, unless the options say that there are none.
func (p *pings) start() {
	if p.net.opts.PingInterval > 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.timer = time.AfterFunc(p.tickTime(), p.tick)
	}
}

// tickTime is half of the ping interval, because a client may be silent for two and a
// half intervals.
func (p *pings) tickTime() time.Duration { return max(p.net.opts.PingInterval/2, 1) }

// tick looks at the client twice in each ping interval, and sends a ping once.
func (p *pings) tick() {
	heard := p.net.heard.Load()
	switch {
	case heard == unheard:
	case p.net.isWriting(): // no ping can reach the client now; the write has its own patience
		p.net.heard.CompareAndSwap(heard, int64(time.Since(epoch)))
	default:
		silent := time.Since(epoch) - time.Duration(heard)
		if silent >= 5*p.tickTime() && p.lost(silent) {
			p.net.end(fmt.Errorf("the client has answered nothing for %v", silent))
			return
		}
	}
	if p.ticks++; p.ticks%2 == 0 {
		p.net.ping()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Reset(p.tickTime())
	}
}

// lost reports whether a client that is silent for some time must be given up.
func (p *pings) lost(silent time.Duration) bool {
	if p.net.opts.StrictPings || silent >= p.net.opts.MaxSilence {
		return true
	}
	unacked, since, ok := p.net.opts.sys.acknowledged(p.net.Conn)
	return !ok || unacked && since >= max(3*p.tickTime(), ackTime)
}

func (p *pings) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
}
