//go:build linux

package server

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net"
	"net/textproto"
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
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go p.accept(c)
	}
}

func (p *rawPeer) accept(c net.Conn) {
	if err := upgrade(c); err != nil {
		_ = c.Close()
		return
	}
	if p.shards == nil {
		pump := &rawPump{p: p, c: c, at: p.head.Load(), wake: make(chan struct{}, 1)}
		p.mu.Lock()
		p.pumps = append(p.pumps, pump)
		p.mu.Unlock()
		p.n.Add(1)
		pump.run()
		return
	}
	cl, err := newRawClient(c, p.head.Load())
	if err != nil {
		_ = c.Close()
		return
	}
	p.mu.Lock()
	s := p.shards[p.next%len(p.shards)]
	p.next++
	p.mu.Unlock()
	s.mu.Lock()
	s.clients = append(s.clients, cl)
	s.mu.Unlock()
	p.n.Add(1)
}

// upgrade reads the handshake request and answers it.
func upgrade(c net.Conn) error {
	r := textproto.NewReader(bufio.NewReaderSize(c, 1024))
	if _, err := r.ReadLine(); err != nil {
		return err
	}
	header, err := r.ReadMIMEHeader()
	if err != nil {
		return err
	}
	key := strings.TrimSpace(header.Get("Sec-Websocket-Key"))
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, err = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
	return err
}

func (p *rawPeer) Broadcast(seq int64) {
	f := frame(message(seq))
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
