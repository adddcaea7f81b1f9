package nodebus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// State tells how a prompt ended.
type State string

// The values of [State].
const (
	Succeeded   State = "success"
	Failed      State = "error"
	Interrupted State = "interrupted"
	// Refused means that a person or a program refused the prompt: a node returned a
	// [*RefusedError], or the process that took the prompt from the queue found that the
	// prompt is not valid there. Clients receive an [ExecutionError].
	Refused State = "refused"
)

// Outcome describes how a prompt ended: the state, the reasons, and what its nodes
// showed.
type Outcome struct {
	PromptID string
	State    State
	Attempt  int             // the attempt that ended the prompt, from 1
	Outputs  []NodeOutput    // in the order in which the nodes first showed something
	Error    *ExecutionError // why the prompt failed or was refused; nil for the other states
	// Errors lists the errors of all nodes that failed, in the order in which they failed.
	// Error is the first of them, unless a deadline or a timeout has ended the prompt.
	// It can have more than one only if the prompt continues after errors; see [Policy]. It
	// has at most 1000.
	Errors []NodeFailed
	// Rejected lists the outputs that were not valid and did not run. nil means that no
	// output was rejected.
	Rejected *ValidationError
	// Nodes describes the nodes that ran, failed, were blocked or were skipped, and the
	// cached nodes whose results were used, in the order in which that became known. It has at most 10 000: of a larger
	// prompt, first the nodes that did not end well, then as many of the others as fit.
	Nodes        []NodeRun
	NodesLeftOut int // number of nodes that Nodes lacks because there are too many
}

// NodeOutput contains what one node showed.
type NodeOutput struct {
	Place
	UI UI `json:"ui"`
}

// NodeRun describes what became of one node of a prompt.
type NodeRun struct {
	Place
	Class string `json:"class"`
	// Result is "done", "error", "blocked" (an input, or an element of its list, was blocked,
	// see [Block]; or the node blocked all its outputs with a reason) or "skipped" (a node
	// that it needs has failed), or "interrupted" (it ran when the prompt ended, or it has
	// interrupted the prompt). If the prompt continues after errors, a node whose own
	// expansion has failed has "error"; otherwise it has no entry. Other nodes without an
	// entry were not needed, or the prompt ended before they began.
	Result  string    `json:"result"`
	Cached  bool      `json:"cached,omitempty"`  // the result was used, and is from an earlier run; the node was not called
	Attempt int       `json:"attempt,omitempty"` // how often the node was called, if more than once for the same inputs; see flow/around
	Started time.Time `json:"started,omitzero"`  // zero if the node was not called
	Ended   time.Time `json:"ended,omitzero"`
	Reason  string    `json:"reason,omitempty"` // the text of the error, or why the node was blocked; may be empty, and is cut after 1000 bytes
	By      string    `json:"by,omitempty"`     // the unique id of the node that blocked, or that failed, if it is known
}

// Err returns nil if the prompt succeeded and all of it ran. Otherwise the error is:
//
//   - [ErrInterrupted] if the prompt was interrupted;
//   - a [*RefusedError] if it was refused; Error names the node, if a node refused;
//   - a [*NodeError] if it failed and Error names a node;
//   - an error with the text of Error if it failed and Error names no node;
//   - if a deadline or a timeout has ended it, one of these two errors, which then wraps
//     [context.DeadlineExceeded];
//   - a [*PartialError] if it succeeded, but outputs were rejected, or nodes were blocked
//     with a reason.
func (o *Outcome) Err() error {
	switch {
	case o.State == Succeeded:
		return o.partial()
	case o.State == Interrupted:
		return ErrInterrupted
	case o.Error == nil:
		return errors.New("nodebus: the prompt failed without an error")
	}
	text := strings.TrimSpace(o.Error.ExceptionMessage)
	err := errors.New(text)
	if typ := o.Error.ExceptionType; typ == "deadline" || typ == "timeout" {
		err = lateError{text}
	}
	if o.State == Refused {
		if text == ErrRefused.Error() { // it was refused without a reason
			text = ""
		}
		return &RefusedError{Reason: text}
	}
	if o.Error.NodeID == "" {
		return err
	}
	return &NodeError{
		Place: Place{UniqueID: o.Error.NodeID}, Class: o.Error.Class,
		Executed: o.Error.Executed, Inputs: o.Error.CurrentInputs, Err: err,
	}
}

// lateError is the error of a prompt that a deadline or a timeout has ended.
type lateError struct{ text string }

func (e lateError) Error() string { return e.text }
func (lateError) Unwrap() error   { return context.DeadlineExceeded }

// partial returns a *PartialError if a part of the prompt did not run, else nil.
func (o *Outcome) partial() error {
	e := &PartialError{Rejected: o.Rejected}
	for _, n := range o.Nodes {
		if n.Result == "blocked" && n.Reason != "" {
			e.Blocked = append(e.Blocked, n)
		}
	}
	if e.Rejected == nil && e.Blocked == nil {
		return nil
	}
	return e
}

// Output returns what the node with this unique id showed. It returns nil if the node
// showed nothing.
func (o *Outcome) Output(uniqueID string) UI {
	for i := range o.Outputs {
		if o.Outputs[i].UniqueID == uniqueID {
			return o.Outputs[i].UI
		}
	}
	return nil
}

// Files lists the files among the values that a node showed, for example the images of a
// node that saves images, in order of the names. It finds each [File], and each JSON object
// with a filename, which is what a client receives.
func (u UI) Files() (files []File) {
	names := make([]string, 0, len(u))
	for name := range u {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range u[name] {
			if f, ok := asFile(v); ok {
				files = append(files, f)
			}
		}
	}
	return files
}

func asFile(v any) (f File, ok bool) {
	switch v := v.(type) {
	case File:
		return v, v.Filename != ""
	case *File:
		if v != nil {
			f = *v
		}
	case map[string]any:
		f.Filename, _ = v["filename"].(string)
		f.Subfolder, _ = v["subfolder"].(string)
		f.Type, _ = v["type"].(string)
	}
	return f, f.Filename != ""
}

// PartialError means that a prompt succeeded, but a part of it did not run.
type PartialError struct {
	Rejected *ValidationError // outputs that were not valid; nil if there are none
	Blocked  []NodeRun        // nodes that were blocked with a reason
}

// shownBlocked is the number of blocked nodes that the text of a PartialError names.
const shownBlocked = 10

func (e *PartialError) Error() string {
	var parts []string
	if e.Rejected != nil {
		parts = append(parts, strings.TrimPrefix(e.Rejected.Error(), "nodebus: "))
	}
	for i, n := range e.Blocked {
		if i == shownBlocked {
			parts = append(parts, fmt.Sprintf("and %d more nodes", len(e.Blocked)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("node %s (%s) was blocked: %s", n.UniqueID, n.Class, n.Reason))
	}
	return "nodebus: a part of the prompt did not run: " + strings.Join(parts, "; ")
}
