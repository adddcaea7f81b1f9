//go:build linux

package server

import (
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/ws"
)

// nodebusPeer uses nodebus with its defaults: package ws, a hub that keeps messages for
// clients that reconnect, and the greeting. The variants publish different events:
//
//	nodebus         executing events, which nodebus encodes by appending, to everyone
//	nodebus-watch   the same events as events of a prompt that all clients watch
//	nodebus-struct  a custom payload, which encoding/json encodes, to everyone
//	nodebus-pump    like nodebus, but on connections without non-blocking writes
type nodebusPeer struct {
	hub     *nodebus.Hub
	handler http.Handler
	n       atomic.Int64
	event   func(seq int64) nodebus.Event
}

func newNodebus(event func(seq int64) nodebus.Event, opts *ws.Options) *nodebusPeer {
	p := &nodebusPeer{hub: nodebus.NewHub(nil), event: event}
	p.handler = ws.New(p.hub, opts)
	return p
}

// watching returns options that let all clients watch the prompt.
func watching() *ws.Options {
	return &ws.Options{Authorize: func(*http.Request) (nodebus.Grant, error) {
		return nodebus.Grant{Watch: []string{promptID}}, nil
	}}
}

// Serve accepts clients with http.Serve. A client joins before its handshake is answered.
// So Clients is exact as soon as all clients have received their handshake response.
func (p *nodebusPeer) Serve(ln net.Listener) error { return p.serve(countingListener{ln, &p.n}) }

func (p *nodebusPeer) serve(ln net.Listener) error {
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.n.Add(1)
		p.handler.ServeHTTP(w, r)
	}))
}

// countingListener decrements n when one of its connections is closed.
type countingListener struct {
	net.Listener
	n *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countedConn{TCPConn: c.(*net.TCPConn), n: l.n}, nil
}

// countedConn embeds *net.TCPConn, so that nodebus can still write to the socket directly.
type countedConn struct {
	*net.TCPConn
	n      *atomic.Int64
	closed atomic.Bool
}

func (c *countedConn) Close() error {
	if !c.closed.Swap(true) {
		c.n.Add(-1)
	}
	return c.TCPConn.Close()
}

func (p *nodebusPeer) Broadcast(seq int64) {
	if err := p.hub.Publish(p.event(seq)); err != nil {
		panic(err)
	}
}

func (p *nodebusPeer) Clients() int { return int(p.n.Load()) }

// Wire returns the key before the time. The payloads have no number field, so the time is
// in display_node.
func (p *nodebusPeer) Wire() Wire {
	return Wire{Key: `"display_node":"`, Greetings: 1, Path: "/ws?clientId=c%d"}
}

// nodeIDs are as long as the ids of nodes in an expansion. So the frames are as long as
// the frames of the other peers.
var nodeIDs = func() (ids [97]string) {
	for i := range ids {
		ids[i] = "1.0.0." + strconv.Itoa(i)
	}
	return ids
}()

func now() string { return strconv.FormatInt(time.Now().UnixNano(), 10) }

func executing(seq int64) nodebus.Event {
	return nodebus.Event{Broadcast: true, Payload: nodebus.Executing{
		UniqueID: nodeIDs[seq%97], DisplayID: now(), PromptID: promptID,
	}}
}

func watched(seq int64) nodebus.Event {
	ev := executing(seq)
	ev.Broadcast, ev.PromptID = false, promptID
	return ev
}

// ownPayload is a custom payload with the fields of an executing event.
type ownPayload struct {
	Node    string `json:"node"`
	Display string `json:"display_node"`
	Prompt  string `json:"prompt_id"`
}

// EventType returns a name that is as long as "executing".
func (ownPayload) EventType() string { return "bench.own" }

func own(seq int64) nodebus.Event {
	return nodebus.Event{Broadcast: true, Payload: ownPayload{nodeIDs[seq%97], now(), promptID}}
}

// pumped hides from nodebus that the connections are sockets, as TLS does.
type pumped struct{ *nodebusPeer }

func (p pumped) Serve(ln net.Listener) error { return p.serve(opaque{countingListener{ln, &p.n}}) }

type opaque struct{ net.Listener }

func (l opaque) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{c}, nil
}
