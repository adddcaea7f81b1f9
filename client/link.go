package client

import (
	"context"
	"io"
	"mime"
	"net/http"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
)

// link is an open connection to the server. One goroutine at a time calls read; all other
// methods are safe for concurrent use.
type link interface {
	// read waits for the next frame. It ends with an error when the link breaks, also by
	// close.
	read() (nodebus.Frame, error)
	// send sends a message. It returns errors.ErrUnsupported if the link has one direction.
	send(ctx context.Context, data []byte) error
	// close ends the link. It tells the server so if orderly is true.
	close(orderly bool) error
}

// socket is a link over a WebSocket.
type socket struct {
	conn  *websocket.Conn
	alive *alive
}

// dialSocket connects to a WebSocket.
func dialSocket(ctx context.Context, address string, opts *Options) (link, error) {
	conn, res, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPClient: opts.unlimited(), HTTPHeader: opts.Header})
	if err != nil {
		if res != nil && res.StatusCode != http.StatusSwitchingProtocols && res.StatusCode < 500 {
			return nil, &RefusedError{Status: res.StatusCode, Text: noSocket(res), Err: withoutURL(err)}
		}
		return nil, unreached(address, err)
	}
	conn.SetReadLimit(opts.ReadLimit)
	s := &socket{conn: conn}
	s.alive = watchOver(opts.PingInterval, conn.Ping, func() {
		opts.forgetIdle()
		_ = conn.CloseNow()
	})
	return s, nil
}

// noSocket returns why a server has accepted no WebSocket. A page for people does not say it.
func noSocket(res *http.Response) string {
	typ, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if res.StatusCode/100 == 2 || typ == "text/html" {
		return "there is no WebSocket at this address; check the path (…/ws), or set Options.SSE for a stream of events"
	}
	return refusal(res.Body)
}

func (s *socket) read() (f nodebus.Frame, err error) {
	s.alive.begin()
	defer s.alive.end()
	typ, r, err := s.conn.Reader(context.Background()) // close ends it
	if err == nil {
		f.Binary = typ == websocket.MessageBinary
		f.Data, err = io.ReadAll(s.alive.reader(r))
	}
	if err != nil {
		return f, s.alive.reason(err)
	}
	return f, nil
}

func (s *socket) send(ctx context.Context, data []byte) error {
	return s.conn.Write(ctx, websocket.MessageText, data)
}

func (s *socket) close(orderly bool) error {
	s.alive.stop()
	if orderly {
		return s.conn.Close(websocket.StatusNormalClosure, "")
	}
	return s.conn.CloseNow()
}
