package comfy

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/nodebus/nodebus"
)

// Limits of the log text that is kept in memory.
const (
	logEntries  = 300
	logEntryMax = 16 << 10 // bytes; a longer text becomes several entries
)

// Logs keeps the last 300 pieces of text that were written to it. The terminal of
// the front end shows them. A program's logger can write to Logs in addition to
// its usual output:
//
//	logs := comfy.NewLogs()
//	log := slog.New(slog.NewTextHandler(io.MultiWriter(os.Stderr, logs), nil))
//
// Every client that may use the server can read the text, so it must not contain
// secrets. A piece has at most 16 KiB; a longer text becomes several pieces. Logs
// is safe for concurrent use. Several servers may show the same Logs.
type Logs struct {
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

// NewLogs returns empty Logs.
func NewLogs() *Logs { return &Logs{} }

// Write keeps a copy of p. It never returns an error, and it does not wait for
// clients. It is safe for concurrent use.
func (l *Logs) Write(p []byte) (int, error) {
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
// the number of all entries ever written. It accepts nil Logs.
func (l *Logs) since(n uint64) (entries []logEntry, written uint64) {
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
func (l *Logs) follow(f func()) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed = append(slices.Clip(l.changed), &f)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.changed = slices.DeleteFunc(slices.Clone(l.changed), func(o *func()) bool { return o == &f })
	}
}

// terminalSize is the size that the server reports; there is no real terminal.
var terminalSize = map[string]int{"cols": 80, "rows": 24}

// logText answers GET /internal/logs with all entries as one text.
func (s *Server) logText(w http.ResponseWriter, _ *http.Request) {
	entries, _ := s.opts.Logs.since(0)
	var text strings.Builder
	for _, e := range entries {
		text.WriteString(e.Time + " - " + e.Text)
	}
	answer(w, http.StatusOK, text.String())
}

// logEntries answers GET /internal/logs/raw with all entries as objects.
func (s *Server) logEntries(w http.ResponseWriter, _ *http.Request) {
	entries, _ := s.opts.Logs.since(0)
	answer(w, http.StatusOK, object{{"entries", entries}, {"size", terminalSize}})
}

// logSubscribe answers PATCH /internal/logs/subscribe. It starts or stops sending
// new log entries to a connected client.
func (s *Server) logSubscribe(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Enabled  truth  `json:"enabled"`
		ClientID string `json:"clientId"`
	}
	if !readJSON(w, r, &req) {
		return
	}
	if only := granted(r).Client; only != "" && only != req.ClientID {
		fail(w, http.StatusForbidden, "this request may not subscribe for that client")
		return
	}
	s.terminals.set(req.ClientID, bool(req.Enabled) && s.clients.present(req.ClientID))
	done(w)
}

// terminals sends new log entries to the clients that subscribed to them.
type terminals struct {
	logs    *Logs
	present func(client string) bool
	send    func(entries []logEntry, to []string) error

	flushes sync.WaitGroup // counts a flush that is due or runs

	mu     sync.Mutex
	open   map[string]bool // the subscribed clients
	sent   uint64          // the number of entries that were sent
	timer  *time.Timer     // nil if no flush is due
	closed bool            // the hub or the server is closed
}

// terminalDelay is the time that a new entry waits for more entries. One event
// then carries several entries, so a program that logs much causes few events.
const terminalDelay = 50 * time.Millisecond

func (t *terminals) set(client string, open bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.logs == nil {
		return
	}
	if !open {
		delete(t.open, client)
		return
	}
	if len(t.open) == 0 { // do not send older entries
		_, t.sent = t.logs.since(0)
	}
	t.open[client] = true
}

// written schedules a flush if a client has subscribed. Logs calls it after each
// Write.
func (t *terminals) written() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer == nil && len(t.open) > 0 && !t.closed {
		t.flushes.Add(1)
		t.timer = time.AfterFunc(terminalDelay, t.flush)
	}
}

// close lets no further flush begin and waits for a flush that runs.
func (t *terminals) close() {
	t.mu.Lock()
	t.closed = true
	if t.timer != nil && t.timer.Stop() {
		t.timer = nil
		t.flushes.Done()
	}
	t.mu.Unlock()
	t.flushes.Wait()
}

// flush sends the new entries to the subscribed clients that are still connected,
// and removes the others. It does not hold mu while it sends, because code that
// runs during the send may log something, which calls written.
func (t *terminals) flush() {
	defer t.flushes.Done()
	t.mu.Lock()
	t.timer = nil
	entries, written := t.logs.since(t.sent)
	t.sent = written
	for client := range t.open {
		if !t.present(client) {
			delete(t.open, client)
		}
	}
	to := sortedKeys(t.open)
	t.mu.Unlock()
	if len(entries) == 0 || len(to) == 0 {
		return
	}
	if err := t.send(entries, to); err != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.closed = true // send fails only if the hub is closed
	}
}

// sendLogs sends an event of type logs to these clients.
func (s *Server) sendLogs(entries []logEntry, to []string) error {
	data, err := json.Marshal(struct {
		Entries []logEntry     `json:"entries"`
		Size    map[string]int `json:"size"` // null: the size has not changed
	}{Entries: entries})
	if err != nil {
		return err
	}
	return s.hub.SendSync(nodebus.Custom{Type: "logs", Data: json.RawMessage(data)}, to...)
}
