package nodebus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
)

// Context is the [context.Context] of one call of one node. It is safe for
// concurrent use; after Run has returned, what is sent through it goes nowhere
// and fails with [ErrClosed].
type Context struct {
	context.Context
	env    *env
	rt     Runtime
	who    *identity
	index  int
	graphs atomic.Int32
	over   atomic.Bool
}

// env is what all calls of a prompt share.
type env struct {
	prompt *Prompt
	pub    Publisher
	log    *slog.Logger
}

// identity is which node a call is of.
type identity struct {
	id   string
	made *origin // nil for a node of the submitted prompt
}

// origin is where a node made at run time comes from.
type origin struct {
	parentID string
	realID   string // the node of the prompt at the end of the line of parents
	display  string // the node of the prompt to show it on
	real     int32  // realID in a run of Local
}

func (n *identity) displayID() string {
	if n.made != nil {
		return n.made.display
	}
	return n.id
}

func (n *identity) realID() string {
	if n.made != nil {
		return n.made.realID
	}
	return n.id
}

func (n *identity) parentID() string {
	if n.made != nil {
		return n.made.parentID
	}
	return ""
}

// Call is what an executor knows of a call of a node; see [NewContext].
type Call struct {
	Prompt    *Prompt
	UniqueID  string // the node's place in the graph
	DisplayID string // the node to show it on; default UniqueID
	ParentID  string // the node that made it, if one did
	RealID    string // the node of the submitted prompt it came from; default UniqueID
	Index     int    // which call it is, if the node is called for each element of a list
	Publisher Publisher
	Runtime   Runtime      // nil: the node cannot ask for lazy inputs or run graphs
	Logger    *slog.Logger // nil is silent
}

// Runtime is what an executor lends to the nodes it runs.
type Runtime interface {
	// Input waits for a lazy input of the calling node.
	Input(ctx context.Context, name string) (any, error)
	// Eval waits for an output of nodes made by the calling node.
	Eval(ctx context.Context, g *Graph, out Link) (any, error)
}

// stepper is a Runtime that keeps the progress of its nodes itself.
type stepper interface {
	step(value, max float64) error
}

// NewContext returns the context of a call, for executors. They call
// [Context.End] when Run has returned.
func NewContext(ctx context.Context, call Call) *Context {
	if call.Prompt == nil {
		call.Prompt = &Prompt{}
	}
	who := &identity{id: call.UniqueID}
	if call.DisplayID != "" || call.ParentID != "" || call.RealID != "" {
		who.made = &origin{
			parentID: call.ParentID,
			realID:   orDefault(call.RealID, call.UniqueID),
			display:  orDefault(call.DisplayID, call.UniqueID),
		}
	}
	return &Context{
		Context: ctx, env: &env{call.Prompt, call.Publisher, call.Logger},
		rt: call.Runtime, who: who, index: call.Index,
	}
}

// nodeError is err as that of the node whose context this is.
func (c *Context) nodeError(class *Class, err error) *NodeError {
	e := &NodeError{NodeID: c.who.id, Class: class.Name(), RealID: c.who.realID(), Index: c.index}
	e.Stack, e.Err = causeOf(err)
	if e.RealID == e.NodeID {
		e.RealClass = e.Class
		return e
	}
	for i := range c.env.prompt.Nodes {
		if n := &c.env.prompt.Nodes[i]; n.ID == e.RealID {
			e.RealClass = n.Class
		}
	}
	return e
}

// End makes the context useless: whoever kept it can send no more.
func (c *Context) End() { c.over.Store(true) }

// UniqueID is the node's place in the graph; inside an expansion, the id it was
// given there. A result that depends on it, or on PromptID, needs an input with
// a `hidden` tag for it: otherwise it is shared with nodes of other ids.
func (c *Context) UniqueID() string { return c.who.id }

// DisplayID is the node of the submitted prompt that clients show this one on.
func (c *Context) DisplayID() string { return c.who.displayID() }

// PromptID is the prompt that runs.
func (c *Context) PromptID() string { return c.env.prompt.ID }

// ClientID is who submitted it; empty if nobody is told.
func (c *Context) ClientID() string { return c.env.prompt.ClientID }

// Index is which call of the node this is, counted from 0, if it is called for
// each element of a list.
func (c *Context) Index() int { return c.index }

// Logger logs for the node; it is never nil.
func (c *Context) Logger() *slog.Logger {
	if c.env.log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.env.log.With("prompt", c.PromptID(), "node", c.UniqueID())
}

// SendSync sends to who submitted the prompt and who watches it. It returns when
// p is encoded, and does not wait for clients; see [Hub.Publish] for its errors.
func (c *Context) SendSync(p Payload) error {
	return c.publish(Event{PromptID: c.PromptID(), To: c.ClientID(), Payload: p})
}

// Broadcast sends to everyone.
func (c *Context) Broadcast(p Payload) error {
	return c.publish(Event{Payload: p, everyone: true})
}

func (c *Context) publish(ev Event) error {
	if c.over.Load() {
		return ErrClosed
	}
	if c.env.pub == nil {
		return fmt.Errorf("nodebus: this executor does not publish")
	}
	return c.env.pub.Publish(ev)
}

// Progress tells how far the node is. It may be called as often as there are
// steps: what clients are sent of it is limited. It does not fail; numbers that
// are not finite are ignored.
func (c *Context) Progress(value, max float64) {
	if c.over.Load() {
		return
	}
	if s, ok := c.rt.(stepper); ok {
		_ = s.step(value, max)
		return
	}
	_ = c.SendSync(Progress{Value: value, Max: max, PromptID: c.PromptID(), Node: c.UniqueID()})
}

// Preview shows an image of work in progress: a JPEG or PNG file, appended by
// img. An image that cannot be had is logged and not shown.
func (c *Context) Preview(img encoding.BinaryAppender) {
	data, err := appendSafely(img)
	if err == nil {
		err = c.SendSync(Preview{
			NodeID: c.who.id, PromptID: c.PromptID(), DisplayNodeID: c.who.displayID(),
			ParentNodeID: c.who.parentID(), RealNodeID: c.who.realID(),
			ImageType: imageType(data), Image: data,
		})
	}
	if err != nil {
		c.Logger().Warn("no preview", "error", err)
	}
}

func appendSafely(img encoding.BinaryAppender) (data []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return img.AppendBinary(nil)
}

// imageType tells a PNG from a JPEG, which clients take anything else for.
func imageType(data []byte) string {
	if bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")) {
		return "image/png"
	}
	return "image/jpeg"
}

// NewGraph returns an empty graph for nodes made at run time. Their ids are
// "<unique id>.<index of the call>.<number of the graph>.<name>", so that they
// are the same in every run. What comes before the name is replaced by a hash of
// it where it is long, as in a loop whose iterations each make the next.
func (c *Context) NewGraph() *Graph {
	n := int(c.graphs.Add(1)) - 1
	prefix := c.who.id + "." + strconv.Itoa(c.index) + "." + strconv.Itoa(n)
	if len(prefix) > prefixMax {
		sum := sha256.Sum256([]byte(prefix))
		prefix = hex.EncodeToString(sum[:16])
	}
	return &Graph{prefix: prefix + "."}
}

// prefixMax is how long the ids of nodes made at run time are before their names.
const prefixMax = 192
