package nodebus

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// Context is the [context.Context] of one call of one node. It is safe for concurrent
// use. After Run has returned, its methods that send events return [ErrClosed].
type Context struct {
	context.Context
	call    *CallInfo // its Job, Publisher and Logger; the calls of a prompt may share it
	runtime Runtime
	id      string
	made    *Place   // all ids of the node, with defaults; nil if they all are id
	of      *Context // the context of the whole call, if this is the context of a part of it; else nil
	index   int32
	state   atomic.Uint32 // the flags below, plus the number of graphs that the call has made
}

// Flags of Context.state.
const (
	contextEnded   = 1 << 31 // End was called
	contextDraws   = 1 << 30 // the call has sent an image, see previews
	contextTexts   = 1 << 29 // Text was called, for this Context or for a Context made from it
	contextWith    = 1 << 28 // made by With: not a call or a try of its own
	contextNumbers = contextWith - 1
)

// CallInfo describes one call of a node. An executor gives it to [NewContext].
type CallInfo struct {
	Place
	Job       *Job         // the prompt that runs
	Index     int          // number of the call, if the node is called for each element of a list
	Publisher Publisher    // receives the events of the node; if nil, SendSync returns an error
	Runtime   Runtime      // if nil, the node cannot use lazy inputs or run graphs
	Logger    *slog.Logger // nil: log messages are discarded
	// PreviewNow makes [Context.Preview] encode and send each image before it returns. It
	// is for tests that want to see every image. Default: a goroutine encodes the newest
	// image, see Context.Preview.
	PreviewNow bool
	// TextPause is how long a write to a text waits for further writes, to be sent with
	// them; see [Context.Text]. The first write after a pause does not wait. Default 0: each
	// write is an event of its own.
	TextPause time.Duration

	previews *previews // never nil, as texts; the calls of a prompt may share it
	texts    *texts
}

// NewContext returns the context of a call. It is for executors. An executor calls
// [Context.End] when Run has returned.
func NewContext(ctx context.Context, call CallInfo) *Context {
	if call.Job == nil {
		call.Job = noJob
	}
	call.previews, call.texts = &previews{}, &texts{}
	c := &Context{}
	c.Begin(&Context{Context: ctx, call: &call}, call.Place, call.Index, call.Runtime)
	return c
}

// Begin makes a zero Context the context of a call in the same prompt as other: it has the
// context.Context, Job, Publisher and Logger of other. It is for an executor that
// allocates its Contexts as part of a larger struct. Call it once.
func (c *Context) Begin(other *Context, at Place, index int, rt Runtime) {
	c.Context, c.call, c.runtime, c.index = other.Context, other.call, rt, int32(index)
	c.id = at.UniqueID
	if at.ParentID == "" && isOrEmpty(at.DisplayID, c.id) && isOrEmpty(at.RealID, c.id) {
		return
	}
	made := at.WithDefaults()
	c.made = &made
}

func isOrEmpty(id, other string) bool { return id == "" || id == other }

// ofPrompt returns the ids of a node of the prompt, which are all the same.
func (c *Context) ofPrompt() Place { return Place{UniqueID: c.id, DisplayID: c.id, RealID: c.id} }

var noJob = &Job{Prompt: &Prompt{}}

// End ends the use of the context: from now on its methods that send events return
// [ErrClosed]. It is for executors, which call it before they publish that the node has
// ended: End publishes the rest of the texts of the call, see [Context.Text], and drops a
// preview that is not yet encoded. If a preview is being published, End waits for that
// Publish, so that no preview follows what the executor publishes after End. Do not call End
// while holding a lock that the Publisher may need. End does not cancel the context.Context
// inside.
func (c *Context) End() {
	state := c.state.Or(contextEnded)
	if state&contextTexts != 0 {
		c.endTexts()
	}
	if state&contextDraws != 0 {
		c.call.previews.end(c)
	}
}

// Ended reports whether End was called, for this Context or for a Context from which it
// was made.
func (c *Context) Ended() bool {
	for ; c != nil; c = c.of {
		if c.state.Load()&contextEnded != 0 {
			return true
		}
	}
	return false
}

// BeginWithin makes a zero Context the context of a part of the call of outer: of one try,
// or of one element of a list. It has the node, Job, Publisher and Logger of outer, and it
// ends no later than outer, see [Context.End]. It is for executors, like Begin. Call it
// once.
func (c *Context) BeginWithin(outer *Context, ctx context.Context, index int, rt Runtime) { //nolint:revive // like Begin
	c.Context, c.call, c.runtime, c.index = ctx, outer.call, rt, int32(index)
	c.id, c.made, c.of = outer.id, outer.made, outer
}

// With returns a Context of the same call for which ctx replaces the context.Context of c.
// Usually ctx derives from c. The new Context ends no later than c, see [Context.End]. It
// is for functions around a call, for example to set a time limit with
// [context.WithTimeoutCause].
func (c *Context) With(ctx context.Context) *Context {
	d := &Context{}
	d.BeginWithin(c, ctx, c.Index(), c.runtime)
	d.state.Store(contextWith)
	return d
}

// UniqueID returns the node's id in the graph that runs. A node made at run time has
// the id that the expansion gave to it. If a result depends on UniqueID or PromptID,
// the node needs an input with a `hidden` tag for that id. Otherwise the cache shares
// the result with equal nodes that have other ids.
func (c *Context) UniqueID() string { return c.id }

// DisplayID returns the id of the node of the submitted prompt on which clients show
// this node.
func (c *Context) DisplayID() string { return c.Place().DisplayID }

