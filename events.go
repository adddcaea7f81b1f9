package nodebus

import (
	"cmp"
	"encoding/json"
	"time"
)

// Payload is the body of an event. EventType returns the name of the event on the wire.
// All values of a Go type have the same name; [Custom] is for names that are known only
// at run time.
//
// A payload is encoded as JSON by the rules of encoding/json, with two exceptions, at any
// depth: NaN and infinities are null, because browsers cannot read them, and a nil slice is
// [], because ComfyUI's lists are never null. A nil map, a nil pointer and a nil []byte
// are null. What a MarshalJSON of the payload returns stays as it is. A payload that
// implements [encoding.BinaryAppender] is sent as a binary frame instead.
type Payload interface{ EventType() string }

// Event is a payload and its address. The address decides who receives the event:
//
//   - PromptID: the client in To, usually the submitter, and all clients that watch the
//     prompt.
//   - To without PromptID: this client only.
//   - Broadcast: every client.
//
// An executor and its nodes may leave the address empty; the engine then fills in the
// prompt and its submitter. [Hub.Publish] refuses an event without an address.
type Event struct {
	ID        uint64    // set by the Hub; increases with each event
	Epoch     string    // set by the Hub; the life of the log that gave ID, see Cursor
	Time      time.Time // set by the Hub
	PromptID  string    // the prompt that the event belongs to, if any
	To        string    // the id of the client that receives it, if only one does
	Broadcast bool      // everyone receives it; PromptID and To are empty then
	Attempt   int       // the attempt of the prompt that the event belongs to, from 1; 0 if unknown. Sent only above 1
	Payload   Payload

	// Frozen promises that nothing changes Payload, or data that Payload points to,
	// after Publish. The hub may then encode a standard payload later, or never if no
	// client needs it. By default, the hub encodes a payload that could change before
	// Publish returns. Code that replaces the payload of an event must set Frozen again
	// for the new payload.
	Frozen bool

	// What the hub knows about the event while it passes through a log. A foreign log need
	// not keep them.
	mark mark
	memo any // the message, if it exists
}

// mark holds the properties of a payload that the log and the hub need.
type mark struct {
	size      int32 // estimate of the frame's bytes
	known     bool  // the other fields are set
	coalesces bool
	step      bool // see traits
	outcome   bool // see traits
	extension bool // see traits
}

// Cursor returns the place of the event in the log, see [SessionOptions].Since.
func (ev Event) Cursor() Cursor { return Cursor{ev.Epoch, ev.ID} }

// Place identifies a node in two graphs: the graph that runs, and the prompt that was
// submitted. For a node of the submitted prompt, DisplayID, ParentID and RealID may be
// empty.
type Place struct {
	UniqueID  string `json:"node_id"`         // the node's id in the graph that runs; nodes receive it as UNIQUE_ID
	DisplayID string `json:"display_node_id"` // the node of the prompt on which clients show this node; default UniqueID
	ParentID  string `json:"parent_node_id"`  // the node that made this node at run time; empty for a node of the prompt
	RealID    string `json:"real_node_id"`    // the node of the prompt from which its chain of parents starts; default UniqueID
}

// WithDefaults returns a copy of p in which an empty DisplayID or RealID is UniqueID.
func (p Place) WithDefaults() Place {
	p.DisplayID = cmp.Or(p.DisplayID, p.UniqueID)
	p.RealID = cmp.Or(p.RealID, p.UniqueID)
	return p
}

// Coalescer is a payload whose older values a slow client does not need. While an
// event waits in a client's queue, a newer event with the same type and the same key
// replaces the older event. The key should name the prompt or the node that the event
// is about. Events about two different subjects must have different keys; otherwise
// clients miss events.
type Coalescer interface{ CoalesceKey() string }

