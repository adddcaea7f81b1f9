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
