package nodebus

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"image"
	"image/jpeg"
	"log/slog"
	"strconv"
	"sync/atomic"
)

// Context is the [context.Context] of one call of one node. It is safe for
// concurrent use. After Run has returned, whatever is sent through it fails with
// [ErrClosed].
type Context struct {
	context.Context
	call   CallInfo
	graphs atomic.Int32
	over   atomic.Bool
}

// CallInfo is what an executor knows of one call of a node; see [NewContext].
type CallInfo struct {
	Place
	Job       *Job         // the prompt that runs
	Index     int          // number of the call, if the node is called for each element of a list
	Publisher Publisher    // takes what the node sends; nil: SendSync fails
	Runtime   Runtime      // nil: the node cannot ask for lazy inputs or run graphs
	Logger    *slog.Logger // nil is silent
}

// NewContext returns the context of a call, for executors. They call
// [Context.End] when Run has returned.
func NewContext(ctx context.Context, call CallInfo) *Context {
	c := &Context{}
	c.Begin(ctx, call)
	return c
}

// Begin makes a zero Context the context of a call. It is [NewContext] for executors that
// hold their Contexts in a larger allocation of their own. Call it once.
func (c *Context) Begin(ctx context.Context, call CallInfo) {
	c.Context, c.call = ctx, call
	if c.call.Job == nil {
		c.call.Job = noJob
	}
}

var noJob = &Job{Prompt: &Prompt{}}

// End makes the context useless: code that kept it can send no more.
func (c *Context) End() { c.over.Store(true) }

// Ended reports whether End was called.
func (c *Context) Ended() bool { return c.over.Load() }

// UniqueID is the node's place in the graph; inside an expansion, the id it was
// given there. A result that depends on it, or on PromptID, needs an input with
// a `hidden` tag for it: otherwise it is shared with nodes of other ids.
func (c *Context) UniqueID() string { return c.call.UniqueID }

// DisplayID is the node of the submitted prompt that clients show this node on.
func (c *Context) DisplayID() string { return cmp.Or(c.call.DisplayID, c.call.UniqueID) }

// Place is where the node stands in the graph and in the submitted prompt.
func (c *Context) Place() Place { return c.call.Place.WithDefaults() }

// PromptID is the id of the prompt that runs.
func (c *Context) PromptID() string { return c.call.Job.Prompt.ID }

// ClientID is the id of the client that submitted the prompt. It is empty if no
// client did.
func (c *Context) ClientID() string { return c.call.Job.Prompt.ClientID }

// Attempt is the number of times that the prompt was begun, this time included.
// It is 0 if the executor does not say.
func (c *Context) Attempt() int { return c.call.Job.Attempt }

// Index is the number of this call, from 0, if the node is called for each element
// of a list.
func (c *Context) Index() int { return c.call.Index }

// Logger logs for the node; it is never nil.
func (c *Context) Logger() *slog.Logger {
	if c.call.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.call.Logger.With("prompt", c.PromptID(), "node", c.UniqueID())
}

// SendSync sends to the client that submitted the prompt and to all who watch the
// prompt. It returns when p is encoded, and does not wait for clients; see
// [Hub.Publish] for its errors.
func (c *Context) SendSync(p Payload) error {
	return c.publish(Event{PromptID: c.PromptID(), To: c.ClientID(), Attempt: c.Attempt(), Payload: p})
}

// Broadcast sends to every client of the hub, also to the clients of other people.
func (c *Context) Broadcast(p Payload) error {
	return c.publish(Event{Broadcast: true, Payload: p})
}

var errNoPublisher = errors.New("nodebus: this executor does not publish")

func (c *Context) publish(ev Event) error {
	if c.over.Load() {
		return ErrClosed
	}
	if c.call.Publisher == nil {
		return errNoPublisher
	}
	return c.call.Publisher.Publish(ev)
}

// Progress reports how far the node is. A node may call it for every step: the
// executor limits how much of it clients receive. It does not fail; numbers that
// are not finite are ignored.
func (c *Context) Progress(value, max float64) {
	if c.over.Load() {
		return
	}
	if c.call.Runtime != nil {
		_ = c.call.Runtime.Progress(value, max)
		return
	}
	_ = c.SendSync(Progress{Value: value, Max: max, PromptID: c.PromptID(), UniqueID: c.UniqueID()})
}

// Preview shows an image of work in progress. file holds the bytes of a JPEG or PNG
// file; Preview copies them. For errors see [Hub.Publish].
func (c *Context) Preview(file []byte) error {
	if len(file) == 0 {
		return &EncodeError{Type: typeName(Preview{}), Err: errors.New("the image file is empty")}
	}
	return c.preview(bytes.Clone(file))
}

func (c *Context) preview(file []byte) error {
	p := Preview{Place: c.Place(), PromptID: c.PromptID(), ImageType: imageType(file), Image: file}
	return c.publish(Event{PromptID: c.PromptID(), To: c.ClientID(), Attempt: c.Attempt(), Payload: p, Frozen: true})
}

// PreviewImage shows an image of work in progress as a JPEG of medium quality.
func (c *Context) PreviewImage(img image.Image) error {
	var b bytes.Buffer
	if err := Protect(func() error { return jpeg.Encode(&b, img, nil) }); err != nil {
		return &EncodeError{Type: typeName(img), Err: err}
	}
	return c.preview(b.Bytes())
}

// imageType distinguishes PNG from JPEG. Clients take any other format for JPEG.
func imageType(data []byte) string {
	if bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")) {
		return "image/png"
	}
	return "image/jpeg"
}

// Hidden returns the value of a hidden input, by the name that a `hidden` tag has:
// UNIQUE_ID, PROMPT_ID, PROMPT, DYNPROMPT, EXTRA_PNGINFO, or the name of a secret.
// An unknown name is an empty string.
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
		if c.call.Runtime != nil {
			return c.call.Runtime.Graph()
		}
		return p.Nodes
	case "EXTRA_PNGINFO":
		return p.Extra["extra_pnginfo"]
	}
	return c.call.Job.Secrets[name]
}

// Runtime returns what the executor lends to the node, for those who call nodes; nil
// if it lends nothing.
func (c *Context) Runtime() Runtime { return c.call.Runtime }

// NewGraph returns an empty graph for nodes made at run time. Their ids are
// "<unique id>.<index of the call>.<number of the graph>.<name>", so that they
// are the same in every run. What comes before the name is replaced by a hash of
// it where it is long, as in a loop whose iterations each make the next.
func (c *Context) NewGraph() *Graph {
	n := int(c.graphs.Add(1)) - 1
	prefix := c.call.UniqueID + "." + strconv.Itoa(c.call.Index) + "." + strconv.Itoa(n)
	if len(prefix) > prefixMax {
		sum := sha256.Sum256([]byte(prefix))
		prefix = hex.EncodeToString(sum[:16])
	}
	return &Graph{prefix: prefix + "."}
}

// prefixMax is how long the ids of nodes made at run time are before their names.
const prefixMax = 192
