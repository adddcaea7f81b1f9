package ws_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/ws"
)

// socket is a client of the suite.
type socket struct{ c *websocket.Conn }

func dialSocket(ctx context.Context, d conform.Dial) (conform.Reader, error) {
	q := url.Values{"clientId": {d.Client}}
	if d.Cursors {
		q.Set("since", d.Since)
	}
	c, _, err := websocket.Dial(ctx, "ws://"+d.Addr+"/ws?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(-1)
	return socket{c}, nil
}

func (s socket) Next() (nodebus.Event, error) {
	typ, data, err := s.c.Read(context.Background())
	if err != nil {
		return nodebus.Event{}, err
	}
	return nodebus.JSON.Decode(nodebus.Frame{Binary: typ == websocket.MessageBinary, Data: data})
}

func (s socket) Send(data []byte) error {
	return s.c.Write(context.Background(), websocket.MessageText, data)
}

func (s socket) Close() error { return s.c.Close(websocket.StatusNormalClosure, "") }

func TestConformServer(t *testing.T) {
	conform.Server(t, conform.HTTP(func(s conform.Site) http.Handler {
		return ws.New(s.Hub, &ws.Options{Receive: func(_ *nodebus.Session, data []byte, _ bool) {
			if s.Receive != nil {
				s.Receive(data)
			}
		}})
	}), dialSocket, &conform.ServerClaims{Stock: true, Binary: true, Receives: true})
}
