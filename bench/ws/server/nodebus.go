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

// nodebusPeer is this library with its defaults: package ws, a hub that keeps
// what it is told, and the greeting. What is published differs:
//
//	nodebus         executing events, which the library encodes by appending, to everyone
//	nodebus-watch   the same as events of a prompt that all clients watch
//	nodebus-struct  a payload of the program's own, which encoding/json encodes, to everyone
//	nodebus-pump    as nodebus, over connections that cannot be written to without waiting
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

// watching lets all clients watch the prompt.
func watching() *ws.Options {
	return &ws.Options{Authorize: func(*http.Request) (ws.Grant, error) {
		return ws.Grant{Watch: []string{promptID}}, nil
	}}
}

// Serve is http.Serve. A client has joined before its handshake is answered, so
// that those counted are those connected as soon as all answers are there.
func (p *nodebusPeer) Serve(ln net.Listener) error { return p.serve(countingListener{ln, &p.n}) }

func (p *nodebusPeer) serve(ln net.Listener) error {
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.n.Add(1)
		p.handler.ServeHTTP(w, r)
	}))
}

// countingListener counts down when a connection is closed.
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

// countedConn is still a socket.
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

// Wire is that of all payloads here, which have no field for a number.
func (p *nodebusPeer) Wire() (key string, greetings int) { return `"display_node":"`, 1 }

// nodeIDs are as long as those of nodes in an expansion, which makes the frames
// as long as those of the other peers.
var nodeIDs = func() (ids [97]string) {
	for i := range ids {
		ids[i] = "1.0.0." + strconv.Itoa(i)
	}
	return ids
}()

func now() string { return strconv.FormatInt(time.Now().UnixNano(), 10) }

func executing(seq int64) nodebus.Event {
	return nodebus.Event{Payload: nodebus.Executing{
		UniqueID: nodeIDs[seq%97], DisplayID: now(), PromptID: promptID,
	}}
}

func watched(seq int64) nodebus.Event {
	ev := executing(seq)
	ev.PromptID = promptID
	return ev
}

// ownPayload has the fields of an executing event.
type ownPayload struct {
	Node    string `json:"node"`
	Display string `json:"display_node"`
	Prompt  string `json:"prompt_id"`
}

// EventType is as long as "executing".
func (ownPayload) EventType() string { return "bench.own" }

func own(seq int64) nodebus.Event {
	return nodebus.Event{Payload: ownPayload{nodeIDs[seq%97], now(), promptID}}
}

// pumped hides from the library that connections are sockets, as TLS does.
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
