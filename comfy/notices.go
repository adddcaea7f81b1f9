package comfy

import (
	"log/slog"
	"sync"
)

// noticesMax is how many different texts notices logs at most: a stranger chooses them.
const noticesMax = 100

// notices logs why requests are refused that a reverse proxy may have changed, each reason
// once. People see only a page that stays empty, so the log is the place to look. It is safe
// for concurrent use.
type notices struct {
	mu     sync.Mutex
	logged map[string]bool
}

// warn logs a refusal.
func (n *notices) warn(log *slog.Logger, path, reason string) {
	n.mu.Lock()
	again := n.logged[reason] || len(n.logged) >= noticesMax
	if !again {
		if n.logged == nil {
			n.logged = map[string]bool{}
		}
		n.logged[reason] = true
	}
	n.mu.Unlock()
	if !again {
		log.Warn("request refused", "path", path, "reason", reason)
	}
}
