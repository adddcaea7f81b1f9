// Package late passes log records on in goroutines of its own.
package late

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

const (
	recordsLen = 1000        // records that wait for the logger; further ones are left out
	waitTime   = time.Second // how long Wait waits for the logger, which may wait for the caller
)

// handler is a handler that passes records on in a goroutine of its own, in order. A
// logger is foreign code: it may panic, end its goroutine, wait for the caller, or close it.
// So no goroutine that the caller needs calls it.
type handler struct {
	to    slog.Handler
	queue *Records
}

// Records are the records that a logger has not been told yet.
type Records struct {
	mu      sync.Mutex // not held while the logger is called
	waiting []func()
	idle    chan struct{} // closed when no record waits; nil if that is so already
}

// Logger returns a logger that any goroutine may call, and the records on their way to to.
func Logger(to *slog.Logger) (*slog.Logger, *Records) {
	q := &Records{}
	return slog.New(handler{to.Handler(), q}), q
}

func (l handler) Enabled(context.Context, slog.Level) bool { return true }

func (l handler) Handle(_ context.Context, r slog.Record) error {
	r = r.Clone()
	l.queue.add(func() {
		if ctx := context.Background(); l.to.Enabled(ctx, r.Level) {
			_ = l.to.Handle(ctx, r)
		}
	})
	return nil
}

// The package calls neither With nor WithGroup.
func (l handler) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l handler) WithGroup(string) slog.Handler      { return l }

func (q *Records) add(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= recordsLen {
		return
	}
	q.waiting = append(q.waiting, f)
	if q.idle == nil {
		q.idle = make(chan struct{})
		go q.pass()
	}
}

// pass passes what waits. If the logger ends the goroutine, another one goes on.
func (q *Records) pass() {
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			close(q.idle)
			q.idle = nil
			q.mu.Unlock()
			return
		}
		f := q.waiting[0]
		q.waiting = q.waiting[1:]
		q.mu.Unlock()
		returned := false
		func() {
			defer func() {
				if !returned {
					go q.pass()
				}
			}()
			_ = nodebus.Protect(func() error { f(); return nil })
			returned = true
		}()
	}
}

// Wait waits until the logger has all records, for at most a second.
func (q *Records) Wait() {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	if idle == nil {
		return
	}
	timer := time.NewTimer(waitTime)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}
