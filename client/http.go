package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/jsonenc"
)

// callTime limits the time of an HTTP request with its answer, if ctx has no earlier end.
const callTime = time.Minute

// call is an HTTP request to a route of the server.
type call struct {
	what   string // what is requested, for the texts of errors, for example "the answer"
	method string // default: GET
	route  string // below the base URL; its elements are escaped
	query  url.Values
	body   any // is sent as JSON; nil: no body
}

// do makes a request and returns the body of its answer. An answer that refuses the request
// is a *RefusedError.
func (c *Client) do(ctx context.Context, r *call) ([]byte, error) {
	limited, cancel := context.WithTimeoutCause(ctx, callTime, errNoAnswer)
	defer cancel()
	res, err := c.send(limited, r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	limit := c.opts.ReadLimit
	if limit < 0 {
		limit = math.MaxInt64 - 1
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return nil, callError(limited, r, err)
	case int64(len(body)) > limit:
		return nil, fmt.Errorf("client: %s: the server's answer has more than %d bytes; raise Options.ReadLimit", r.what, limit)
	}
	return body, nil
}

var errNoAnswer = fmt.Errorf("the server has not answered within %v: %w", callTime, context.DeadlineExceeded)

// send sends a request and returns the answer, whose body the caller must close. An answer
// that refuses the request is a *RefusedError. A GET without an answer is sent once more.
func (c *Client) send(ctx context.Context, r *call) (*http.Response, error) {
	if r.method == "" {
		first, cancel := context.WithCancelCause(ctx)
		late := time.AfterFunc(repeatTime, func() { cancel(errRepeat) })
		res, err := c.sendOnce(first, r)
		inTime := late.Stop()
		if inTime && err == nil {
			res.Body = &fileBody{res.Body, cancel}
			return res, nil
		}
		cancel(nil)
		if inTime {
			return nil, err
		}
		if err == nil {
			_ = res.Body.Close()
		}
		c.opts.forgetIdle() // perhaps the line is dead, and others as well
	}
	return c.sendOnce(ctx, r)
}

// repeatTime is how long a GET waits for its answer before it is sent again. The first may
// have gone over a connection that is dead without a word.
const repeatTime = 5 * time.Second

var errRepeat = errors.New("client: no answer yet")

func (c *Client) sendOnce(ctx context.Context, r *call) (*http.Response, error) {
	req, err := c.newRequest(ctx, r)
	if err != nil {
		return nil, err
	}
	res, err := c.opts.web().Do(req)
	if err != nil {
		return nil, callError(ctx, r, err)
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, refused(r.what, res)
}

func (c *Client) newRequest(ctx context.Context, r *call) (*http.Request, error) {
	var data []byte
	if r.body != nil {
		err := nodebus.Protect(func() (err error) { // MarshalJSON is code of others
			data, err = json.Marshal(r.body)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("client: %s has no JSON form: %w", r.what, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.routeURL(r.route, r.query), bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("client: %s: %w", r.what, err)
	}
	for name, values := range c.opts.Header {
		req.Header[name] = values
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// callError returns the error of a request that has no answer. It leaves the URL out,
// because the query may hold a token.
func callError(ctx context.Context, r *call, err error) error {
	err = withoutURL(err)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return &lostError{fmt.Errorf("client: %s: %w", r.what, err)}
}

// lostError means that the answer to a request was lost, or the request: another may succeed.
type lostError struct{ error }

func (e *lostError) Unwrap() error { return e.error }

// isPassing reports whether a request may succeed when it is made again: its answer was
// lost, or a proxy does not reach the server, which may be about to start.
func isPassing(err error) bool {
	var refused *RefusedError
	if errors.As(err, &refused) {
		return refused.Status == http.StatusBadGateway || refused.Status == http.StatusServiceUnavailable || refused.Status == http.StatusGatewayTimeout
	}
	return errors.As(err, new(*lostError))
}

// unreached returns the error of a connection that has failed.
func unreached(address string, err error) error {
	if u, parseErr := url.Parse(address); parseErr == nil {
		u.User, u.RawQuery = nil, ""
		address = u.String()
	}
	return fmt.Errorf("client: no connection to %s: %w", address, withoutURL(err))
}

// withoutURL returns the reason in an error of a request.
func withoutURL(err error) error {
	var with *url.Error
	if errors.As(err, &with) {
		return with.Err
	}
	return err
}

// routeURL returns the URL of a route.
func (c *Client) routeURL(route string, query url.Values) string {
	u := c.route(route)
	if more := query.Encode(); u.RawQuery != "" && more != "" {
		u.RawQuery += "&" + more
	} else {
		u.RawQuery += more
	}
	return u.String()
}

// hasCursors reports whether the server sends cursors; ComfyUI does not.
func (c *Client) hasCursors() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cursors
}

// fetchJSON makes a request and reads the JSON of its answer into to.
func (c *Client) fetchJSON(ctx context.Context, r *call, to any) error {
	body, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	return decodeAnswer(r, body, to)
}

// decodeAnswer reads the JSON of an answer. Python writes NaN and infinities, which arrive as
// null.
func decodeAnswer(r *call, body []byte, to any) error {
	if err := json.Unmarshal(jsonenc.Nulls(body), to); err != nil {
		return notJSON(r, body, err)
	}
	return nil
}

// notJSON returns the error of an answer that is not the JSON that it should be, for
// example because a proxy has sent a page.
func notJSON(r *call, body []byte, err error) error {
	const shown = 100
	text := strings.TrimSpace(strings.ToValidUTF8(string(body[:min(len(body), shown)]), "\ufffd"))
	return fmt.Errorf("client: %s: the server's answer is not the expected JSON: %w; it begins with %q", r.what, err, text)
}
