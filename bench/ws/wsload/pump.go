//go:build linux

package main

import (
	"math"
	"syscall"
	"time"
)

// acks controls how often wsload sends the count of the slowest client to the server.
type acks struct {
	every time.Duration
	last  time.Time
	told  int64
	dirty bool
}

// pump reads until stop returns true. It calls stop at least every millisecond.
func (l *load) pump(a acks, stop func() bool) error {
	ready := make([]syscall.EpollEvent, 512)
	for !stop() {
		n, err := syscall.EpollWait(l.poll, ready, 1)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range ready[:n] {
			if err := l.read(l.byFD[e.Fd]); err != nil {
				return err
			}
		}
		a.dirty = a.dirty || n > 0
		if a.every > 0 && a.dirty && time.Since(a.last) >= a.every {
			if err := l.acknowledge(&a); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *load) acknowledge(a *acks) error {
	a.last, a.dirty = time.Now(), false
	low := int64(math.MaxInt64)
	for _, c := range l.clients {
		low = min(low, c.count)
	}
	if low <= a.told {
		return nil
	}
	a.told = low
	return l.child.tell("a %d", low)
}

// settle reads until all clients have received their greetings and no message has
// arrived for the time quiet.
func (l *load) settle(quiet time.Duration) error {
	greetings := int64(len(l.clients) * l.wire.Greetings)
	last, since := int64(-1), time.Now()
	return l.pump(acks{}, func() bool {
		if l.total != last {
			last, since = l.total, time.Now()
		}
		return l.total >= greetings && time.Since(since) > quiet
	})
}
