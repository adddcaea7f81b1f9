package nodebus

import "context"

// Log gives events their IDs and keeps events for clients that reconnect. A hub
// publishes to its log and delivers what the log passes on, its own events included.
// Hubs that share a log are one bus: each client receives the events of all hubs, and
// may continue with its cursor at any of them. [NewMemoryLog] returns the default log;
// conform.Log is the test of a log.
//
// A log may also be a [FlushingLog], a [RememberingLog], or both. A log that wraps another log
// must have their methods, too, or they are lost.
//
// All methods must be safe for concurrent use. A log must not call a follower for two
// events at the same time.
type Log interface {
	// Append gives ev the next ID, the epoch and the time, and keeps it. It passes ev to
	// each follower, in the order of IDs, before or soon after it returns. If ev belongs
	// to a prompt that has ended, Append returns [ErrClosed], unless ev begins the prompt
	// again: an [ExecutionStart], or an outcome of a prompt that never began. An
	// [Executing] without a node ends a prompt. Append also returns [ErrClosed] if ev belongs
	// to an older attempt than an earlier event of the prompt; the attempt 0 is unknown and
	// never older. A log that several processes share may find out too late. It then
	// leaves ev out: no follower and no reader receives ev. If the newer attempt has ended the
	// prompt meanwhile, ev looks like the begin of a new prompt with the id. A log should leave
	// it out, too, if the process that appends ev does not know of that end.
	//
	// A log that stores bytes encodes ev with [JSON]; other events pass through as they
	// are. Encoding cannot fail, because the hub has tried it.
	Append(ev Event) error
	// Read returns kept events, in the order of IDs. A newer [Coalescer] may have
	// replaced an older event. Events from the memory of the log are shared: do not
	// change their payloads.
	Read(q LogQuery) (LogPage, error)
	// Follow calls deliver for each later event, until stop is called. deliver does not
	// wait. It must not call the log. at is the place after which deliver begins.
	Follow(deliver func(Event)) (at Cursor, stop func(), err error)
	// Drop removes the events of a prompt, and forgets that the prompt has ended. A hub
	// does not call it. A program that keeps events for good calls it when it deletes the
	// record of the prompt.
	Drop(promptID string) error
}

// FlushingLog is a [Log] that stores events later than Append returns. [Hub.Flush] calls Flush
// before an engine gives up a prompt that has ended. The hub takes it that any other log has
// stored an event when Append returns: if that is not true, and the process is killed, nobody
// ever tells the end of the prompt.
type FlushingLog interface {
	Log
	// Flush waits until all events that Append has accepted before are stored. Whoever follows
	// or reads later, in whatever process, then finds them. It returns an error if it does not
	// know that they are stored, for example because ctx has ended.
	//
	// An engine also calls Flush when it has taken a prompt again that has a record, and then
	// [Hub.Ended]. By then the hub must have received all events that other processes had stored
	// of earlier attempts. What they store later must be left out: otherwise clients may receive
	// the end of the prompt twice.
	Flush(ctx context.Context) error
}

// RememberingLog is a [Log] that remembers for longer which prompts have ended than it keeps
// their events, or that knows an end before its followers receive it. [Hub.Ended] calls Closed
// before an engine tells the end of a prompt again.
// With any other log, the hub looks for the events of the prompt: if its process was killed and
// Retain has passed, clients may receive the end of the prompt a second time.
type RememberingLog interface {
	Log
	// Closed reports whether a prompt has ended, as far as this process knows: the log has
	// an [Executing] without a node for it, and the prompt has not begun again. It is false for
	// a prompt that the log does not know, has forgotten, or was told to drop. What Append has
	// accepted counts at once. It does not wait.
	Closed(promptID string) bool
}

// LogQuery selects kept events: those with an ID above After and not above UpTo that at
// least one of Own, Prompts and All selects.
type LogQuery struct {
	After, UpTo uint64   // IDs; only events with After < ID <= UpTo
	Own         bool     // events to Client, and broadcasts
	Client      string   // a client's id; empty selects no client's events
	Prompts     []string // all events of these prompts
	All         bool     // all events of all prompts
	// Limit and LimitBytes limit the events of a page, and the size of their frames in
	// bytes. A page has at least one event if one is left. Zero means no limit.
	Limit, LimitBytes int
}

// LogPage is the result of a [LogQuery]: its first events.
type LogPage struct {
	Events []Event
	More   bool // events are left; continue after the last event of the page
	// Lost is the newest ID of an event that the query selects and that the log no
	// longer keeps. 0 means that nothing is lost. A newer event with the same key is no
	// loss. If the log does not know exactly, it reports a loss.
	Lost uint64
}
