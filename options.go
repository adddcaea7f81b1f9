package nodebus

import (
	"cmp"
	"time"
)

// HubOptions are the limits of a [Hub]. A nil *HubOptions means the defaults. A field
// that is zero or less means its default.
type HubOptions struct {
	// QueueLen and QueueBytes limit the events that wait in memory for one session.
	// Defaults: 65 536 events and 16 MiB. An event larger than QueueBytes may wait
	// alone. The session of a client that falls further behind reads the events from the
	// log, at its own pace, as long as the log keeps them. Two kinds of events do not
	// count: events that were passed to a Write of the transport, and at most 1024
	// events or 1 MiB that were read from the log.
	//
	// The defaults are large because a graph of small nodes publishes more events in
	// one millisecond than a healthy client reads in ten. The log and all clients share
	// the memory of the events.
	QueueLen   int
	QueueBytes int
	// Log keeps the events for clients that reconnect or are behind. Default: a new log
	// in memory, see [NewMemoryLog].
	Log Log
	// Retain is how long the log in memory keeps events: events of a prompt after the
	// end of the prompt, other events after they were sent. For as long, the hub knows
	// which ended prompts a client without a cursor may have missed. Default: 5 minutes.
	Retain time.Duration
	// KeepLen and KeepBytes limit all events that the log in memory keeps. Defaults:
	// 262 144 events and 64 MiB. If there is no room, the log drops ended prompts before
	// other events; the prompt that ended first goes first. KeepLen and KeepBytes also
	// limit the events that wait for one [Hub.Subscribe] loop.
	KeepLen   int
	KeepBytes int
	// Drain is how long Close waits until clients have received the events that wait
	// for them. Default: 5 seconds.
	Drain time.Duration
}

func (o *HubOptions) withDefaults() HubOptions {
	var opts HubOptions
	if o != nil {
		opts = *o
	}
	opts.QueueLen = positiveOr(opts.QueueLen, 1<<16)
	opts.QueueBytes = positiveOr(opts.QueueBytes, 16<<20)
	opts.Retain = positiveOr(opts.Retain, 5*time.Minute)
	opts.KeepLen = positiveOr(opts.KeepLen, 1<<18)
	opts.KeepBytes = positiveOr(opts.KeepBytes, 64<<20)
	opts.Drain = positiveOr(opts.Drain, 5*time.Second)
	return opts
}

// positiveOr returns v, or otherwise if v is zero or less.
func positiveOr[T cmp.Ordered](v, otherwise T) T {
	var zero T
	if v > zero {
		return v
	}
	return otherwise
}

// SessionOptions are the options of [Hub.Join]. A nil *SessionOptions, and each zero
// field, means the default.
type SessionOptions struct {
	// Codec encodes the events of the session. Default: [JSON]. A codec that is not a
	// [JSONCodec] receives the payload itself only if the payload cannot change: it is
	// Frozen, or a struct of strings, booleans and integers. Otherwise the codec
	// receives a copy that went through JSON. If the codec returns an error or panics,
	// the event is left out for the sessions that use the codec. Other sessions are not
	// affected; a slow codec slows only the sessions that use it.
	Codec Codec
	// Hello contains the payloads that the session sends first. They must not change.
	// Their cursor is the place where the session begins. If Since comes from another
	// life of the log, their cursor is Since.
	Hello []Payload
	// Current adds to Hello, for a client without Since, an [Executing] for each running
	// prompt of the client: the node that runs when the session joins. It is for servers
	// whose clients expect it, like package comfy.
	Current bool
	// Since is the cursor of the last event that the client received, if it reconnects.
	// The session then sends the events that the client missed. If the cursor is of
	// another life of the log, the session sends a [Gap] whose Since is 0, and all kept
	// events of the client. Without Since, the session sends all kept events of the
	// client's running prompts, and see Confirms.
	Since Cursor
	// Confirms says that the transport calls [Session.Confirm]. It does nothing with an
	// Envelope codec, with Since, or with an empty client id. Otherwise the session also
	// sends an ended prompt that the client has not confirmed, if
	//
	//   - the client had such a session before the end, or
	//   - [Hub.Expect] named the prompt before the end, or
	//   - the prompt ended less than 2 seconds ago.
	//
	// Join waits up to 100 ms if another session of the client has not yet confirmed a
	// recent outcome. Default: an ended prompt is not sent again.
	Confirms bool
	// Hold lists event types that the session leaves out of the replay until
	// [Session.Release]. It is for a server like package comfy, whose clients tell only
	// after they have connected which form of these events they support. Newer events
	// are not held. Do not use Hold for a client that reconnects with Since: the client
	// would treat the held events as received.
	Hold []string
	// Watch lists ids of prompts of other clients that the session also follows: kept
	// events and new events. Repeated ids count once. Limit the ids that a client may
	// name; at most [WatchMax] are followed.
	Watch []string
	// WatchAll makes the session follow every prompt.
	WatchAll bool
	// May reports whether the client may watch a further prompt, see [Session.Watch].
	// Default: it may not.
	May func(promptID string) bool
	// Include, if not nil, is called for each new event of a prompt that the session
	// does not follow. The session receives the event if Include returns true. It is for
	// servers that show events of all clients: comfy.Options.LegacyBroadcasts. A replay
	// contains no such events, so the session ends with [ErrSlow] if its queue is full.
	// Include may read the type and the fields of the payload, but not the data that the
	// payload points to, because the sender may change that data. Include must be quick:
	// one goroutine calls it for many events and clients. A panic counts as false.
	Include func(Event) bool
}
