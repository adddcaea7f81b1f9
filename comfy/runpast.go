package comfy

import (
	"context"
	"errors"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/fold"
)

// past is a transport in the process that reads the kept events of a run. The session
// ends with them.
type past struct {
	session *nodebus.Session
	run     fold.Run
	read    bool
}

var errPastRead = errors.New("comfy: the past of the run is read")

// past reads the kept events of a run. err is not nil if they could not be read.
func (s *Server) past(ctx context.Context, id string) (*past, error) {
	p := &past{run: fold.Run{PromptID: id}}
	var err error
	if p.session, err = s.joinRun(id); err != nil {
		return p, err
	}
	if err = p.session.Serve(ctx, p); p.read {
		err = nil
	}
	return p, err
}

// joinRun returns a session without a client that follows a run. The session sends the
// kept events, then a Watching, then the later events.
func (s *Server) joinRun(id string) (*nodebus.Session, error) {
	session := s.hub.Join("", &nodebus.SessionOptions{Codec: nodebus.JSONCodec{Envelope: true}, Watch: []string{id}})
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
	if ev, err := nodebus.JSON.Decode(f); err == nil {
		p.run.Apply(ev)
	}
}

var (
	watchingType = nodebus.Watching{}.EventType()
	previewType  = nodebus.Preview{}.EventType()
	gapType      = nodebus.Gap{}.EventType()
)

// stateOf returns the state of a run, from its events if they are complete, else from its
// record. It returns nil if nobody knows the run. known is from before the events were
// read.
func (s *Server) stateOf(ctx context.Context, run *fold.Run, known knownRun) (*fold.Run, error) {
	if run.Attempt > 0 && !run.Incomplete {
		return run, nil
	}
	if known.record == nil {
		var err error
		if known, err = s.knownRun(ctx, run.PromptID); err != nil { // it may have ended meanwhile
			return nil, err
		}
	}
	switch {
	case known.record != nil:
		ended := runOf(known.record)
		ended.Cursor = run.Cursor
		return ended, nil
	case run.Attempt > 0 || known.queued:
		return run, nil
	}
	return nil, nil
}
