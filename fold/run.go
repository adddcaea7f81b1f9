package fold

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nodebus/nodebus"
)

// Running is the State of a [Run] that has begun and has not ended.
const Running nodebus.State = "running"

// The values of [Node].State.
const (
	NodeRunning     = "running"
	NodeFinished    = "finished"
	NodeError       = "error"
	NodeCached      = "cached"      // the result is from an earlier run
	NodeBlocked     = "blocked"     // the node was skipped, because a node before it blocked with a reason
	NodeInterrupted = "interrupted" // the run ended while the node ran
)

// Run is the state of one run of a prompt, as far as its events tell it. The zero value
// is a run that nothing is known about. It is a [nodebus.Payload]: as the event
// "nodebus.run" it is a snapshot, which replaces the state of a reader.
//
// A Run is not safe for concurrent use. Do not copy a Run by assignment and then apply
// events to both; use [Run.Clone]. The values inside belong to the Run: read them, and
// change nothing, because outputs are shared with the events.
type Run struct {
	PromptID string `json:"prompt_id"`
	// State is "" while nothing is known or the prompt waits in the queue, then [Running],
	// then one of the states of package nodebus.
	State   nodebus.State `json:"state"`
	Attempt int           `json:"attempt,omitempty"` // from 1; 0: unknown
	Started int64         `json:"started,omitempty"` // Unix milliseconds; 0: unknown
	Ended   int64         `json:"ended,omitempty"`   // Unix milliseconds; 0: not ended, or unknown
	// Cursor is the place of the newest event of the run, as text; see
	// [nodebus.ParseCursor]. It is empty if no event had a cursor.
	Cursor string           `json:"cursor,omitempty"`
	Nodes  map[string]*Node `json:"nodes"` // by unique id; only the nodes that events have named
	Order  []string         `json:"order"` // the unique ids of Nodes, in the order in which events first named them
	// Overall tells how much of the prompt is done, from 0 to 1. It stays 0 if the server
	// does not report it, see [nodebus.Overall].
	Overall float64           `json:"overall,omitempty"`
	Waiting []nodebus.Waiting `json:"waiting"`          // the open questions, in the order in which they were asked
	Error   *Failure          `json:"error,omitempty"`  // why the run failed or was refused
	Closed  bool              `json:"closed,omitempty"` // no event of the run follows
	// Incomplete says that events are missing, so parts of the state may be wrong or
	// absent. Ask for a new snapshot.
	Incomplete bool `json:"incomplete,omitempty"`
}

// Node is the state of one node of a [Run].
type Node struct {
	nodebus.Place
	State    string            // one of the constants
	Value    float64           // how far the node is, from 0 to Max
	Max      float64           // 0: the number of steps is unknown
	Output   nodebus.UI        // what the node shows; nil: nothing
	Text     string            // the newest line of text, see nodebus.ProgressText
	Texts    map[string]string // the texts so far, by name, see nodebus.TextPiece
	Error    *Failure          // why the node failed or was blocked; nil for the other states
	Duration time.Duration     // of the node's calls; 0: unknown

	pieces map[string]*strings.Builder // what Texts is made of, so that a text grows without a copy for each piece
}

// Failure tells why a run or a node failed.
type Failure struct {
	// NodeID and Class name the node of the submitted prompt, as in
	// [nodebus.ExecutionError]. They are empty in a [Node], and if no node failed.
	NodeID           string   `json:"node_id,omitempty"`
	Class            string   `json:"node_type,omitempty"`
	ExceptionType    string   `json:"exception_type"`
	ExceptionMessage string   `json:"exception_message"`
	Traceback        []string `json:"traceback"`
}

// EventType returns "nodebus.run".
func (Run) EventType() string { return "nodebus.run" }

// All returns the nodes in the order in which events first named them.
func (r *Run) All() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for _, id := range r.Order {
			if n := r.Nodes[id]; n != nil && !yield(n) {
				return
			}
		}
	}
}

// Clone returns a copy. Events that are applied to the copy do not change r.
func (r *Run) Clone() *Run {
	c := *r
	c.Order, c.Waiting = slices.Clone(r.Order), slices.Clone(r.Waiting)
	c.Nodes = make(map[string]*Node, len(r.Nodes))
	for id, n := range r.Nodes {
		if n == nil {
			continue
		}
		same := *n
		same.Texts, same.pieces = maps.Clone(n.Texts), nil
		c.Nodes[id] = &same
	}
	return &c
}
