package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/nodebus/nodebus/fold"
)

// State returns the state of a prompt: its nodes, their progress and outputs, the open
// questions, and how it ended. The prompt may wait, run, or have ended. Apply later events
// to the state to keep it up to date; Watch, or Follow for a prompt of this client, gives
// them. The error is [ErrNotFound] if the server does not know the prompt, or does not let
// the client watch it. ComfyUI has no such route.
func (c *Client) State(ctx context.Context, promptID string) (*fold.Run, error) {
	id, err := idElement(promptID)
	if err != nil {
		return nil, err
	}
	run := new(fold.Run)
	err = c.fetchJSON(ctx, &call{
		what: "the state of prompt " + promptID, route: "nodebus/runs/" + id,
		query: url.Values{"clientId": {c.ID()}}, // a grant may leave it to the request which client it is
	}, run)
	if refused := (*RefusedError)(nil); errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return nil, because(ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	return run, nil
}