// Custom is a payload whose type is known only at run time. Data is any value that has a
// JSON form, see [Payload]. If Data is a []byte, the event is a binary frame, and Type
// must be the decimal number at the start of the frame (the standard types use 1 to 4).
// In a received event, Data is a [json.RawMessage] or a []byte.
type Custom struct {
	Type string
	Data any
}

// EventType returns c.Type.
func (c Custom) EventType() string { return c.Type }

// Status reports the number of prompts that are queued or running. The first event of a
// connection is a Status that also contains the client's id.
type Status struct {
	QueueRemaining int
	Paused         bool   // the engine that sends it begins no waiting prompt; sent only if true
	SID            string // the client's id; only in the first event
}

// ExecutionStart reports that a prompt begins. All timestamps are Unix milliseconds. If a
// prompt begins again, a reader must forget what the earlier attempt has reported.
type ExecutionStart struct {
	PromptID  string `json:"prompt_id"`
	Timestamp int64  `json:"timestamp"`
	Attempt   int    `json:"attempt"` // the number of the attempt, from 1; sent only above 1
}

// ExecutionCached lists the nodes of the prompt whose results are known from an earlier
// run. Each prompt has this event once, also when the list is empty.
type ExecutionCached struct {
	Nodes     []string `json:"nodes"`
	PromptID  string   `json:"prompt_id"`
	Timestamp int64    `json:"timestamp"`
}

// Executing reports which node runs now. With an empty UniqueID it closes the prompt:
// no event of the prompt follows.
type Executing struct {
	UniqueID  string `json:"node"`                   // the node that runs; null on the wire if empty
	DisplayID string `json:"display_node,omitempty"` // the node of the prompt that a client highlights
	PromptID  string `json:"prompt_id,omitempty"`
}

// Progress reports how far one node is: Value out of Max. Clients receive 0 ≤ Value ≤ Max:
// numbers outside become the nearest limit, and a negative Max becomes 0. Max 0 means that
// the number of steps is unknown, and null on the wire means that the number is.
type Progress struct {
	Value    float64 `json:"value"`
	Max      float64 `json:"max"`
	PromptID string  `json:"prompt_id"`
	UniqueID string  `json:"node"` // null on the wire if empty
}

// ProgressState is a snapshot of all nodes of a prompt that have begun. On the wire, the
// nodes are an object with the node ids as names. The nodes of a ProgressState never
// change; the zero value has none.
type ProgressState struct {
	PromptID string
	list     []NodeState // nil if the snapshot is shared
	shared   *snapshot   // the list of a Tracker; or nil
}

// NodeState is the state of one node in a [ProgressState].
type NodeState struct {
	Place
	Value float64 `json:"value"`
	Max   float64 `json:"max"`
	State string  `json:"state"` // "running", "finished" or "error"
}

// Executed contains what a node shows to the user. Output is nil (null on the wire) for
// a cached node that shows nothing. ParentID and RealID are not sent on the wire.
type Executed struct {
	Place
	Output   UI
	PromptID string
}

// UI contains what a node shows to the user: lists of values by name. Lists of images
// and other files hold [File] values.
type UI map[string][]any

// File identifies a file that clients may fetch.
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

// ExecutionSuccess ends a prompt when all its outputs are done.
type ExecutionSuccess struct {
	PromptID  string `json:"prompt_id"`
	Timestamp int64  `json:"timestamp"`
}

// ExecutionBlocked is the ExceptionType of an [ExecutionError] that does not end its prompt.
const ExecutionBlocked = "ExecutionBlocked"

// ExecutionError ends a prompt in which a node failed. If ExceptionType is
// [ExecutionBlocked], the event is only a notice that one node was skipped, and the prompt
// continues.
type ExecutionError struct {
	PromptID         string           `json:"prompt_id"`
	NodeID           string           `json:"node_id"` // the node of the submitted prompt; for a skipped node its unique id
	Class            string           `json:"node_type"`
	Executed         []string         `json:"executed"` // ids of the nodes that ran, in no particular order
	ExceptionMessage string           `json:"exception_message"`
	ExceptionType    string           `json:"exception_type"`
	Traceback        []string         `json:"traceback"`
	CurrentInputs    map[string][]any `json:"current_inputs"`  // [] on the wire if nil
	CurrentOutputs   []string         `json:"current_outputs"` // node ids, not values
	Timestamp        int64            `json:"timestamp,omitempty"`
}

