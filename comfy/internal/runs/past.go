package runs

import (
	"context"
	"errors"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/fold"
)

// past is a transport in the process that reads the kept events of a run. The session
// ends with them.
type past struct {
	session *nodebus.Session
	created time.Time // when the prompt was submitted; zero: unknown
	run     fold.Run
	newest  time.Time // of the events of the run, in whole milliseconds
	read    bool
}

var errPastRead = errors.New("comfy: the past of the run is read")

// past reads the kept events of a run. err is not nil if they could not be read. created is
// the time at which the prompt was submitted, or zero.
func (s *Runs) past(ctx context.Context, id string, created time.Time) (*past, error) {
	p := &past{created: created, run: fold.Run{PromptID: id}}
	var err error
	if p.session, err = s.joinRun(id); err != nil {
		return p, err
	}
	if err = p.session.Serve(ctx, p); p.read {
		err = nil
	}
	p.run.Incomplete = p.run.Incomplete || err != nil
	return p, err
}

// joinRun returns a session without a client that follows a run. The session sends the
// kept events, then a Watching, then the later events.
func (s *Runs) joinRun(id string) (*nodebus.Session, error) {
	session := s.Hub.Join("", &nodebus.SessionOptions{Codec: nodebus.JSONCodec{Envelope: true}, Watch: []string{id}})
	err := session.Watch(id) // it follows the prompt already, so this sends only the Watching
	if err != nil {
		session.Close(err)
	}
	return session, err
}

// Write applies the frames to the run.
func (p *past) Write(_ context.Context, frames []nodebus.Frame) error {
	for _, f := range frames {
		if p.read {
			return errPastRead
		}
		p.add(f)
	}
	if p.read {
		p.session.Close(errPastRead)
	}
	return nil
}

// Close does nothing: there is no connection.
func (p *past) Close(error) error { return nil }

// add applies a frame. It notices the end of the past.
func (p *past) add(f nodebus.Frame) {
	switch f.Type {
	case watchingType:
		p.read = true
		return
	case previewType: // large, and not part of the state
		return
	}
	ev, err := nodebus.JSON.Decode(f)
	if err != nil {
		return
	}
	if f.Type == startType && p.isBefore(p.created) && ev.Time.UnixMilli() >= p.created.UnixMilli() {
		p.run = fold.Run{PromptID: p.run.PromptID, Incomplete: p.run.Incomplete} // of an earlier prompt with the id
	}
	p.run.Apply(ev)
	if ev.PromptID == p.run.PromptID {
		p.newest = ev.Time
	}
}

// isBefore reports whether all events come from before a time. Events have whole
// milliseconds; the same millisecond counts as before.
func (p *past) isBefore(t time.Time) bool { return p.newest.UnixMilli() <= t.UnixMilli() }

// skew is how much the clock of the process that runs a prompt may be behind the clock of
// the process that has accepted it.
const skew = time.Second

// isEarlier reports whether the events belong to an earlier prompt with the same id. The
// log keeps them when the record is deleted, and then the id is free for another client.
func (p *past) isEarlier(known *knownRun) bool {
	switch {
	case known.record != nil: // a quick run may end in the millisecond in which it was submitted
		return p.newest.UnixMilli() < known.created.UnixMilli()
	case known.leased && !p.run.Closed:
		return p.isBefore(known.created.Add(-skew))
	}
	return known.queued && p.isBefore(known.created)
}

var (
	watchingType = nodebus.Watching{}.EventType()
	startType    = nodebus.ExecutionStart{}.EventType()
	previewType  = nodebus.Preview{}.EventType()
	gapType      = nodebus.Gap{}.EventType()
)

// snapshot returns the state of the run of the prompt that was submitted at a time, or nil
// if nobody knows the run, or if another prompt has its id now. The zero time means any.
func (s *Runs) snapshot(ctx context.Context, id string, created time.Time) (*fold.Run, error) {
	p, unread := s.past(ctx, id, created)
	known, err := s.knownRun(ctx, id)
	if err == nil && unread != nil && known.record == nil {
		err = unread
	}
	if err != nil {
		return nil, err
	}
	return stateOf(p, &known), nil
}

// stateOf returns the state of a run, from its events if they are complete, else from its
// record. It returns nil if nobody knows the run, or if another prompt has its id now. known
// is from after the events were read.
func stateOf(p *past, known *knownRun) *fold.Run {
	if !known.is(p.created) {
		return nil
	}
	run := &p.run
	if p.isEarlier(known) {
		run = &fold.Run{PromptID: run.PromptID}
	}
	if known.leased && run.State == "" { // its first events are not kept, or come soon: a start makes the run begin anew
		run.State, run.Incomplete = fold.Running, true
	}
	switch {
	case run.Attempt > 0 && !run.Incomplete:
		return run
	case known.record != nil:
		ended := runOf(known.record)
		ended.Cursor = run.Cursor
		return ended
	case run.Attempt > 0 || known.queued:
		return run
	}
	return nil
}
