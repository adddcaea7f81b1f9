package sse

import (
	"net/http"

	"github.com/nodebus/nodebus"
)

// AppendBlock is appendBlock.
var AppendBlock = appendBlock

// Transport is the transport of a Handler, without a session.
type Transport interface {
	nodebus.TryWriter
	// Wait waits until the transport is closed.
	Wait()
}

// Connect begins the response to a client. The handler must call Wait and return.
func Connect(w http.ResponseWriter, r *http.Request, h *Handler) (Transport, error) {
	c, err := newConn(w, r, h)
	if err != nil {
		return nil, err
	}
	setHeaders(w.Header())
	if d := takeOver(c, r); d != nil {
		d.begin(func(error) {}, w.Header())
		return &directTransport{d, make(chan struct{})}, nil
	}
	c.begin(func(error) {})
	return &connTransport{c, make(chan struct{})}, nil
}

type connTransport struct {
	*conn
	ended chan struct{}
}

func (t *connTransport) Close(cause error) error {
	defer close(t.ended)
	return t.conn.Close(cause)
}

func (t *connTransport) Wait() {
	<-t.ended
	t.finish()
}

type directTransport struct {
	*direct
	ended chan struct{}
}

func (t *directTransport) Close(cause error) error {
	defer close(t.ended)
	return t.direct.Close(cause)
}

func (t *directTransport) Wait() {
	<-t.ended
	t.finish()
}
