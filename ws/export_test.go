package ws

import (
	"net"
	"time"
)

// Line is what a test pretends to know from the system about a connection, or learns.
type Line struct {
	Acknowledged func() (unacked bool, since time.Duration, ok bool)
	Queued       func() (n int, ok bool)
	Said         func(unacked bool, since time.Duration, ok bool) // called with what the system says
}

// SetLine replaces what the system says about connections.
func (o *Options) SetLine(l Line) {
	o.sys = system{queued, acknowledged}
	if l.Queued != nil {
		o.sys.queued = func(net.Conn) (int, bool) { return l.Queued() }
	}
	switch {
	case l.Acknowledged != nil:
		o.sys.acknowledged = func(net.Conn) (bool, time.Duration, bool) { return l.Acknowledged() }
	case l.Said != nil:
		o.sys.acknowledged = func(c net.Conn) (bool, time.Duration, bool) {
			unacked, since, ok := acknowledged(c)
			l.Said(unacked, since, ok)
			return unacked, since, ok
		}
	}
}

// Acknowledged asks the system about the connection of c.
func (c *Conn) Acknowledged() (unacked bool, since time.Duration, ok bool) {
	return acknowledged(c.net.Conn)
}

// Queued asks the system about the connection of c.
func (c *Conn) Queued() (n int, ok bool) { return queued(c.net.Conn) }

// SetSession replaces the session that receives the receipts of the client.
func (c *Conn) SetSession(s session) { c.net.session = s }

// NewConn returns a Conn without a handshake.
func NewConn(nc net.Conn, opts *Options) *Conn { return newConn(nc, nil, opts.withDefaults()) }

// Asked returns the number of outcomes that wait for a receipt.
func (c *Conn) Asked() int { return len(c.net.asked) }
