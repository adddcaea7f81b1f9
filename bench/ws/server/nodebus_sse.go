//go:build linux

package server

import "github.com/nodebus/nodebus/sse"

// nodebusSSE sends the events of nodebus as text/event-stream:
//
//	nodebus-sse  executing events to everyone, with package sse and its defaults
type nodebusSSE struct{ *nodebusPeer }

func newNodebusSSE() *nodebusSSE {
	p := &nodebusSSE{newNodebus(executing, nil)}
	p.handler = sse.New(p.hub, nil)
	return p
}

func (p *nodebusSSE) Wire() Wire {
	w := p.nodebusPeer.Wire()
	w.Stream = true
	return w
}
