package client

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/nodebus/nodebus"
)

// File opens a file that a node has shown, see [nodebus.UI.Files]. The caller must close
// it. ctx limits the reading, too, and so does a Timeout of Options.HTTPClient. A file that
// does not exist, or that the client may not have, is a [*RefusedError].
func (c *Client) File(ctx context.Context, f nodebus.File) (io.ReadCloser, error) {
	query := url.Values{"filename": {f.Filename}, "subfolder": {f.Subfolder}}
	if f.Type != "" {
		query.Set("type", f.Type)
	}
	r := &call{what: fmt.Sprintf("the file %q", f.Filename), route: "view", query: query}
	ctx, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(callTime, func() { cancel(errNoAnswer) })
	res, err := c.send(ctx, r)
	if err == nil && !late.Stop() {
		_ = res.Body.Close()
		err = callError(ctx, r, errNoAnswer)
	}
	if err != nil {
		late.Stop()
		cancel(nil)
		return nil, err
	}
	return &fileBody{res.Body, cancel}, nil
}

// fileBody is the content of a file.
type fileBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *fileBody) Close() error {
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}
