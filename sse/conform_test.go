package sse_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/sse"
)

// streamClient is a client of the suite.
type streamClient struct {
	*reader
	cancel func()
}

func dialStream(ctx context.Context, d conform.Dial) (conform.Reader, error) {
	alive, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	address := "http://" + d.Addr + "/?" + url.Values{"clientId": {d.Client}, "since": {d.Since}}.Encode()
	req, err := http.NewRequestWithContext(alive, http.MethodGet, address, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req) //nolint:bodyclose // streamClient.Close closes it
	if err == nil && res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		err = fmt.Errorf("status %s", res.Status)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return streamClient{newReader(res.Body), func() {
		cancel()
		_ = res.Body.Close()
	}}, nil
}

func (c streamClient) Next() (nodebus.Event, error) {
	data, err := c.block()
	if err != nil {
		return nodebus.Event{}, err
	}
	ev, err := nodebus.JSON.Decode(nodebus.Frame{Data: []byte(data)})
	if err != nil { // the text form of a binary event
		var w struct{ Type, Cursor string }
		if err := json.Unmarshal([]byte(data), &w); err != nil {
			return ev, err
		}
		at, err := nodebus.ParseCursor(w.Cursor)
		return nodebus.Event{ID: at.ID, Epoch: at.Epoch, Payload: nodebus.Custom{Type: w.Type}}, err
	}
	return ev, nil
}

func (streamClient) Send([]byte) error { return http.ErrNotSupported }

func (c streamClient) Close() error {
	c.cancel()
	return nil
}

func TestConformServer(t *testing.T) {
	conform.Server(t, conform.HTTP(func(s conform.Site) http.Handler { return sse.New(s.Hub, nil) }), dialStream, nil)
}
