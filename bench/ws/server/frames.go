//go:build linux

package server

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// framesPeer encodes each event once as a frame for all clients. coder/websocket does
// the handshake, the reading and the control frames. Each client has a queue of frames.
// While the queue is not empty, a goroutine joins the waiting frames into one write.
type framesPeer struct {
	appended
	queue   int
	mu      sync.RWMutex
	clients []*frameClient // replaced by a new slice at each change
}

func newFrames(queue int) *framesPeer { return &framesPeer{queue: queue} }

type frameClient struct {
	p       *framesPeer
	conn    *gatherConn
	mu      sync.Mutex
	queue   [][]byte
	spare   [][]byte
	running bool
	closed  bool
}

// frame returns msg as a final, unmasked text frame.
func frame(msg []byte) []byte {
	b := make([]byte, 0, len(msg)+10)
	switch n := len(msg); {
	case n < 126:
		b = append(b, 0x81, byte(n))
	case n < 1<<16:
		b = append(b, 0x81, 126)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b = append(b, 0x81, 127)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return append(b, msg...)
}

func (p *framesPeer) Serve(ln net.Listener) error { return http.Serve(ln, http.HandlerFunc(p.handle)) }

func (p *framesPeer) handle(w http.ResponseWriter, r *http.Request) {
	h := &gatherHijack{ResponseWriter: w}
	c, err := websocket.Accept(h, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return
	}
	fc := &frameClient{p: p, conn: h.conn}
	p.mu.Lock()
	p.clients = append(slices.Clone(p.clients), fc)
	p.mu.Unlock()
	go fc.read(c) // in a new goroutine, so that net/http can free the request
}

func (fc *frameClient) read(c *websocket.Conn) {
	skipAll(c)
	fc.p.mu.Lock()
	fc.p.clients = slices.DeleteFunc(slices.Clone(fc.p.clients), func(o *frameClient) bool { return o == fc })
	fc.p.mu.Unlock()
	fc.mu.Lock()
	fc.closed = true
	fc.mu.Unlock()
	_ = c.CloseNow()
}

// skipAll reads until the client has closed the connection.
func skipAll(c *websocket.Conn) {
	for {
		if _, _, err := c.Reader(context.Background()); err != nil {
			return
		}
	}
}

func (p *framesPeer) list() []*frameClient {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.clients
}

func (p *framesPeer) Broadcast(seq int64) {
	f := frame(message(seq))
	for _, fc := range p.list() {
		fc.push(f)
	}
}

func (p *framesPeer) Clients() int { return len(p.list()) }

func (fc *frameClient) push(f []byte) {
	fc.mu.Lock()
	defer fc.mu.Unlock()
	if fc.closed || len(fc.queue) >= fc.p.queue {
		return // the message is lost; wsload counts the messages that arrive
	}
	fc.queue = append(fc.queue, f)
	if !fc.running {
		fc.running = true
		go fc.drain()
	}
}

// drain writes frames until the queue is empty or the client is closed.
func (fc *frameClient) drain() {
	for {
		fc.mu.Lock()
		if len(fc.queue) == 0 || fc.closed {
			fc.running = false
			fc.mu.Unlock()
			return
		}
		batch := fc.queue
		fc.queue, fc.spare = fc.spare[:0], nil
		fc.mu.Unlock()
		err := fc.write(batch)
		clear(batch)
		fc.mu.Lock()
		if cap(batch) <= 64 {
			fc.spare = batch[:0]
		}
		fc.closed = fc.closed || err != nil
		fc.mu.Unlock()
	}
}

func (fc *frameClient) write(batch [][]byte) (err error) {
	if err := fc.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if len(batch) == 1 {
		_, err = fc.conn.Write(batch[0])
		return err
	}
	borrowed := batchPool.Get().(*[]byte)
	defer batchPool.Put(borrowed)
	b := (*borrowed)[:0]
	for _, f := range batch {
		if len(b)+len(f) > batchMax && len(b) > 0 {
			if _, err = fc.conn.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
		b = append(b, f...)
	}
	_, err = fc.conn.Write(b)
	*borrowed = b[:0]
	return err
}
