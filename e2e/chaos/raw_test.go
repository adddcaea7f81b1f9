//go:build e2e

package chaos_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
)

// pause is the time between two attempts of a client to connect or to submit. Nothing
// depends on it.
const pause = 100 * time.Millisecond

// raw is a client that knows only the protocol: it reads a stream, and comes back with the
// cursor of the last event. Unlike package client, it leaves out nothing that comes twice.
type raw struct {
	*book
	address string // host and port
	sse     bool
	web     *http.Client
	last    string // the cursor
}

// run reads until ctx ends.
func (c *raw) run(ctx context.Context) error {
	for ctx.Err() == nil {
		read := c.readSocket
		if c.sse {
			read = c.readStream
		}
		if err := read(ctx); err != nil {
			return err
		}
		wait(ctx, pause)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// query returns the query of a connection.
func (c *raw) query() string { return url.Values{"clientId": {c.client}, "since": {c.last}}.Encode() }

// take writes down an event. An error means that it cannot be read.
func (c *raw) take(data []byte) error {
	var f frame
	err := json.Unmarshal(data, &f)
	if err != nil {
		return fmt.Errorf("%s: %w: %s", c.name, err, data)
	}
	n, err := f.note()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", c.name, err, data)
	}
	if f.Cursor != "" {
		c.last = f.Cursor
	}
	c.add(n)
	return nil
}

func (c *raw) readSocket(ctx context.Context) error {
	socket, _, err := websocket.Dial(ctx, "ws://"+c.address+"/ws?"+c.query(), &websocket.DialOptions{HTTPClient: c.web})
	if err != nil {
		return nil // the next attempt may succeed
	}
	defer func() { _ = socket.CloseNow() }()
	socket.SetReadLimit(-1)
	for {
		kind, data, err := socket.Read(ctx)
		if err != nil {
			return nil
		}
		if kind != websocket.MessageText {
			continue
		}
		if err := c.take(data); err != nil {
			return err
		}
	}
}

func (c *raw) readStream(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.address+"/events?"+c.query(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Last-Event-ID", c.last)
	res, err := c.web.Do(req)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	data := ""
	for {
		text, err := lines.ReadString('\n')
		if err != nil {
			return nil // an event without its empty line does not count
		}
		switch part, found := strings.CutPrefix(text, "data: "); {
		case found:
			data += strings.TrimSuffix(part, "\n")
		case text == "\n" && data != "":
			if err := c.take([]byte(data)); err != nil {
				return err
			}
			data = ""
		}
	}
}

// noteOf returns what a client of package client writes down.
func noteOf(ev nodebus.Event) (note, error) {
	wire, err := nodebus.JSONCodec{Envelope: true}.Encode(ev)
	if err != nil || wire.Binary {
		return note{Type: "binary"}, err
	}
	var f frame
	if err := json.Unmarshal(wire.Data, &f); err != nil {
		return note{}, err
	}
	return f.note()
}
