package nodebus

// HubStats counts what a hub has done and holds. The counters include sessions that have
// ended.
type HubStats struct {
	Sessions    int    // sessions now
	Queued      int    // events that wait in the queues of sessions now
	QueuedBytes int    // estimated size of the frames of these events, in bytes
	Unconfirmed int    // sessions now that were sent an outcome and have not confirmed it
	Replaced    uint64 // events that a newer event has replaced while they waited
	Gaps        uint64 // gaps that were announced
	FellBehind  uint64 // times that the queue of a session was full and the session continued from the log
	Slow        uint64 // sessions that have ended with [ErrSlow]
	Resumed     uint64 // sessions that have joined with a cursor
}

// SessionStats describes one session.
type SessionStats struct {
	Name        string // see [Session.Name]
	Client      string // the client's id
	Watches     int    // prompts of other clients that the session follows by their ids
	Lag         uint64 // how many IDs the session is behind the newest event of the hub; other clients' events count too
	Queued      int    // events that wait in the queue
	QueuedBytes int    // estimated size of the frames of these events, in bytes
	Unconfirmed bool   // the client was sent an outcome and has not confirmed it
	Replaced    uint64 // events that a newer event has replaced while they waited
	Gaps        uint64 // gaps that were announced
	FellBehind  uint64 // times that the queue was full and the session continued from the log
	Resumed     bool   // the session has joined with a cursor
	Slow        bool   // the session has ended with [ErrSlow]
}

// add adds the counters of a session that has left.
func (t *HubStats) add(s SessionStats) {
	t.Replaced += s.Replaced
	t.Gaps += s.Gaps
	t.FellBehind += s.FellBehind
	if s.Resumed {
		t.Resumed++
	}
	if s.Slow {
		t.Slow++
	}
}
