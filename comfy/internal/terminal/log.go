package terminal

import (
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Limits of the log text that is kept in memory.
const (
	logEntries  = 300
	logEntryMax = 16 << 10 // bytes; a longer text becomes several entries
)

// Log keeps the last pieces of text that were written to it. The zero Log is empty. It is
// safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	entries []logEntry // the last logEntries entries
	written uint64     // the number of all entries ever written
	changed []*func()  // called after each Write
}

// logEntry is one piece of text and the time when it was written.
type logEntry struct {
	Time string `json:"t"` // local time, without a time zone
	Text string `json:"m"`
}

// Write keeps a copy of p. It never returns an error, and it does not wait for
// clients. It is safe for concurrent use.
func (l *Log) Write(p []byte) (int, error) {
	at := time.Now().Format("2006-01-02T15:04:05.000000")
	l.mu.Lock()
	for rest := string(p); rest != ""; {
		n := len(rest)
		if n > logEntryMax {
			for n = logEntryMax; n > logEntryMax-utf8.UTFMax && !utf8.RuneStart(rest[n]); n-- {
			}
		}
		l.entries = append(l.entries, logEntry{at, strings.Clone(rest[:n])})
		l.written++
		rest = rest[n:]
	}
	if over := len(l.entries) - logEntries; over > 0 {
		l.entries = slices.Delete(l.entries, 0, over)
	}
	changed := l.changed
	l.mu.Unlock()
	for _, f := range changed {
		(*f)()
	}
	return len(p), nil
}

// since returns the kept entries that were written after the first n entries, and
// the number of all entries ever written. It accepts a nil Log.
func (l *Log) since(n uint64) (entries []logEntry, written uint64) {
	if l == nil {
		return []logEntry{}, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := min(l.written-n, uint64(len(l.entries)))
	return append([]logEntry{}, l.entries[uint64(len(l.entries))-fresh:]...), l.written // the copy is never nil: JSON needs [], not null
}

// follow makes each Write call f at its end, without a lock, until stop is called. f
// must not block.
func (l *Log) follow(f func()) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed = append(slices.Clip(l.changed), &f)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.changed = slices.DeleteFunc(slices.Clone(l.changed), func(o *func()) bool { return o == &f })
	}
}
