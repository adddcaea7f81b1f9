// Package runs shows one run: its state, and the stream of its events. It also accepts a
// prompt and answers with the end of its run.
package runs

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/sse"
)

// Runs serves the routes of runs. Its fields must not change once it serves.
type Runs struct {
	Engine     *flow.Engine
	Hub        *nodebus.Hub
	Streams    *sse.Handler
	Logger     *slog.Logger
	Authorized bool // the host program checks requests

	// Accept adds the prompt in the body of a request to the queue. The prompt begins when
	// ready is closed. If ok is false, Accept has already answered.
	Accept func(w http.ResponseWriter, r *http.Request, body []byte, ready <-chan struct{}) (sub *flow.Submission, ok bool)
	// HeadStart closes ready when the prompt of a client may begin.
	HeadStart func(client string, ready chan struct{})

	// Enter counts a handler that follows a run for a client, or for nobody in particular. An
	// error is for the client, with the status of the answer: the server is closed, or too
	// many follow a run. The handler must end soon after Closed ends, and then call Leave.
	Enter  func(client string) (status int, err error)
	Leave  func(client string)
	Closed context.Context
}
