//go:build linux

package server

import (
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
)

// rawPeer is the limit: it uses no WebSocket library. It appends each frame once to a log
// of bytes that all clients share. A client gets all new bytes of the log in one write.
//
//	raw-shard  one worker for each processor, no goroutine per client, reads nothing
//	raw-pump   one waiting goroutine per client, which writes
type rawPeer struct {
	appended
	log    []byte // a ring buffer; the window of wsload keeps all clients within it
	head   atomic.Int64
	n      atomic.Int64
	shards []*rawShard // only for raw-shard

	mu    sync.RWMutex
	next  int
	pumps []*rawPump // only for raw-pump
}

const logSize = 64 << 20

func newRaw(pump bool) *rawPeer {
	p := &rawPeer{log: make([]byte, logSize)}
	if pump {
		return p
	}
	for range runtime.GOMAXPROCS(0) {
		s := &rawShard{p: p, wake: make(chan struct{}, 1)}
		p.shards = append(p.shards, s)
		go s.run()
	}
	return p
}

func (p *rawPeer) Serve(ln net.Listener) error {
	return acceptAll(ln, func(c net.Conn) error {
		if _, err := upgrade(c); err != nil {
			return err
		}
		return p.join(c, p.head.Load())
	})
}

// join sends the log from at on to a client.
func (p *rawPeer) join(c net.Conn, at int64) error {
	if p.shards == nil {
		pump := &rawPump{p: p, c: c, at: at, wake: make(chan struct{}, 1)}
		p.mu.Lock()
		p.pumps = append(p.pumps, pump)
		p.mu.Unlock()
		p.n.Add(1)
		pump.run()
		return nil
	}
	cl, err := newRawClient(c, at)
	if err != nil {
		return err
	}
	p.mu.Lock()
	s := p.shards[p.next%len(p.shards)]
	p.next++
	p.mu.Unlock()
	s.mu.Lock()
	s.clients = append(s.clients, cl)
	s.mu.Unlock()
	p.n.Add(1)
	wake(s.wake)
	return nil
}

// upgrade reads the handshake request and answers it. It returns the first line of the
// request.
func upgrade(c net.Conn) (request string, err error) {
	request, header, err := readRequest(c)
	if err != nil {
		return "", err
	}
	key := strings.TrimSpace(header.Get("Sec-Websocket-Key"))
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, err = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
	return request, err
}

func (p *rawPeer) Broadcast(seq int64) { p.append(frame(message(seq))) }

// append appends f to the log and wakes the workers.
func (p *rawPeer) append(f []byte) {
	h := p.head.Load()
	n := copy(p.log[h%logSize:], f)
	copy(p.log, f[n:])
	p.head.Store(h + int64(len(f)))
	for _, s := range p.shards {
		wake(s.wake)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, pump := range p.pumps {
		wake(pump.wake)
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (p *rawPeer) Clients() int { return int(p.n.Load()) }

// chunk returns the bytes of the log from at to head, but not beyond the end of the ring.
func (p *rawPeer) chunk(at, head int64) []byte {
	off := at % logSize
	return p.log[off:min(off+(head-at), logSize)]
}

type rawPump struct {
	p    *rawPeer
	c    net.Conn
	at   int64
	wake chan struct{}
}

func (w *rawPump) run() {
	for range w.wake {
		for head := w.p.head.Load(); w.at != head; head = w.p.head.Load() {
			n, err := w.c.Write(w.p.chunk(w.at, head))
			w.at += int64(n)
			if err != nil {
				w.p.n.Add(-1)
				return
			}
		}
	}
}
