//go:build linux

package server

import (
	"context"
	"net"
	"net/http"
	"sync"

	"github.com/coder/websocket"
)

// coderPeer uses coder/websocket as its documentation shows: a goroutine and a channel
// for each client.
//
//	coder        writes each message at once with Conn.Write
//	coder-batch  collects frames in the connection while more messages wait
type coderPeer struct {
	appended
	queue   int
	batch   bool
	mu      sync.RWMutex
	clients map[chan []byte]struct{}
}

func newCoder(queue int, batch bool) *coderPeer {
	return &coderPeer{queue: queue, batch: batch, clients: map[chan []byte]struct{}{}}
}

func (p *coderPeer) Serve(ln net.Listener) error { return http.Serve(ln, http.HandlerFunc(p.handle)) }

func (p *coderPeer) handle(w http.ResponseWriter, r *http.Request) {
	var gather *gatherConn
	if p.batch {
		w = &gatherHijack{ResponseWriter: w}
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	if h, ok := w.(*gatherHijack); ok {
		gather = h.conn
	}
	gone := c.CloseRead(context.Background())
	ch := make(chan []byte, p.queue)
	p.mu.Lock()
	p.clients[ch] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.clients, ch)
	}()
	for {
		select {
		case <-gone.Done():
			return
		case msg := <-ch:
			if p.write(c, gather, ch, msg) != nil {
				return
			}
		}
	}
}

// write sends msg. In batch mode it also sends all messages that wait behind msg.
func (p *coderPeer) write(c *websocket.Conn, gather *gatherConn, ch chan []byte, msg []byte) error {
	ctx := context.Background()
	if gather == nil {
		return c.Write(ctx, websocket.MessageText, msg)
	}
	gather.hold()
	err := c.Write(ctx, websocket.MessageText, msg)
	for err == nil {
		select {
		case msg = <-ch:
			err = c.Write(ctx, websocket.MessageText, msg)
			continue
		default:
		}
		break
	}
	if err != nil {
		return err
	}
	return gather.release()
}

func (p *coderPeer) Broadcast(seq int64) {
	msg := message(seq)
	p.mu.RLock()
	defer p.mu.RUnlock()
	for ch := range p.clients {
		select {
		case ch <- msg:
		default: // the message is lost; wsload counts the messages that arrive
		}
	}
}

func (p *coderPeer) Clients() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.clients)
}
