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

// Bounds of what is kept of a program's output.
const (
	logEntries  = 300
	logEntryMax = 16 << 10 // bytes; what is longer becomes several entries
)

// Logs keeps the last 300 pieces of text written to it, for the terminal of the
// front end. A program's logger can write to it beside its usual output:
//
//	logs := comfy.NewLogs()
//	log := slog.New(slog.NewTextHandler(io.MultiWriter(os.Stderr, logs), nil))
//
// Everyone who may use the server can read it. It is safe for concurrent use,
// and several servers may show it.
type Logs struct {
	mu      sync.Mutex
	entries []logEntry // the last ones
	written uint64     // how many there ever were
	changed []func()   // called after each Write
}

// logEntry is one piece of text, and when it was written.
type logEntry struct {
	Time string `json:"t"` // local, without a zone
	Text string `json:"m"`
}

// NewLogs returns Logs that have nothing in them.
func NewLogs() *Logs { return &Logs{} }

// Write keeps a copy of p. It does not fail, and waits for nobody who reads.
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
		f()
	}
	return len(p), nil
}

// since returns what is kept of what was written after the first n entries, and
// how many there are now. It may be called for nil Logs.
func (l *Logs) since(n uint64) (entries []logEntry, written uint64) {
	if l == nil {
		return []logEntry{}, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := min(l.written-n, uint64(len(l.entries)))
	return append([]logEntry{}, l.entries[uint64(len(l.entries))-fresh:]...), l.written // [] in JSON, not null
}

// follow has f called after each Write. It must not block.
func (l *Logs) follow(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed = append(slices.Clip(l.changed), f)
}

// terminalSize is that of a terminal that nobody has measured.
var terminalSize = map[string]int{"cols": 80, "rows": 24}

// logText answers GET /internal/logs.
func (s *Server) logText(w http.ResponseWriter, _ *http.Request) {
	entries, _ := s.opts.Logs.since(0)
	var text strings.Builder
	for _, e := range entries {
		text.WriteString(e.Time + " - " + e.Text)
	}
	answer(w, http.StatusOK, text.String())
}

// logEntries answers GET /internal/logs/raw.
func (s *Server) logEntries(w http.ResponseWriter, _ *http.Request) {
	entries, _ := s.opts.Logs.since(0)
	answer(w, http.StatusOK, object{{"entries", entries}, {"size", terminalSize}})
}

// logSubscribe answers PATCH /internal/logs/subscribe: the client is sent what
// is written from now on, or no more of it.
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

// terminals are the clients that are sent what is written to the logs.
type terminals struct {
	logs    *Logs
	present func(client string) bool
	send    func(entries []logEntry, to []string) error

	mu     sync.Mutex
	open   map[string]bool
	sent   uint64 // entries
	timer  *time.Timer
	closed bool
}

// terminalDelay is how long what is written waits for more, so that a program
// that says much does not say it in as many events.
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
	if len(t.open) == 0 { // what was written before is not news
		_, t.sent = t.logs.since(0)
	}
	t.open[client] = true
}

// written has the clients told soon.
func (t *terminals) written() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer == nil && len(t.open) > 0 && !t.closed {
		t.timer = time.AfterFunc(terminalDelay, t.flush)
	}
}

// flush sends what is new to those that are still connected. The lock is not
// held meanwhile: whoever is told may log something.
func (t *terminals) flush() {
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
		t.closed = true // the hub is
	}
}

// sendLogs sends an event of type logs.
func (s *Server) sendLogs(entries []logEntry, to []string) error {
	data, err := json.Marshal(struct {
		Entries []logEntry     `json:"entries"`
		Size    map[string]int `json:"size"` // null: as before
	}{Entries: entries})
	if err != nil {
		return err
	}
	return s.hub.SendSync(nodebus.Custom{Type: "logs", Data: json.RawMessage(data)}, to...)
}