// Place returns all ids of the node: in the graph that runs and in the submitted
// prompt.
func (c *Context) Place() Place {
	if c.made != nil {
		return *c.made
	}
	return c.ofPrompt()
}

// PromptID returns the id of the prompt that runs.
func (c *Context) PromptID() string { return c.call.Job.Prompt.ID }

// ClientID returns the id of the client that submitted the prompt. It is empty if no
// client did.
func (c *Context) ClientID() string { return c.call.Job.Prompt.ClientID }

// Attempt returns how many times the prompt was started, including this time. It is 0
// if the executor does not know.
func (c *Context) Attempt() int { return c.call.Job.Attempt }

// Index returns the number of this call, from 0, if the node is called once for each
// element of a list.
func (c *Context) Index() int { return int(c.index) }

// Logger returns a logger that adds the ids of the prompt and the node to each message.
// It is never nil.
func (c *Context) Logger() *slog.Logger {
	if c.call.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.call.Logger.With("prompt", c.PromptID(), "node", c.UniqueID())
}

// SendSync sends p to the client that submitted the prompt and to all clients that
// watch the prompt. It returns when p is encoded. It does not wait for clients. It
// returns [ErrClosed] after Run has returned, and otherwise the errors of
// [Hub.Publish].
func (c *Context) SendSync(p Payload) error {
	return c.publish(Event{PromptID: c.PromptID(), To: c.ClientID(), Attempt: c.Attempt(), Payload: p})
}

// Broadcast sends p to every client of the hub, including the clients of other users.
// It returns the same errors as SendSync.
func (c *Context) Broadcast(p Payload) error {
	return c.publish(Event{Broadcast: true, Payload: p})
}

var errNoPublisher = errors.New("nodebus: this executor does not publish")

func (c *Context) publish(ev Event) error {
	if err := c.maySend(); err != nil {
		return err
	}
	c.flushTexts()
	ev.Payload = clamped(ev.Payload)
	return c.call.Publisher.Publish(ev)
}

// Progress reports that the node has done value out of max. A node may call it for
// every step: the executor limits how many reports clients receive. Progress returns no
// error. Clients receive 0 ≤ value ≤ max: numbers outside become the nearest limit, and a
// negative max becomes 0. A report with a number that is not finite is ignored.
func (c *Context) Progress(value, max float64) {
	if c.Ended() || !jsonenc.Finite(value, max) {
		return
	}
	at := step{value, max}.clamped()
	if c.state.Load()&contextDraws != 0 && c.call.previews.progress(c, at) {
		return
	}
	c.report(at)
}

// report sends progress.
func (c *Context) report(at step) {
	if c.runtime != nil {
		_ = c.runtime.Progress(at.value, at.max)
		return
	}
	_ = c.SendSync(Progress{Value: at.value, Max: at.max, PromptID: c.PromptID(), UniqueID: c.UniqueID()})
}

// Hidden returns the value of a hidden input. name is the name in a `hidden` tag:
// UNIQUE_ID, PROMPT_ID, PROMPT, DYNPROMPT, EXTRA_PNGINFO, COMFY_USAGE_SOURCE, or the name of a
// secret. If a secret is unknown, Hidden returns an empty string. It does not know what a
// prompt has under the name of a node's own hidden input.
//
// EXTRA_PNGINFO is what the submission had, so that it can be written again without a change:
// numbers that came as JSON are a [json.Number]. A field with the tag has Go numbers there.
// Numbers inside PROMPT and DYNPROMPT may be a json.Number, too. [To] converts them.
func (c *Context) Hidden(name string) any {
	p := c.call.Job.Prompt
	switch name {
	case "UNIQUE_ID":
		return c.UniqueID()
	case "PROMPT_ID":
		return p.ID
	case "PROMPT":
		return p.Nodes
	case "DYNPROMPT":
		if c.runtime != nil {
			return c.runtime.Graph()
		}
		return p.Nodes
	case "EXTRA_PNGINFO":
		return p.Extra["extra_pnginfo"]
	case "COMFY_USAGE_SOURCE":
		source, _ := p.Extra["comfy_usage_source"].(string)
		return source
	}
	return c.call.Job.Secrets[name]
}

// Runtime returns the executor's services for the node, or nil if it has none. It is
// for code that calls other nodes.
func (c *Context) Runtime() Runtime { return c.runtime }

// NewGraph returns an empty graph for nodes made at run time. The ids of its nodes are
// "<unique id>.<index of the call>.<number of the graph>.<name>", so that the same run
// always makes the same ids. If the part before the name is longer than 192 bytes, a
// hash replaces that part. It becomes long in loops, where each iteration makes the
// next iteration. Several tries of one call never make the same id.
func (c *Context) NewGraph() *Graph {
	n := int(c.firstTry().state.Add(1)&contextNumbers) - 1
	prefix := c.id + "." + strconv.Itoa(c.Index()) + "." + strconv.Itoa(n)
	if len(prefix) > prefixMax {
		sum := sha256.Sum256([]byte(prefix))
		prefix = hex.EncodeToString(sum[:16])
	}
	return &Graph{prefix: prefix + "."}
}

// firstTry returns the context of the whole call: the tries of a call share the numbers of
// graphs and pictures.
func (c *Context) firstTry() *Context {
	for c.of != nil && c.of.id == c.id && c.of.index == c.index {
		c = c.of
	}
	return c
}

// prefixMax is the maximum length, in bytes, of the part before the name in the id of a
// node made at run time.
const prefixMax = 192
