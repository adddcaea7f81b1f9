package refpack

import (
	"context"
	"errors"

	"github.com/nodebus/nodebus"
)

// RefSend sends messages of a custom type.
type RefSend struct {
	Value    any
	Event    string `default:"ref.custom"`
	Count    int    `default:"1" min:"0" max:"10000000"`
	Target   string `options:"client,broadcast,nobody"`
	UniqueID string `in:"unique_id" hidden:"UNIQUE_ID"`

	hub *nodebus.Hub
}

// sent is the content of a message: the id of the sending node, the number of the
// message, and the total number of messages.
type sent struct {
	Node string `json:"node"`
	I    int    `json:"i"`
	Of   int    `json:"of"`
}

// Run sends to the client that submitted the prompt, to all clients, or to a client
// that does not exist. It returns the value.
func (n RefSend) Run(ctx *nodebus.Context) (any, error) {
	send := ctx.SendSync
	switch {
	case n.Target == "broadcast":
		send = ctx.Broadcast
	case n.Target == "nobody" && n.hub == nil:
		return nil, errors.New("there is no hub to reach other clients through")
	case n.Target == "nobody":
		send = func(p nodebus.Payload) error { return n.hub.SendSync(p, "nobody-has-this-id") }
	}
	for i := range n.Count {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := send(nodebus.Custom{Type: n.Event, Data: sent{n.UniqueID, i, n.Count}}); err != nil {
			return nil, err
		}
	}
	return n.Value, nil
}

// RefSendText sends a line of text that clients show on the node.
type RefSendText struct {
	Value    any
	Text     string `default:"héllo"`
	UniqueID string `in:"unique_id" hidden:"UNIQUE_ID"`
}

// Run sends the text and returns the value.
func (n RefSendText) Run(ctx *nodebus.Context) (any, error) {
	return n.Value, ctx.SendSync(nodebus.ProgressText{PromptID: ctx.PromptID(), UniqueID: n.UniqueID, Text: n.Text})
}

// RefSendBytes sends a binary frame of a custom type.
type RefSendBytes struct{ Value any }

// Run sends five bytes as frame type 99 and returns the value.
func (n RefSendBytes) Run(ctx *nodebus.Context) (any, error) {
	return n.Value, ctx.SendSync(nodebus.Custom{Type: "99", Data: []byte{0, 1, 2, 3, 4}})
}
