//go:build linux

package server

import (
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/coder/websocket"
)

// shardPeer is the first sketch of nodebus. The publisher passes a finished frame to one
// worker for each processor. A worker joins the waiting frames into one buffer, once, and
// tries to write this buffer to each of its clients without blocking. A client has a
// backlog only while its socket is full; only then does it have a goroutine.
type shardPeer struct {
	appended
	queue  int
	shards []*frameShard
	next   atomic.Uint32
	n      atomic.Int64
}

func newShards(queue int) *shardPeer {
	p := &shardPeer{queue: queue}
	for range runtime.GOMAXPROCS(0) {
		s := &frameShard{wake: make(chan struct{}, 1), clients: map[*shardClient]bool{}}
		p.shards = append(p.shards, s)
		go s.run()
	}
	return p
}

type frameShard struct {
	mu     sync.Mutex
	queue  [][]byte
	active bool
	wake   chan struct{}
	count  atomic.Int64

	reg     sync.Mutex
	clients map[*shardClient]bool
	list    []*shardClient // nil after a change
}

type shardClient struct {
	conn  *tryConn
	limit int
}

func (p *shardPeer) Serve(ln net.Listener) error { return http.Serve(ln, http.HandlerFunc(p.handle)) }

func (p *shardPeer) handle(w http.ResponseWriter, r *http.Request) {
	h := &tryHijack{ResponseWriter: w}
	c, err := websocket.Accept(h, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return
	}
	s := p.shards[int(p.next.Add(1))%len(p.shards)]
	cl := &shardClient{conn: h.conn, limit: p.queue * 192}
	s.reg.Lock()
	s.clients[cl] = true
	s.list = nil
	s.reg.Unlock()
	s.count.Add(1)
	p.n.Add(1)
	go func() { // in a new goroutine, so that net/http can free the request
		skipAll(c)
		s.reg.Lock()
		delete(s.clients, cl)
		s.list = nil
		s.reg.Unlock()
		s.count.Add(-1)
		p.n.Add(-1)
		cl.conn.shut()
		_ = c.CloseNow()
	}()
}

func (p *shardPeer) Clients() int { return int(p.n.Load()) }

func (p *shardPeer) Broadcast(seq int64) {
	f := frame(message(seq))
	for _, s := range p.shards {
		if s.count.Load() > 0 {
			s.post(f)
		}
	}
}

func (s *frameShard) post(f []byte) {
	s.mu.Lock()
	s.queue = append(s.queue, f)
	start := !s.active
	s.active = true
	s.mu.Unlock()
	if start {
		s.wake <- struct{}{}
	}
}

func (s *frameShard) run() {
	var spare [][]byte
	buf := make([]byte, 0, batchMax)
	for range s.wake {
		for {
			s.mu.Lock()
			if len(s.queue) == 0 {
				s.active = false
				s.mu.Unlock()
				break
			}
			batch := s.queue
			s.queue = spare[:0]
			s.mu.Unlock()
			buf = s.deliver(batch, buf[:0])
			clear(batch)
			spare = batch
		}
	}
}

func (s *frameShard) deliver(batch [][]byte, buf []byte) []byte {
	list := s.members()
	if len(batch) == 1 {
		send(list, batch[0])
		return buf
	}
	for _, f := range batch {
		if len(buf)+len(f) > batchMax && len(buf) > 0 {
			send(list, buf)
			buf = buf[:0]
		}
		buf = append(buf, f...)
	}
	send(list, buf)
	return buf
}

func (s *frameShard) members() []*shardClient {
	s.reg.Lock()
	defer s.reg.Unlock()
	if s.list == nil {
		for c := range s.clients {
			s.list = append(s.list, c)
		}
	}
	return s.list
}

func send(list []*shardClient, b []byte) {
	for _, c := range list {
		c.conn.send(b, c.limit)
	}
}
