package nodebus

import (
	"errors"
	"strings"
)

// State is how a prompt ended.
type State string

// The ways in which a prompt ends.
const (
	Succeeded   State = "success"
	Failed      State = "error"
	Interrupted State = "interrupted"
)

// Outcome is how a prompt ended, and what its nodes showed.
type Outcome struct {
	PromptID string
	State    State
	Outputs  []NodeOutput    // in the order in which nodes first showed something
	Error    *ExecutionError // what went wrong; nil unless State is Failed
}

// NodeOutput is what one node showed.
type NodeOutput struct {
	Place
	UI UI `json:"ui"`
}

// Err returns nil if the prompt succeeded, an error that is [ErrInterrupted] if it
// was interrupted, and a [*NodeError] or another error with the text of Error if it
// failed.
func (o *Outcome) Err() error {
	switch {
	case o.State == Succeeded:
		return nil
	case o.State == Interrupted:
		return ErrInterrupted
	case o.Error == nil:
		return errors.New("nodebus: the prompt failed without an error")
	}
	err := errors.New(strings.TrimSpace(o.Error.ExceptionMessage))
	if o.Error.NodeID == "" {
		return err
	}
	return &NodeError{
		Place: Place{UniqueID: o.Error.NodeID}, Class: o.Error.Class,
		Executed: o.Error.Executed, Inputs: o.Error.CurrentInputs, Err: err,
	}
}

// Output returns what a node showed, and nil if it showed nothing.
func (o *Outcome) Output(uniqueID string) UI {
	for i := range o.Outputs {
		if o.Outputs[i].UniqueID == uniqueID {
			return o.Outputs[i].UI
		}
	}
	return nil
}
