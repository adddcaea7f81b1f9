package client

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// pongMax is the maximum time that the server has to answer a ping.
const pongMax = 30 * time.Second

// alive notices that the server is gone although the connection is not closed: nothing
// arrives, not even the answer to a ping. Only the time during which the client reads
// counts.
type alive struct {
	interval time.Duration
	ping     func(context.Context) error // waits for the answer; nil: the server sends something by itself
	give     func()                      // ends the connection
	heard    atomic.Int64                // when something arrived, or the client began to read; nanoseconds after born
	reading  atomic.Bool
	silent   atomic.Bool // the server was given up
	born     time.Time

	mu    sync.Mutex
	timer *time.Timer // nil without pings, and after stop
}

// watchOver begins to watch over a connection, unless interval is negative.
func watchOver(interval time.Duration, ping func(context.Context) error, give func()) *alive {
	a := &alive{interval: interval, ping: ping, give: give, born: time.Now()}
	if interval > 0 {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.timer = time.AfterFunc(interval, a.tick)
	}
	return a
}

func (a *alive) begin() {
	a.hear()
	a.reading.Store(true)
}

func (a *alive) end() { a.reading.Store(false) }

func (a *alive) hear() { a.heard.Store(int64(time.Since(a.born))) }

// silence returns how long nothing has arrived while the client reads.
func (a *alive) silence() time.Duration {
	if !a.reading.Load() {
		return 0
	}
	return time.Since(a.born) - time.Duration(a.heard.Load())
}

// tick asks the server whether it is there, if it was silent for an interval.
func (a *alive) tick() {
	silent := a.silence()
	if silent >= a.interval && a.lost() {
		a.silent.Store(true)
		a.give()
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Reset(max(a.interval-a.silence(), time.Millisecond))
	}
}

// lost reports whether a silent server is gone.
func (a *alive) lost() bool {
	if a.ping == nil {
		return true
	}
	before := a.heard.Load()
	ctx, cancel := context.WithTimeout(context.Background(), min(a.interval, pongMax))
	defer cancel()
	if a.ping(ctx) == nil {
		a.hear()
		return false
	}
	return a.reading.Load() && a.heard.Load() == before
}

// stop ends the watch.
func (a *alive) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
}

// reason returns the error of a read, and names the silence if it was the reason.
func (a *alive) reason(err error) error {
	if a.silent.Load() {
		return fmt.Errorf("client: the server is silent for %v: %w", a.silence().Round(time.Millisecond), err)
	}
	return fmt.Errorf("client: %w", err)
}

// reader returns r, and notices what arrives.
func (a *alive) reader(r io.Reader) io.Reader { return noticed{r, a} }

type noticed struct {
	io.Reader
	alive *alive
}

// noticedMax is the maximum number of bytes that are read at once: package websocket fills
// the whole buffer before it returns, and a slow line needs its time for it.
const noticedMax = 1 << 10

func (n noticed) Read(p []byte) (int, error) {
	k, err := n.Reader.Read(p[:min(len(p), noticedMax)])
	if k > 0 {
		n.alive.hear()
	}
	return k, err
}
