package nodebus

import (
	"cmp"
	"time"
)

// Payload is the body of an event. EventType is its name on the wire, the same
// for every value of the type; [Custom] is for names known only at run time.
//
// A payload is encoded as JSON by encoding/json's rules, or, if it implements
// [encoding.BinaryAppender], goes out as a binary frame.
type Payload interface{ EventType() string }

// Event is a payload and its address. An event of a prompt goes to the client in
// To, as a rule the submitter, and to all who watch the prompt. An event with To
// alone goes to this client. Only Broadcast reaches everyone.
//
// An executor and its nodes may leave the address empty: the engine then fills in
// the prompt and its submitter. [Hub.Publish] refuses an event without an address.
type Event struct {
	ID        uint64    // set by the Hub, increasing; a session's cursor
	Time      time.Time // set by the Hub
	PromptID  string    // the prompt that the event belongs to, if any
	To        string    // the id of the client that receives it, if only one does
	Broadcast bool      // everyone receives it; PromptID and To are empty then
	Attempt   int       // the attempt of the prompt that the event belongs to, from 1; 0 if unknown
	Payload   Payload

	// Frozen promises that nothing changes Payload, nor what it refers to, after
	// Publish. The hub may then encode a standard payload later, or never if no
	// client needs it. Whoever replaces the payload of an event must set Frozen anew.
	Frozen bool
}

// Place is where a node stands: in the graph that runs, and in the prompt that was
// submitted. For a node of the submitted prompt the three other ids may be empty.
type Place struct {
	UniqueID  string `json:"node_id"`         // the node's id in the graph, UNIQUE_ID to nodes
	DisplayID string `json:"display_node_id"` // the node of the prompt that clients show it on; default UniqueID
	ParentID  string `json:"parent_node_id"`  // the node that made it at run time; empty for a node of the prompt
	RealID    string `json:"real_node_id"`    // the node of the prompt at the end of the line of parents; default UniqueID
}

// WithDefaults returns p with the ids filled in that default to UniqueID.
func (p Place) WithDefaults() Place {
	p.DisplayID = cmp.Or(p.DisplayID, p.UniqueID)
	p.RealID = cmp.Or(p.RealID, p.UniqueID)
	return p
}

// Coalescer marks payloads whose newest value alone matters to a slow client: while
// an event waits in a client's queue, a newer event of the same type with the same key
// replaces it. The key should name the prompt or the node that the event is about. Two
// different subjects must have different keys.
type Coalescer interface{ CoalesceKey() string }

// Custom is an event whose type is known only at run time. Data is any value
// that encoding/json takes; with a []byte it is a binary frame, and Type must be
// the decimal number that starts the frame (the standard types use 1 to 4).
// Received, Data is a [json.RawMessage] or a []byte.
type Custom struct {
	Type string
	Data any
}

// EventType is c.Type.
func (c Custom) EventType() string { return c.Type }

// Status is the number of prompts that are queued or running. As the first event of a
// connection it also names the client.
type Status struct {
	QueueRemaining int
	SID            string // the client's id; only in the first event
}

// ExecutionStart says that a prompt begins. Times are Unix milliseconds.
type ExecutionStart struct {
	PromptID  string `json:"prompt_id"`
	Timestamp int64  `json:"timestamp"`
}

// ExecutionCached lists the nodes of the prompt whose results are known from
// an earlier run. It is sent once a prompt, also when there are none.
type ExecutionCached struct {
	Nodes     []string `json:"nodes"`
	PromptID  string   `json:"prompt_id"`
	Timestamp int64    `json:"timestamp"`
}

// Executing names the node that runs now. Without a node it closes the prompt: no event
// of the prompt follows it.
type Executing struct {
	UniqueID  string `json:"node"`                   // unique id; null on the wire if empty
	DisplayID string `json:"display_node,omitempty"` // the node to highlight
	PromptID  string `json:"prompt_id,omitempty"`
}

// Progress is one step of one node.
type Progress struct {
	Value    float64 `json:"value"`
	Max      float64 `json:"max"`
	PromptID string  `json:"prompt_id"`
	UniqueID string  `json:"node"` // null on the wire if empty
}

// ProgressState is a snapshot of all nodes of a prompt that have begun, in the
// order in which they began. On the wire Nodes is an object by node id.
type ProgressState struct {
	PromptID string
	Nodes    []NodeState
}

// NodeState is one node in a [ProgressState].
type NodeState struct {
	Place
	Value float64 `json:"value"`
	Max   float64 `json:"max"`
	State string  `json:"state"` // "running", "finished" or "error"
}

// Executed carries what a node shows. Output is null for a cached node that
// showed nothing. ParentID and RealID do not travel on the wire.
type Executed struct {
	Place
	Output   UI
	PromptID string
}