// ExecutionInterrupted ends a prompt that was interrupted. NodeID is empty if no node
// was running.
type ExecutionInterrupted struct {
	PromptID  string   `json:"prompt_id"`
	NodeID    string   `json:"node_id"`
	Class     string   `json:"node_type"`
	Executed  []string `json:"executed"`
	Timestamp int64    `json:"timestamp"`
}

// Preview is an image of the unfinished work of a node, or a finished picture if Final is
// not 0. A newer preview of a node replaces an older one. A picture is not replaced. A binary
// frame of type 1, for older clients, contains only the image and its format.
type Preview struct {
	Place
	PromptID  string `json:"prompt_id"`
	ImageType string `json:"image_type"` // "image/jpeg" or "image/png"
	// Final is the number of a finished picture, from 1, among the pictures of a call. It is 0
	// for unfinished work. Two pictures of a call must not have the same number. Not sent if 0.
	Final int `json:"final,omitempty"`
	// Index is the number of the call that has sent the picture, from 0, if the node is called
	// for each element of a list. Not sent if 0.
	Index int    `json:"index,omitempty"`
	Image []byte `json:"-"` // the bytes of the image file
}

// ProgressText is a line of text that a node shows while it works. PromptID is not sent
// on the wire.
type ProgressText struct {
	PromptID string
	UniqueID string
	Text     string
}

// Gap reports to a client that reconnected that some events are lost: some or all
// events after Since and before Next, because the hub no longer keeps them. Since is
// the last ID that the client received. It is 0 if this hub never used that ID; the
// client may then have missed any number of events. Package client yields a Gap with two
// zeros after each reconnect to a server without cursors, which ComfyUI is.
type Gap struct {
	Since uint64 `json:"since"`
	Next  uint64 `json:"next"`
}

// Overall reports how much of a prompt is done, from 0 to 1. The value never decreases.
// Cached nodes do not count. Nodes made at run time share the part of the node that
// made them. If the prompt succeeds, the last value is 1. ComfyUI has no such event; an
// executor publishes it only if an option asks for it.
type Overall struct {
	PromptID string  `json:"prompt_id"`
	Value    float64 `json:"value"`
}

// NodeFailed reports that a node has failed in a prompt that continues after errors. The
// prompt still ends with one [ExecutionError]. It is sent only in an envelope, see
// [JSONCodec].
type NodeFailed struct {
	Place
	PromptID         string   `json:"prompt_id"`
	Class            string   `json:"node_type"`
	ExceptionMessage string   `json:"exception_message"`
	ExceptionType    string   `json:"exception_type"`
	Traceback        []string `json:"traceback"` // [] on the wire if nil
	Attempt          int      `json:"attempt"`   // how often the node was called for the same inputs; sent only above 1
}

// Waiting reports that a node waits for an answer from outside. The place and Name
// identify the question; [Await] asks it. A later Waiting of the same question replaces the
// earlier one. It is sent only in an envelope, see [JSONCodec].
type Waiting struct {
	Place
	PromptID string          `json:"prompt_id"`
	Name     string          `json:"name"`     // identifies the question within the node
	Schema   json.RawMessage `json:"schema"`   // JSON Schema of the answer; nil: any JSON. Not sent if nil
	Deadline int64           `json:"deadline"` // Unix milliseconds; 0: none. Not sent if 0
}

// Answered reports that the question of a [Waiting] is settled, so clients remove their
// form. It does not contain the answer, because an answer may be secret. The end of the
// prompt settles all questions without this event. It is sent only in an envelope, see
// [JSONCodec].
type Answered struct {
	Place
	PromptID string `json:"prompt_id"`
	Name     string `json:"name"`   // the Name of the Waiting
	Result   string `json:"result"` // "answered", "refused", or "expired" if the node waits no longer, for example because the deadline has passed
}

