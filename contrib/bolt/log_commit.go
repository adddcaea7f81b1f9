package bolt

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nodebus/nodebus"
)

// written ends the commit of the plan that begins has made.
func (l *log) written(err error) {
	if l == nil {
		return
	}
	l.mu.Lock()
	p := l.writing
	if p == nil {
		l.mu.Unlock()
		return
	}
	if err != nil {
		l.keep(p)
		first, events := l.failures == 1, len(l.plan.steps)
		l.mu.Unlock()
		if first {
			l.says(slog.LevelError, "bolt: events cannot be written; clients receive them when the disk has taken them. Look for room on the disk",
				"file", l.db.path, "events", events, "error", err)
		}
		return
	}
	again := l.failures > 0
	l.failures = 0
	l.mu.Unlock()
	l.pass(p)
	if again {
		l.says(slog.LevelInfo, "bolt: the disk takes events again", "file", l.db.path, "events", len(p.steps))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = nil
	l.reuse(p.steps)
	l.waiting -= p.bytes
	l.passed = max(l.passed, p.newest)
	l.notify()
}

// notify wakes who waits for the end of a commit. l.mu is held.
func (l *log) notify() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// keep keeps a plan that the disk has not taken, and tries again later. l.mu is held.
func (l *log) keep(p *logPlan) {
	l.plan = p.after(l.plan)
	l.index.plan, l.writing = l.plan, nil
	l.failures++
	if !l.closed {
		wait := min(time.Second, 20*time.Millisecond<<min(l.failures, 6))
		time.AfterFunc(wait, l.db.writer.wakeUp)
	}
}

// says tells the logger something, in the order of the calls. Only the writer calls it, and
// it does not wait: a logger is foreign code, which may wait for the writer.
func (l *log) says(level slog.Level, text string, args ...any) {
	before, done := l.said, make(chan struct{})
	l.said = done
	go func() {
		defer close(done)
		if before != nil {
			<-before
		}
		_ = nodebus.Protect(func() error { l.db.logger.Log(context.Background(), level, text, args...); return nil })
	}()
}

// loggerTime is how long Close waits for the logger. The logger may be waiting for Close.
const loggerTime = time.Second

// awaitLogger waits until the logger has been told everything. The writer has ended.
func (l *log) awaitLogger() {
	if l.said == nil {
		return
	}
	timer := time.NewTimer(loggerTime)
	defer timer.Stop()
	select {
	case <-l.said:
	case <-timer.C:
	}
}

// pass passes what is in the file to the cache, and so to followers. l.mu is not held. It
// uses a goroutine of its own, because a follower may call runtime.Goexit: that must not
// end the writer.
func (l *log) pass(p *logPlan) {
	for i := 0; i < len(p.steps); {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i < len(p.steps) {
				s := &p.steps[i]
				i++
				l.passOne(s)
			}
		}()
		<-done
	}
}

func (l *log) passOne(s *logStep) {
	if s.done != nil {
		s.done <- l.cache.Drop(s.drop)
		return
	}
	if err := l.cache.Add(s.ev); errors.Is(err, nodebus.ErrClosed) { // the index remembers less than the cache
		_ = l.cache.Drop(s.ev.PromptID)
		_ = l.cache.Add(s.ev)
	}
}

// close ends all calls that wait. The writer makes one more commit after it.
func (l *log) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	l.notify()
}

// refuse ends the calls of Drop that the last commit did not serve. It returns an error if
// events were not written. The writer has ended.
func (l *log) refuse() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	events := 0
	for _, s := range l.plan.steps {
		if s.done != nil {
			s.done <- nodebus.ErrClosed
		} else {
			events++
		}
	}
	l.plan.steps = nil
	if events == 0 {
		return nil
	}
	return &FileError{Path: l.db.path, Reason: ErrWrite, Detail: "the disk has not taken the newest events, so they are lost; no client has received them"}
}