// UI is what a node shows: names, each with a list. Lists of images and other
// files hold [File] values.
type UI map[string][]any

// File names a file that clients may fetch.
type File struct {
	Filename  string `json:"filename"`
	Subfolder string `json:"subfolder"`
	Type      string `json:"type"` // the folder: "output", "temp" or "input"
}

// Text returns a UI that shows lines of text.
func Text(lines ...string) UI { return UI{"text": anyList(lines)} }

// Images returns a UI that shows image files.
func Images(files ...File) UI { return UI{"images": anyList(files)} }

func anyList[T any](values []T) []any {
	list := make([]any, len(values))
	for i, v := range values {
		list[i] = v
	}
	return list
}

// ExecutionSuccess ends a prompt whose outputs are all done.
type ExecutionSuccess struct {
	PromptID  string `json:"prompt_id"`
	Timestamp int64  `json:"timestamp"`
}

// ExecutionError ends a prompt in which a node failed. With ExceptionType
// "ExecutionBlocked" it is only a notice that a node was skipped, and the
// prompt goes on.
type ExecutionError struct {
	PromptID         string           `json:"prompt_id"`
	NodeID           string           `json:"node_id"` // of the submitted prompt; for a skipped node its unique id
	Class            string           `json:"node_type"`
	Executed         []string         `json:"executed"` // nodes that ran, in no order
	ExceptionMessage string           `json:"exception_message"`
	ExceptionType    string           `json:"exception_type"`
	Traceback        []string         `json:"traceback"`
	CurrentInputs    map[string][]any `json:"current_inputs"`  // [] on the wire if nil
	CurrentOutputs   []string         `json:"current_outputs"` // node ids, not values
	Timestamp        int64            `json:"timestamp,omitempty"`
}

// ExecutionInterrupted ends a prompt that was stopped. NodeID is empty if no
// node was running.
type ExecutionInterrupted struct {
	PromptID  string   `json:"prompt_id"`
	NodeID    string   `json:"node_id"`
	Class     string   `json:"node_type"`
	Executed  []string `json:"executed"`
	Timestamp int64    `json:"timestamp"`
}

// Preview is an image of work in progress. A frame of the old form, type 1,
// carries the image and its type alone.
type Preview struct {
	Place
	PromptID  string `json:"prompt_id"`
	ImageType string `json:"image_type"` // "image/jpeg" or "image/png"
	Image     []byte `json:"-"`          // the bytes of the image file
}

// ProgressText is a line of text that a node shows while it works. PromptID
// does not travel on the wire.
type ProgressText struct {
	PromptID string
	UniqueID string
	Text     string
}

// Gap tells a client that came back that events it missed are no longer kept: some or
// all events after Since and before Next. Since is the cursor that the client brought.
// It is 0 if this hub has not given out the cursor; the client may then have missed
// anything.
type Gap struct {
	Since uint64 `json:"since"`
	Next  uint64 `json:"next"`
}

// Overall is how much of a prompt is done, from 0 to 1; it never goes back. Cached nodes
// do not count. Nodes made at run time share the part of the node that made them. The
// value ends at 1 if the prompt succeeds. ComfyUI has no such event, so an executor
// publishes it only if it is asked to.
type Overall struct {
	PromptID string  `json:"prompt_id"`
	Value    float64 `json:"value"`
}

// EventType is "status".
func (Status) EventType() string { return "status" }

// EventType is "execution_start".
func (ExecutionStart) EventType() string { return "execution_start" }

// EventType is "execution_cached".
func (ExecutionCached) EventType() string { return "execution_cached" }

// EventType is "executing".
func (Executing) EventType() string { return "executing" }

// EventType is "progress".
func (Progress) EventType() string { return "progress" }

// EventType is "progress_state".
func (ProgressState) EventType() string { return "progress_state" }

// EventType is "executed".
func (Executed) EventType() string { return "executed" }

// EventType is "execution_success".
func (ExecutionSuccess) EventType() string { return "execution_success" }

// EventType is "execution_error".
func (ExecutionError) EventType() string { return "execution_error" }

// EventType is "execution_interrupted".
func (ExecutionInterrupted) EventType() string { return "execution_interrupted" }

// EventType is "b_preview_with_metadata", the name under which the stock
// front end dispatches such a frame.
func (Preview) EventType() string { return "b_preview_with_metadata" }

// EventType is "progress_text".
func (ProgressText) EventType() string { return "progress_text" }

// EventType is "nodebus.gap".
func (Gap) EventType() string { return "nodebus.gap" }

// EventType is "nodebus.overall".
func (Overall) EventType() string { return "nodebus.overall" }
