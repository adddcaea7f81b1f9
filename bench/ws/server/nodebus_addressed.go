//go:build linux

package server

import (
	"fmt"
	"strconv"

	"github.com/nodebus/nodebus"
)

// addressed publishes each event as an event of a prompt of one client:
//
//	nodebus-each  each client has one prompt, which does not end
type addressed struct {
	*nodebusPeer
	clients []nodebus.Event // by the number of the client; without payload, so that a Send makes no ids
}

func newAddressed() *addressed { return &addressed{nodebusPeer: newNodebus(executing, nil)} }

func (p *addressed) Send(n int, seq int64) {
	for len(p.clients) <= n {
		p.clients = append(p.clients, ownEvent(len(p.clients), len(p.clients), nil))
	}
	ev := p.clients[n]
	ev.Payload = nodebus.Executing{UniqueID: nodeIDs[seq%97], DisplayID: now(), PromptID: ev.PromptID}
	p.publish(ev)
}

func (p *addressed) Wire() Wire {
	w := p.nodebusPeer.Wire()
	w.Each = true
	return w
}

func (p *nodebusPeer) publish(ev nodebus.Event) {
	if err := p.hub.Publish(ev); err != nil {
		panic(err)
	}
}

// ownEvent returns an event of a prompt for one client.
func ownEvent(client, prompt int, payload nodebus.Payload) nodebus.Event {
	return nodebus.Event{PromptID: ownPrompt(prompt), To: "c" + strconv.Itoa(client), Payload: payload}
}

// ownPrompt returns an id that is as long as promptID.
func ownPrompt(n int) string { return fmt.Sprintf("4f1c2a9e-7b3d-4c55-9a86-%012x", n) }

// kept publishes prompts for clients that come back with a cursor:
//
//	nodebus-log  Broadcast publishes events of one prompt of client 0
type kept struct {
	*nodebusPeer
	prompts int
}

func (p *kept) Broadcast(seq int64) {
	p.publish(ownEvent(0, 1<<40, executing(seq).Payload))
}

func (p *kept) Keep(prompts, events, clients int) {
	for range prompts {
		client, id := p.prompts%clients, ownPrompt(p.prompts)
		for i := range events - 1 {
			p.publish(ownEvent(client, p.prompts, executing(int64(i)).Payload))
		}
		p.publish(ownEvent(client, p.prompts, nodebus.ExecutionSuccess{PromptID: id}))
		p.prompts++
	}
}

// Wire asks for cursors.
func (p *kept) Wire() Wire {
	w := p.nodebusPeer.Wire()
	w.Cursor, w.Since = `"cursor":"`, "since="
	return w
}
