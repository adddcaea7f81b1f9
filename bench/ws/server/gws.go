//go:build linux

package server

import (
	"net"
	"net/http"
	"sync"

	"github.com/lxzan/gws"
)

// gwsPeer uses lxzan/gws with its Broadcaster.
type gwsPeer struct {
	appended
	gws.BuiltinEventHandler
	mu    sync.RWMutex
	conns map[*gws.Conn]struct{}
}

func newGWS() *gwsPeer { return &gwsPeer{conns: map[*gws.Conn]struct{}{}} }

// OnOpen stores a new connection. The library calls OnOpen, OnClose and OnPing.
func (p *gwsPeer) OnOpen(c *gws.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = struct{}{}
}

func (p *gwsPeer) OnClose(c *gws.Conn, _ error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// OnPing sends a pong, because the library does not do this itself.
func (p *gwsPeer) OnPing(c *gws.Conn, payload []byte) { _ = c.WritePong(payload) }

func (p *gwsPeer) Serve(ln net.Listener) error {
	up := gws.NewUpgrader(p, &gws.ServerOption{})
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r)
		if err != nil {
			return
		}
		go c.ReadLoop() // as the documentation advises: net/http can free the request
	}))
}

func (p *gwsPeer) Broadcast(seq int64) {
	b := gws.NewBroadcaster(gws.OpcodeText, message(seq))
	p.mu.RLock()
	defer p.mu.RUnlock()
	for c := range p.conns {
		_ = b.Broadcast(c) // the reader of the client notices a closed connection
	}
	_ = b.Close()
}

func (p *gwsPeer) Clients() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.conns)
}
