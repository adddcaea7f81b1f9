package client

import (
	"context"
	"errors"

	"github.com/nodebus/nodebus"
)

// Wait waits until a prompt has ended, and returns how: see [nodebus.Outcome.Err] for the
// error of a prompt that failed. The prompt may have ended before, and it may be a prompt of
// another client. Wait reads events, but yields none: a later [Client.Follow] has them all. A
// listener may call it, and so may several goroutines. For its errors see [Client.Events].
//
// The error is [ErrNotFound] if the server no longer knows the prompt: it was deleted before
// it began, or the server was restarted and has forgotten it. Wait notices that about a
// second later.
//
// The outcome is the server's record, see [Client.Outcome]. If the server gives none, it is
// what the events told that come while Wait runs, or that the client has kept for a first
// Follow; then Nodes is empty. Events that a Follow has taken before do not count; Wait then
// returns why there is no record. If the answer is lost, because the server was started anew at
// this moment, Wait asks again, with the pauses of Options.Retry.
func (c *Client) Wait(ctx context.Context, promptID string) (*nodebus.Outcome, error) {
	if _, err := idElement(promptID); err != nil {
		return nil, err
	}
	saw := witness{o: nodebus.Outcome{PromptID: promptID, Attempt: 1}}
	for ev, err := range c.follow(ctx, promptID, true) {
		if err != nil {
			return nil, err
		}
		saw.add(ev.Payload)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for pause := c.opts.Retry; ; pause = min(2*pause, 32*c.opts.Retry) {
		o, err := c.Outcome(ctx, promptID)
		switch {
		case err == nil:
			return o, nil
		case ctx.Err() == nil && saw.all():
			saw.o.Rejected = c.rejected.of(promptID)
			return &saw.o, nil
		case ctx.Err() == nil && c.opts.Retry > 0 && isPassing(err):
			c.opts.Logger.Info("no record yet", "prompt", promptID, "error", err)
			if err := c.sleep(ctx, pause); err != nil {
				return nil, err
			}
		case saw.closed:
			return nil, because(errMissing, err)
		default:
			return nil, err
		}
	}
}

var errMissing = errors.New("client: the prompt has ended, but some of its events are missing")

// witness makes an outcome from the events of a prompt.
type witness struct {
	o      nodebus.Outcome
	begun  bool // the start of the attempt was seen
	lost   bool // events since then are missing
	closed bool // no event follows
}

// all reports whether nothing of the outcome is missing.
func (w *witness) all() bool { return w.closed && w.o.State != "" && !w.lost }

// errorsMax is the maximum number of errors of an outcome.
const errorsMax = 1000

func (w *witness) add(p nodebus.Payload) {
	switch p := p.(type) {
	case nodebus.Gap:
		w.lost = true
	case nodebus.ExecutionStart:
		*w = witness{o: nodebus.Outcome{PromptID: w.o.PromptID, Attempt: max(p.Attempt, 1)}, begun: true}
	case nodebus.Executing:
		w.closed = p.UniqueID == ""
		w.lost = w.lost || !w.closed && !w.begun
	case nodebus.Executed:
		w.show(p)
	case nodebus.NodeFailed:
		if len(w.o.Errors) < errorsMax {
			w.o.Errors = append(w.o.Errors, p)
		}
	case nodebus.ExecutionSuccess:
		w.o.State = nodebus.Succeeded
	case nodebus.ExecutionInterrupted:
		w.o.State = nodebus.Interrupted
	case nodebus.ExecutionError:
		w.fail(p)
	}
}

// show takes over what a node shows.
func (w *witness) show(p nodebus.Executed) {
	w.lost = w.lost || !w.begun
	if p.Output == nil {
		return
	}
	shown := nodebus.NodeOutput{Place: p.Place.WithDefaults(), UI: p.Output}
	for i := range w.o.Outputs {
		if w.o.Outputs[i].UniqueID == shown.UniqueID {
			w.o.Outputs[i] = shown
			return
		}
	}
	w.o.Outputs = append(w.o.Outputs, shown)
}

// fail takes over the error that ends the prompt. The error of a blocked node ends nothing.
func (w *witness) fail(p nodebus.ExecutionError) {
	switch p.ExceptionType {
	case nodebus.ExecutionBlocked:
		return
	case "refused":
		w.o.State = nodebus.Refused
	default:
		w.o.State = nodebus.Failed
	}
	w.o.Error = &p
}
