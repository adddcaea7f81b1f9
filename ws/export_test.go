package ws

import (
	"net"
	"time"
)

// Line is what a test pretends to know from the system about a connection.
type Line struct {
	Acknowledged func() (unacked bool, since time.Duration, ok bool)
	Queued       func() (n int, ok bool)
}

// SetLine replaces what the system says about connections.
func (o *Options) SetLine(l Line) {
	o.sys.acknowledged = func(c net.Conn) (bool, time.Duration, bool) {
		if l.Acknowledged == nil {
			return acknowledged(c)
		}
		return l.Acknowledged()
	}
	o.sys.queued = func(c net.Conn) (int, bool) {
		if l.Queued == nil {
			return queued(c)
		}
		return l.Queued()
	}
}

// Acknowledged asks the system about the connection of c.
func (c *Conn) Acknowledged() (unacked bool, since time.Duration, ok bool) {
	return acknowledged(c.net.Conn)
}

// SetSession replaces the session that receives the receipts of the client.
func (c *Conn) SetSession(s session) { c.net.session = s }

// NewConn returns a Conn without a handshake.
func NewConn(nc net.Conn, opts *Options) *Conn { return newConn(nc, nil, opts.withDefaults()) }

// Asked returns the number of outcomes that wait for a receipt.
func (c *Conn) Asked() int { return len(c.net.asked) }
