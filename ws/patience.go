package ws

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// patience ends a write to a client that takes nothing for the time Options.WriteTimeout.
type patience struct {
	c     *netConn
	max   int // bytes of one write
	mu    sync.Mutex
	timer *time.Timer // nil if the system does not say what the client takes, and after stop
	queue int         // bytes that the system held when it was last asked
}

// watch begins to watch what the client takes. The system may hold some megabytes for
// the client, and make room only when a third of them are taken. On a slow line, that
// takes longer than the timeout, so the system is asked for what it holds.
func (c *netConn) watch() *patience {
	w := &patience{c: c, max: writeBlind}
	if n, ok := c.opts.sys.queued(c.Conn); ok {
		w.queue, w.max = n, writeMax
		w.mu.Lock()
		w.timer = time.AfterFunc(max(c.opts.WriteTimeout/4, time.Millisecond), w.look)
		w.mu.Unlock()
	}
	return w
}

func (w *patience) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil {
		return
	}
	if n, ok := w.c.opts.sys.queued(w.c.Conn); ok && n != w.queue {
		w.queue = n
		_ = w.c.allow(time.Now().Add(w.c.opts.WriteTimeout))
	}
	w.timer.Reset(max(w.c.opts.WriteTimeout/4, time.Millisecond))
}

// write writes p.
func (w *patience) write(p []byte) error {
	for len(p) > 0 {
		if err := w.c.allow(time.Now().Add(w.c.opts.WriteTimeout)); err != nil {
			return err
		}
		n, err := w.c.Conn.Write(p[:min(len(p), w.max)])
		if err != nil {
			return w.reason(err)
		}
		p = p[n:]
	}
	return nil
}

// reason returns ErrSlow with a text if a write failed because of its deadline.
func (w *patience) reason(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() && w.c.closeBy.Load() == 0 {
		return fmt.Errorf("ws: the client took nothing for %v (Options.WriteTimeout): %w", w.c.opts.WriteTimeout, nodebus.ErrSlow)
	}
	return err
}

// stop ends the watching. It removes the deadline, which would also affect later writes.
func (w *patience) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	if w.c.closeBy.Load() == 0 {
		_ = w.c.Conn.SetWriteDeadline(time.Time{})
	}
}
