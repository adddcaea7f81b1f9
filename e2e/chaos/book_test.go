//go:build e2e

package chaos_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/nodebus/nodebus"
)

// book is where a client writes down events.
type book struct {
	name, client string

	mu      sync.Mutex
	notes   []note
	closed  map[string]chan struct{} // by prompt; closed when the client has the closing event
	connect int                      // connections
	greeted chan struct{}            // closed by the first
}

func newBook(name, client string) *book {
	return &book{name: name, client: client, closed: map[string]chan struct{}{}, greeted: make(chan struct{})}
}

func (b *book) add(n note) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notes = append(b.notes, n)
	if n.Type == typeHello {
		if b.connect++; b.connect == 1 {
			close(b.greeted)
		}
	}
	if n.Type == typeClosed {
		select {
		case <-b.end(n.Prompt):
		default:
			close(b.end(n.Prompt))
		}
	}
}

// end returns the channel of a prompt. mu is held.
func (b *book) end(prompt string) chan struct{} {
	c := b.closed[prompt]
	if c == nil {
		c = make(chan struct{})
		b.closed[prompt] = c
	}
	return c
}

// hasEnded returns a channel that is closed when the client has the closing event of a
// prompt.
func (b *book) hasEnded(prompt string) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.end(prompt)
}

func (b *book) follower() follower {
	b.mu.Lock()
	defer b.mu.Unlock()
	return follower{b.name, b.client, append([]note(nil), b.notes...)}
}

// about returns what the client has written down about a prompt, and the gaps.
func (b *book) about(prompt string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var text strings.Builder
	for _, n := range b.notes {
		if n.Prompt == prompt || text.Len() > 0 && n.Type == typeGap {
			fmt.Fprintf(&text, "%s %s attempt %d", n.Cursor, n.Type, n.Attempt)
			if n.Node != "" {
				fmt.Fprintf(&text, " %s %d/%d", n.Node, n.N, n.Of)
			}
			text.WriteString("\n")
		}
	}
	return text.String()
}

// connections returns how often the client has connected.
func (b *book) connections() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.connect
}

// frame is an event as it is on the wire.
type frame struct {
	Type    string          `json:"type"`
	Data    json.RawMessage `json:"data"`
	Cursor  string          `json:"cursor"`
	Prompt  string          `json:"prompt_id"`
	Attempt int             `json:"attempt"`
}

// body has what the checker needs of the data of an event.
type body struct {
	Numbered
	SID       string `json:"sid"`
	Exception string `json:"exception_type"`
}

// Numbered is the data of the events of the nodes; see the program.
type Numbered struct {
	Node    string `json:"node"`
	Attempt int    `json:"attempt"`
	N       int    `json:"n"`
	Of      int    `json:"of"`
}

// note returns what a client writes down about an event.
func (f *frame) note() (note, error) {
	n := note{Type: f.Type, Prompt: f.Prompt}
	var err error
	if f.Cursor != "" {
		n.Cursor, err = nodebus.ParseCursor(f.Cursor)
	}
	if n.Prompt != "" {
		n.Attempt = max(f.Attempt, 1)
	}
	var b body
	_ = json.Unmarshal(f.Data, &b) // other types have other data
	switch f.Type {
	case typeStart:
		n.Said = max(b.Attempt, 1)
	case typeCached:
		var cached struct{ Nodes []string }
		err = cmp.Or(err, json.Unmarshal(f.Data, &cached))
		n.Cached = cached.Nodes
	case typeNumbered:
		n.Node, n.N, n.Of = b.Node, b.N, b.Of
		if b.Attempt != n.Attempt {
			n.Type = "an event with the number of another attempt"
		}
	case "executing":
		if b.Node == "" {
			n.Type = typeClosed
		}
	case "execution_error":
		if b.Exception == nodebus.ExecutionBlocked {
			n.Type = "blocked"
		}
	case "nodebus.watching": // the answer to a request of the client itself
		n.Prompt, n.Attempt = "", 0
	case "status":
		if b.SID != "" {
			n.Type = typeHello
		}
	}
	return n, err
}
