//go:build linux

package server

import (
	"net"
	"net/http"

	"github.com/olahol/melody"
)

// melodyPeer uses olahol/melody, which adds a hub to gorilla/websocket.
type melodyPeer struct {
	appended
	m *melody.Melody
}

func newMelody(queue int) *melodyPeer {
	m := melody.New()
	m.Config.MessageBufferSize = queue
	return &melodyPeer{m: m}
}

func (p *melodyPeer) Serve(ln net.Listener) error {
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = p.m.HandleRequest(w, r) // HandleRequest has sent the error to the client
	}))
}

func (p *melodyPeer) Broadcast(seq int64) { _ = p.m.Broadcast(message(seq)) }

func (p *melodyPeer) Clients() int { return p.m.Len() }
