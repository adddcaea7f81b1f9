// Package jobs shows and changes what waits, runs and has ended: the queue, the history, the
// list of jobs, interrupts, the order of the queue, and the answers to questions of nodes.
package jobs

import (
	"log/slog"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Jobs serves the routes of jobs. Its fields must not change once it serves.
type Jobs struct {
	Engine      *flow.Engine
	Hub         *nodebus.Hub
	Logger      *slog.Logger
	Authorized  bool // the host program checks requests: client ids are hidden from others
	TellRemoved bool // the client of a deleted prompt receives the events of an interruption
}
