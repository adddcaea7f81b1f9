package conform

import (
	"context"
	"encoding/json"
	"time"
)

// ClientStart says how a client of [Client] starts.
type ClientStart struct {
	// URL is the folder of the server's routes, with a query that belongs to each request, as
	// a token does: for example "http://127.0.0.1:4711/?token=secret". The WebSocket is at "ws"
	// below it, here "http://127.0.0.1:4711/ws?token=secret", and Server-Sent Events are at
	// "events". The server answers other requests with status 404.
	URL string
	// ID is the client's id. If it is empty, the client may make an id, or take the id of
	// the greeting.
	ID string
	// Since is the cursor of the last event that an earlier client has received. It may be
	// empty.
	Since string
	// Retry is the time that the client waits before it connects again. It is so short
	// that the suite is quick.
	Retry time.Duration
	// Ping is how often a client that claims Pings asks whether the server is there. 0
	// means the client's default.
	Ping time.Duration
}

// ClientUnderTest is a client that [Client] observes. It connects without a call of Next.
// Next and Watch may run at the same time, and Close may be called once while they run.
// After Close, Next must return an error; it may return events before that.
type ClientUnderTest interface {
	// Next waits for the next event that the client gives to its program. An error means
	// that no event follows: the client has given up, or was closed. The end of ctx ends
	// Next, too, and the test has then failed.
	Next(ctx context.Context) (ClientEvent, error)
	// Watch makes the client follow a prompt of another client. It returns when the server
	// has answered, with an error if the server has refused. It is called only if
	// [ClientClaims].Watches is true.
	Watch(ctx context.Context, promptID string) error
	// Close ends the client, and waits until its connection has ended or is given up.
	Close() error
}

// ClientEvent is an event that a client gives to its program. A client may leave out the
// status messages, the answers to its own requests, and binary events of unknown types. It
// may add a nodebus.gap after a reconnect to a server without cursors.
type ClientEvent struct {
	Type   string
	Cursor string // empty if the message had none
	// PromptID, Attempt and Time are from the envelope, and of no interest without an
	// envelope. Attempt counts from 1; 0 counts as 1. Time is in Unix milliseconds; 0 if the
	// message had none.
	PromptID string
	Attempt  int
	Time     int64
	// Data is the payload as JSON. A binary event has the text form that it has in
	// Server-Sent Events, see docs/wire.md. A url is not needed.
	Data json.RawMessage
	// Image is the image file of a preview. A client of Server-Sent Events may leave it
	// nil.
	Image []byte
}

// ClientClaims lists what a client can do beyond receiving events over a WebSocket. Nil
// claims nothing.
type ClientClaims struct {
	// Stream says that the client reads Server-Sent Events instead of a WebSocket.
	Stream bool
	// Status says that the client sees the HTTP status of a connection that the server
	// refuses, and gives up after status 401. In a browser, a WebSocket cannot.
	Status bool
	// Watches says that the client can watch prompts on an open connection, or makes a
	// new connection for it.
	Watches bool
	// Pings says that the client notices a server that has become silent, within a few
	// times [ClientStart].Ping.
	Pings bool
}