// TextPiece is a piece of a text that a node produces bit by bit; [Context.Text] publishes
// it. A piece with Offset 0 begins the text anew. Readers append every other piece. The place
// and Name identify the text. Piece should not split a character: the JSON of an incomplete
// character is U+FFFD. It is sent only in an envelope, see [JSONCodec]. Several pieces that
// wait for a client become one piece.
type TextPiece struct {
	Place
	PromptID string `json:"prompt_id"`
	Name     string `json:"name"`   // identifies the text within the node; may be empty
	Offset   int    `json:"offset"` // the length of the text before the piece, in bytes of UTF-8
	Piece    string `json:"piece"`
}

// NodeDone reports that a node has ended without an error. A node that was blocked, or that
// blocked all its outputs with a reason, has none. NodeDone is sent only in an envelope, see
// [JSONCodec]. Local sends it if its option NodeDone is set.
type NodeDone struct {
	Place
	PromptID string        `json:"prompt_id"`
	Duration time.Duration `json:"duration"` // of the node's calls; 0 for a cached node. Milliseconds on the wire, with a fraction
	Cached   bool          `json:"cached"`   // the result is from an earlier run
	Attempt  int           `json:"attempt"`  // how often the node was called for the same inputs; sent only above 1
}

// Watching answers a client's request to watch a prompt, or to watch it no longer. ComfyUI
// has no such event.
type Watching struct {
	PromptID string `json:"prompt_id"`
	Watching bool   `json:"watching"`
	// Incomplete says that the log no longer keeps all events of the past of the prompt.
	Incomplete bool   `json:"incomplete,omitempty"`
	Error      string `json:"error,omitempty"` // why the request was refused
}

// EventType returns "nodebus.watching".
func (Watching) EventType() string { return "nodebus.watching" }

// EventType returns "status".
func (Status) EventType() string { return "status" }

// EventType returns "execution_start".
func (ExecutionStart) EventType() string { return "execution_start" }

// EventType returns "execution_cached".
func (ExecutionCached) EventType() string { return "execution_cached" }

// EventType returns "executing".
func (Executing) EventType() string { return "executing" }

// EventType returns "progress".
func (Progress) EventType() string { return "progress" }

// EventType returns "progress_state".
func (ProgressState) EventType() string { return "progress_state" }

// EventType returns "executed".
func (Executed) EventType() string { return "executed" }

// EventType returns "execution_success".
func (ExecutionSuccess) EventType() string { return "execution_success" }

// EventType returns "execution_error".
func (ExecutionError) EventType() string { return "execution_error" }

// EventType returns "execution_interrupted".
func (ExecutionInterrupted) EventType() string { return "execution_interrupted" }

// EventType returns "b_preview_with_metadata", the name that ComfyUI's front end uses
// for such a frame.
func (Preview) EventType() string { return "b_preview_with_metadata" }

// EventType returns "progress_text".
func (ProgressText) EventType() string { return "progress_text" }

// EventType returns "nodebus.gap".
func (Gap) EventType() string { return "nodebus.gap" }

// EventType returns "nodebus.overall".
func (Overall) EventType() string { return "nodebus.overall" }

// EventType returns "nodebus.node_error".
func (NodeFailed) EventType() string { return "nodebus.node_error" }

// EventType returns "nodebus.waiting".
func (Waiting) EventType() string { return "nodebus.waiting" }

// EventType returns "nodebus.answered".
func (Answered) EventType() string { return "nodebus.answered" }

// EventType returns "nodebus.text".
func (TextPiece) EventType() string { return "nodebus.text" }

// EventType returns "nodebus.node_done".
func (NodeDone) EventType() string { return "nodebus.node_done" }
