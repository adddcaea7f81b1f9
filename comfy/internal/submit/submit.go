// Package submit accepts prompts: it reads the body of a submission, gives it a number, and
// tells the client why a prompt is refused.
package submit

import (
	"log/slog"

	"github.com/nodebus/nodebus/flow"
)

// Submitter serves the routes of submissions. Its fields must not change once it serves.
type Submitter struct {
	Engine    *flow.Engine
	Logger    *slog.Logger
	MaxPrompt int // bytes of a prompt after decoding
	MaxNodes  int // of the graph of a prompt

	// HeadStart closes ready when the prompt of a client may begin. The answer to the
	// submission is written before.
	HeadStart func(client string, ready chan struct{})

	numbers numbers
}
