package ws

import (
	"fmt"
	"time"
)

// The server pings each client. A client that answers is alive. A client that does not
// answer may be dead, or it may be a program that does not read while it is busy. The
// system knows the difference: the system of a living client acknowledges the bytes of
// the pings, even if the program does not read them.

// ackTime is the minimum time that the system of a client has to acknowledge bytes.
const ackTime = 3 * time.Second

// tickTime is half of the ping interval, because a client may be silent for two and a
// half intervals.
func (c *Conn) tickTime() time.Duration { return max(c.opts.PingInterval/2, 1) }

// tick looks at the client twice in each ping interval, and sends a ping once.
func (c *Conn) tick() {
	heard := c.net.heard.Load()
	switch {
	case heard == unheard:
	case c.net.isWriting(): // no ping can reach the client now; the write has its own patience
		c.net.heard.CompareAndSwap(heard, int64(time.Since(epoch)))
	default:
		silent := time.Since(epoch) - time.Duration(heard)
		if silent >= 5*c.tickTime() && c.lost(silent) {
			c.net.end(fmt.Errorf("the client has answered nothing for %v", silent))
			return
		}
	}
	if c.ticks++; c.ticks%2 == 0 {
		c.net.ping()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Reset(c.tickTime())
	}
}

// lost reports whether a client that is silent for some time must be given up.
func (c *Conn) lost(silent time.Duration) bool {
	if c.opts.StrictPings || silent >= c.opts.MaxSilence {
		return true
	}
	unacked, since, ok := c.opts.sys.acknowledged(c.net.Conn)
	return !ok || unacked && since >= max(3*c.tickTime(), ackTime)
}

func (c *Conn) stopPings() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}
