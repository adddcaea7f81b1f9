package client

import (
	"cmp"
	"context"
	"errors"
	"net/http"
)

// Delete deletes waiting prompts from the queue. It does not end prompts that run, see
// [Client.Interrupt], and ignores ids that the server does not know. Without ids, it does
// nothing. Deleted prompts have no record; [Client.Wait] ends with [ErrNotFound].
func (c *Client) Delete(ctx context.Context, promptIDs ...string) error {
	if len(promptIDs) == 0 {
		return nil
	}
	_, err := c.do(ctx, &call{
		what: "the deletion", method: http.MethodPost, route: "queue", body: map[string]any{"delete": promptIDs},
	})
	return err
}

// Interrupt ends a prompt that runs or waits. It returns as soon as the server knows it; the
// prompt ends later, and [Client.Wait] tells how. It ignores a prompt that has ended, and a
// prompt that the client may not interrupt. ComfyUI keeps no record of a prompt that has
// waited: Wait then ends with [ErrNotFound]. The error tells why the interrupt failed;
// ComfyUI may refuse to delete a waiting prompt, which is a second request, without an error.
func (c *Client) Interrupt(ctx context.Context, promptID string) error {
	if promptID == "" { // the server would interrupt what runs
		return errors.New("client: the interrupt names no prompt")
	}
	var kept error // why the prompt perhaps still waits
	if !c.hasCursors() {
		// An interrupt of ComfyUI ignores waiting prompts, and does not say so. The deletion
		// comes first, because a prompt may begin in between.
		kept = c.Delete(ctx, promptID)
	}
	_, err := c.do(ctx, &call{
		what: "the interrupt", method: http.MethodPost, route: "interrupt", body: map[string]any{"prompt_id": promptID},
	})
	if errors.As(kept, new(*RefusedError)) { // the server lets nobody delete
		kept = nil
	}
	return cmp.Or(err, kept)
}
