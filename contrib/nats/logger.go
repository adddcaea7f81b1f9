package nats

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

const (
	recordsLen = 1000        // records that wait for the logger; further ones are left out
	loggerTime = time.Second // how long Close waits for the logger, which may wait for Close
)

// lateLogger is a handler that passes records on in a goroutine of its own, in order. A
// logger is foreign code: it may panic, end its goroutine, wait for the bus, or close it.
// So no goroutine that the bus needs calls it.
type lateLogger struct {
	to    slog.Handler
	queue *lateRecords
}

type lateRecords struct {
	mu      sync.Mutex // not held while the logger is called
	waiting []func()
	idle    chan struct{} // closed when no record waits; nil if that is so already
}

func newLateLogger(to *slog.Logger) (*slog.Logger, *lateRecords) {
	q := &lateRecords{}
	return slog.New(lateLogger{to.Handler(), q}), q
}

func (l lateLogger) Enabled(context.Context, slog.Level) bool { return true }

func (l lateLogger) Handle(_ context.Context, r slog.Record) error {
	r = r.Clone()
	l.queue.add(func() {
		if ctx := context.Background(); l.to.Enabled(ctx, r.Level) {
			_ = l.to.Handle(ctx, r)
		}
	})
	return nil
}

// The bus calls neither With nor WithGroup.
func (l lateLogger) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l lateLogger) WithGroup(string) slog.Handler      { return l }

func (q *lateRecords) add(f func()) {
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
func (q *lateRecords) pass() {
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

// wait waits until the logger has all records, for at most loggerTime.
func (q *lateRecords) wait() {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	if idle == nil {
		return
	}
	timer := time.NewTimer(loggerTime)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}
