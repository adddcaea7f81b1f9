package comfy

import "github.com/nodebus/nodebus/comfy/internal/terminal"

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
type Logs struct{ log terminal.Log }

// NewLogs returns empty Logs.
func NewLogs() *Logs { return &Logs{} }

// Write keeps a copy of p. It never returns an error, and it does not wait for
// clients. It is safe for concurrent use.
func (l *Logs) Write(p []byte) (int, error) { return l.log.Write(p) }

// shown returns the log of l, or nil without Logs.
func (l *Logs) shown() *terminal.Log {
	if l == nil {
		return nil
	}
	return &l.log
}
