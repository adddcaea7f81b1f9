package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nodebus/nodebus"
)

// Answer answers a question that a node has asked with [nodebus.Await], or will ask. node
// is the unique id of the node, and name is the name of the question; both are in the
// [nodebus.Waiting] that clients receive. value is encoded as JSON. An answer that comes
// before its question is kept for it. Errors:
//
//   - [ErrNotFound] if the prompt neither waits nor runs;
//   - [ErrAnswer] if the answer does not fit; the node waits on, and the answer is not
//     kept. Answer checks this only if the question is open: a kept answer that does not
//     fit is ignored later;
//   - [ErrFull] if too many answers are kept;
//   - an error of encoding/json if value has no JSON form; an error of the queue or of
//     the Signals.
func (e *Engine) Answer(ctx context.Context, promptID, node, name string, value any) error {
	var data []byte
	err := nodebus.Protect(func() (err error) {
		data, err = json.Marshal(value)
		return err
	})
	if err != nil {
		return fmt.Errorf("nodebus: the answer to %q has no JSON form: %w", name, err)
	}
	return e.reply(ctx, Signal{PromptID: promptID, Node: node, Name: name, Answer: data})
}

// Refuse says no to a question: [nodebus.Await] returns a [*nodebus.RefusedError] with the
// reason, which may be empty. If the node returns that error, the prompt ends as refused.
// Otherwise Refuse is like [Engine.Answer].
func (e *Engine) Refuse(ctx context.Context, promptID, node, name, reason string) error {
	return e.reply(ctx, Signal{PromptID: promptID, Node: node, Name: name, Refused: true, Reason: reason})
}

// reply sends an answer to a prompt that waits or runs.
func (e *Engine) reply(ctx context.Context, s Signal) error {
	if err := e.mustLive(ctx, s.PromptID); err != nil {
		return err
	}
	err := nodebus.Protect(func() error { return e.opts.Signals.Send(ctx, s) })
	switch {
	case err == nil:
	case isAny(err, ErrAnswer, ErrFull): // clients show it to users, so the reason comes first
		return fmt.Errorf("%w: question %q of node %s in prompt %s", err, s.Name, s.Node, s.PromptID)
	default:
		return fmt.Errorf("nodebus: answering %q of node %s in prompt %s: %w", s.Name, s.Node, s.PromptID, err)
	}
	// If the prompt has ended meanwhile, perhaps because of this answer, nobody else may
	// drop what is kept.
	if errors.Is(e.mustLive(ctx, s.PromptID), ErrNotFound) {
		e.dropSignals(s.PromptID)
	}
	return nil
}

// mustLive returns an error unless a prompt waits or runs, here or in another process.
func (e *Engine) mustLive(ctx context.Context, promptID string) error {
	e.mu.Lock()
	en := e.entries[promptID]
	known := en != nil && !en.ends && (en.run != nil || !en.pushed) // otherwise it may have ended elsewhere
	e.mu.Unlock()
	if known {
		return nil
	}
	_, known, err := e.find(ctx, promptID)
	if err == nil && !known {
		err = fmt.Errorf("%w: no prompt with this id waits or runs: prompt %q", ErrNotFound, promptID)
	}
	return err
}
