package runs

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/fold"
)

// endEpoch begins the id of the last event of a stream, in place of the life of the log.
// An EventSource that comes back with it has everything.
const endEpoch = "end"

// runStream is the transport of a stream of one run. It reads the past of the run, sends
// the state as one event, and passes on the later events of the run. The session ends with
// the closing event.
type runStream struct {
	runs *Runs
	past
	out  nodebus.Transport // the stream of package sse
	over bool              // the last event was sent

	ended bool // the engine says that the run has ended

	ctx     context.Context // ends with the stream
	waiting sync.WaitGroup  // the goroutine of awaitEnd
}

// errRunOver ends the session of a stream that is complete.
var errRunOver = errors.New("comfy: the run is over")

// followRun answers with the stream of the run of the prompt that was submitted at a time.
// The zero time means any.
func (s *Runs) followRun(w http.ResponseWriter, r *http.Request, id string, created time.Time) {
	client := follower(r)
	if status, err := s.Enter(client); err != nil {
		web.Fail(w, status, err.Error())
		return
	}
	defer s.Leave(client)
	s.streamRun(w, r, id, created)
}

// streamRun is followRun for a handler that the server counts already.
func (s *Runs) streamRun(w http.ResponseWriter, r *http.Request, id string, created time.Time) {
	session, err := s.joinRun(id)
	if err != nil {
		web.Unavailable(w, s.Logger, err)
		return
	}
	ctx, stop := s.untilClosed(context.WithoutCancel(r.Context()))
	defer context.AfterFunc(s.Closed, func() { session.Close(nodebus.ErrClosed) })()
	st := &runStream{runs: s, past: past{session: session, created: created, run: fold.Run{PromptID: id}}, ctx: ctx}
	_ = s.Streams.Serve(w, r, session, func(out nodebus.Transport) nodebus.Transport {
		st.out = out
		return st
	}) // the transport has told the client the reason, if possible
	stop()
	st.waiting.Wait()
}

// Write sends what the frames mean for the client.
func (st *runStream) Write(ctx context.Context, frames []nodebus.Frame) error {
	if st.over {
		return errRunOver
	}
	var send []nodebus.Frame
	for _, f := range frames {
		switch {
		case st.over:
		case !st.read:
			if st.add(f); st.read {
				first, err := st.begin(ctx)
				if err != nil {
					return err
				}
				send = append(send, first...)
			}
		case f.Type == startType && !st.stillIs(ctx):
			st.over = true
		case f.Type != watchingType:
			send = append(send, st.passed(f)...)
		default:
			st.ended = true
		}
		if st.ended && !st.over && (f.Type == watchingType || f.Type == gapType) {
			last, err := st.lost(ctx)
			if err != nil {
				return err
			}
			send = append(send, last...)
		}
	}
	if len(send) > 0 {
		if err := st.out.Write(ctx, send); err != nil {
			return err
		}
	}
	if st.over {
		st.session.Close(errRunOver)
	}
	return nil
}

// Close ends the stream.
func (st *runStream) Close(cause error) error { return st.out.Close(cause) }

// begin returns the state after the past. It has no frame if nobody knows the run any
// more; the stream then ends.
func (st *runStream) begin(ctx context.Context) ([]nodebus.Frame, error) {
	past := st.past
	st.run = fold.Run{PromptID: past.run.PromptID} // the state may be large, and the stream long
	known, err := st.runs.knownRun(ctx, past.run.PromptID)
	if err != nil {
		return nil, err
	}
	if known.isKnown() {
		st.created = cmp.Or(st.created, known.created)
	}
	run := stateOf(&past, &known)
	if run == nil {
		st.over = true
		return nil, nil
	}
	if st.over = run.Closed; !st.over && known.isKnown() {
		st.waiting.Go(st.awaitEnd)
	}
	return st.frame(run)
}

// lost returns the last state of a run that has ended, if its closing event does not come:
// the prompt was deleted from the queue, or the event is lost. If the log has the event,
// the session will send it, or a gap.
func (st *runStream) lost(ctx context.Context) ([]nodebus.Frame, error) {
	p, unread := st.runs.past(ctx, st.run.PromptID, st.created)
	known, err := st.runs.knownRun(ctx, st.run.PromptID)
	early := p.isBefore(st.created)
	if known.record != nil { // a quick run may end in the millisecond in which it was submitted
		early = p.newest.UnixMilli() < st.created.UnixMilli()
	}
	mine := unread == nil && known.is(st.created) && !early
	if mine && p.run.Closed {
		return nil, nil
	}
	st.over = true
	switch {
	case mine && !p.run.Incomplete && p.run.Ended > 0:
		p.run.Closed = true
		return st.frame(&p.run)
	case err != nil || known.record == nil || !known.is(st.created):
		return nil, err
	}
	return st.frame(runOf(known.record))
}

// stillIs reports whether the prompt with the id is the prompt that the stream follows, or
// nobody knows it. The prompt may have been deleted, and then the id is free.
func (st *runStream) stillIs(ctx context.Context) bool {
	known, err := st.runs.knownRun(ctx, st.run.PromptID)
	return err != nil || known.is(st.created)
}

// awaitEnd waits until the engine says that the run has ended, or that its prompt was
// deleted. Then it asks the session for a Watching. Write notices it: the closing event has
// come before, or comes soon, or is lost.
func (st *runStream) awaitEnd() {
	_, _ = st.runs.Engine.Wait(st.ctx, st.run.PromptID)
	if st.ctx.Err() == nil {
		_ = st.session.Watch(st.run.PromptID)
	}
}

// frame returns the frame of a state.
func (st *runStream) frame(run *fold.Run) ([]nodebus.Frame, error) {
	at, err := nodebus.ParseCursor(run.Cursor)
	if err != nil { // of a foreign log
		at = nodebus.Cursor{}
	}
	f, err := nodebus.JSONCodec{Envelope: true}.Encode(nodebus.Event{
		ID: at.ID, Epoch: at.Epoch, Time: time.Now(), PromptID: run.PromptID, Attempt: run.Attempt, Payload: *run,
	})
	if err != nil {
		return nil, err
	}
	if run.Closed {
		f.Epoch = endEpoch
	}
	return []nodebus.Frame{f}, nil
}

// passed returns a frame of a later event, if the event belongs to the run or tells that
// events are lost.
func (st *runStream) passed(f nodebus.Frame) []nodebus.Frame {
	ev, err := nodebus.JSON.Decode(f)
	if err != nil {
		return nil
	}
	if _, gap := ev.Payload.(nodebus.Gap); !gap && ev.PromptID != st.run.PromptID {
		return nil
	}
	if e, ok := ev.Payload.(nodebus.Executing); ok && e.UniqueID == "" {
		st.over, f.Epoch = true, endEpoch
	}
	return []nodebus.Frame{f}
}
