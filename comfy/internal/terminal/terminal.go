// Package terminal serves the terminal of the front end: it shows what the host program logs.
package terminal

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
)

// Terminal serves the routes of the terminal, and sends new log entries to the clients that
// subscribed to them. Use [New] to make a Terminal.
type Terminal struct {
	logs    *Log
	present func(client string) bool
	hub     *nodebus.Hub

	unfollow func()
	flushes  sync.WaitGroup // counts a flush that is due or runs

	mu     sync.Mutex
	open   map[string]bool // the subscribed clients
	sent   uint64          // the number of entries that were sent
	timer  *time.Timer     // nil if no flush is due
	closed bool            // the hub or the server is closed
}

// New returns a Terminal that shows logs; with nil logs it is empty. present reports whether
// a client is connected. The caller must call Close at the end.
func New(hub *nodebus.Hub, logs *Log, present func(client string) bool) *Terminal {
	t := &Terminal{hub: hub, logs: logs, present: present, open: map[string]bool{}, unfollow: func() {}}
	if logs != nil {
		t.unfollow = logs.follow(t.written)
	}
	return t
}

// terminalSize is the size that the server reports; there is no real terminal.
var terminalSize = map[string]int{"cols": 80, "rows": 24}

// Text answers GET /internal/logs with all entries as one text.
func (t *Terminal) Text(w http.ResponseWriter, _ *http.Request) {
	entries, _ := t.logs.since(0)
	var text strings.Builder
	for _, e := range entries {
		text.WriteString(e.Time + " - " + e.Text)
	}
	web.Answer(w, http.StatusOK, text.String())
}

// Entries answers GET /internal/logs/raw with all entries as objects.
func (t *Terminal) Entries(w http.ResponseWriter, _ *http.Request) {
	entries, _ := t.logs.since(0)
	web.Answer(w, http.StatusOK, web.Object{{"entries", entries}, {"size", terminalSize}})
}

// Subscribe answers PATCH /internal/logs/subscribe. It starts or stops sending
// new log entries to a connected client.
func (t *Terminal) Subscribe(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Enabled  web.Truth `json:"enabled"`
		ClientID string    `json:"clientId"`
	}
	if !web.ReadJSON(w, r, &req) {
		return
	}
	if only := web.Granted(r).Client; only != "" && only != req.ClientID {
		web.Fail(w, http.StatusForbidden, "this request may not subscribe for that client")
		return
	}
	t.set(req.ClientID, bool(req.Enabled) && t.present(req.ClientID))
	web.Done(w)
}

// terminalDelay is the time that a new entry waits for more entries. One event
// then carries several entries, so a program that logs much causes few events.
const terminalDelay = 50 * time.Millisecond

func (t *Terminal) set(client string, open bool) {
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

// written schedules a flush if a client has subscribed. The Log calls it after each
// Write.
func (t *Terminal) written() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer == nil && len(t.open) > 0 && !t.closed {
		t.flushes.Add(1)
		t.timer = time.AfterFunc(terminalDelay, t.flush)
	}
}

// Close lets no further flush begin and waits for a flush that runs.
func (t *Terminal) Close() {
	t.unfollow()
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
func (t *Terminal) flush() {
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
	to := slices.Sorted(maps.Keys(t.open))
	t.mu.Unlock()
	if len(entries) == 0 || len(to) == 0 {
		return
	}
	if err := t.sendTo(entries, to); err != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.closed = true // send fails only if the hub is closed
	}
}

// sendTo sends an event of type logs to these clients.
func (t *Terminal) sendTo(entries []logEntry, to []string) error {
	data, err := json.Marshal(struct {
		Entries []logEntry     `json:"entries"`
		Size    map[string]int `json:"size"` // null: the size has not changed
	}{Entries: entries})
	if err != nil {
		return err
	}
	return t.hub.SendSync(nodebus.Custom{Type: "logs", Data: json.RawMessage(data)}, to...)
}
