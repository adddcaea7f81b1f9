package flow

import (
	"context"
	"encoding/json"
)

// Signals carries interrupts and answers to the process that runs a prompt. It keeps the
// signals of a prompt until the prompt has ended, because a signal may come before the
// prompt runs, and a later attempt of the prompt needs the signals of the earlier one.
// It must be safe for concurrent use.
type Signals interface {
	// Send passes s to the receiver of the prompt, if there is one, and returns the error
	// of the receiver. It waits for its turn with the receiver, at most until ctx ends. Without an error it also keeps s for later receivers. If there is no
	// receiver, Send only keeps s. It returns [ErrFull] if it already keeps too many
	// signals of the prompt, or of all prompts.
	Send(ctx context.Context, s Signal) error
	// Receive calls f for each kept signal of the prompt, in the order in which they were
	// sent, and then for each new signal, until stop is called. f does not wait, and
	// Receive does not call it twice at the same time. An error of f for a kept signal has
	// no effect. A new Receive of the prompt replaces the earlier one. stop does not wait
	// for f; it may be called several times.
	Receive(promptID string, f func(Signal) error) (stop func(), err error)
	// Drop forgets the signals of a prompt that has ended. A receiver stays.
	Drop(ctx context.Context, promptID string) error
}

// Signal is an interrupt of a prompt, or an answer to a question of one of its nodes.
type Signal struct {
	PromptID  string `json:"prompt_id"`
	Interrupt bool   `json:"interrupt,omitempty"` // the other fields are empty then

	Node    string          `json:"node,omitempty"`    // the unique id of the node that asks
	Name    string          `json:"name,omitempty"`    // the name of the question
	Answer  json.RawMessage `json:"answer,omitempty"`  // nil if the question is refused
	Refused bool            `json:"refused,omitempty"` // the question is refused
	Reason  string          `json:"reason,omitempty"`  // why it is refused; may be empty
}
