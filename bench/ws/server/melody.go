//go:build linux

package server

import (
	"net"
	"net/http"

	"github.com/olahol/melody"
)

// melodyPeer is olahol/melody, which is gorilla/websocket with a hub.
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
		_ = p.m.HandleRequest(w, r) // it has told the client
	}))
}

func (p *melodyPeer) Broadcast(seq int64) { _ = p.m.Broadcast(message(seq)) }

func (p *melodyPeer) Clients() int { return p.m.Len() }
