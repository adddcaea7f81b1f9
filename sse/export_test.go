package sse

import (
	"net/http"

	"github.com/nodebus/nodebus"
)

// AppendBlock is appendBlock.
var AppendBlock = appendBlock

// Transport is the transport of a Handler, without a session.
type Transport struct {
	*conn
	ended chan struct{}
}

var _ nodebus.TryWriter = (*Transport)(nil)

// Connect begins the response to a client. The handler must call Wait and return.
func Connect(w http.ResponseWriter, r *http.Request, h *Handler) (*Transport, error) {
	c, err := newConn(w, r, h)
	if err != nil {
		return nil, err
	}
	c.begin(func(error) {})
	return &Transport{c, make(chan struct{})}, nil
}

// Close closes the transport.
func (t *Transport) Close(cause error) error {
	defer close(t.ended)
	return t.conn.Close(cause)
}

// Wait waits until the transport is closed.
func (t *Transport) Wait() {
	<-t.ended
	t.finish()
}
