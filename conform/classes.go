package conform

import (
	"errors"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Register adds the classes of the nodes that [Executor] runs. The suite registers
// them with the registry that it gives to fresh. An executor that runs nodes in
// another process calls Register there. The names of the classes begin with
// "conform.".
func Register(r *flow.Registry) {
	flow.Register(r, sum{}, nodebus.Info{Name: "conform.Sum"})
	flow.Register(r, show{}, nodebus.Info{Name: "conform.Show"})
	flow.Register(r, who{}, nodebus.Info{Name: "conform.Who"})
	flow.Register(r, speak{}, nodebus.Info{Name: "conform.Speak"})
	flow.Register(r, fail{}, nodebus.Info{Name: "conform.Fail"})
	flow.Register(r, wait{}, nodebus.Info{Name: "conform.Wait", Async: true})
	flow.Register(r, steps{}, nodebus.Info{Name: "conform.Steps"})
	flow.Register(r, choose{}, nodebus.Info{Name: "conform.Choose"})
	flow.Register(r, evaluate{}, nodebus.Info{Name: "conform.Evaluate"})
	flow.Register(r, grow{}, nodebus.Info{Name: "conform.Grow"})
	flow.Register(r, relay{}, nodebus.Info{Name: "conform.Relay"})
	flow.Register(r, ask{}, nodebus.Info{Name: "conform.Ask"})
	flow.Register(r, wrap{}, nodebus.Info{Name: "conform.Wrap"})
	flow.Register(r, unwrap{}, nodebus.Info{Name: "conform.Unwrap"})
	flow.Register(r, numbers{}, nodebus.Info{Name: "conform.Numbers"})
	flow.Register(r, join{}, nodebus.Info{Name: "conform.Join"})
	flow.Register(r, gate{}, nodebus.Info{Name: "conform.Gate"})
	flow.Register(r, write{}, nodebus.Info{Name: "conform.Write"})
	flow.Register(r, parts{}, nodebus.Info{Name: "conform.Parts"})
}

// said is the message that nodes of the suite send.
type said struct {
	Node string `json:"node"`
	Text string `json:"text"`
}

func (said) EventType() string { return "conform.said" }

// sum adds.
type sum struct{ A, B int }

func (n sum) Run(*nodebus.Context) (int, error) { return n.A + n.B, nil }

// show shows a value as text.
type show struct{ Value any }

func (n show) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(fmt.Sprint(n.Value)), nil
}

// who shows what its context knows.
type who struct{}

func (who) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	at := ctx.Place()
	return nodebus.Text(
		ctx.UniqueID(), at.DisplayID, at.ParentID, at.RealID, ctx.PromptID(), ctx.ClientID(), fmt.Sprint(ctx.Attempt()),
	), nil
}

// speak sends everything that a node can send, and returns its text.
type speak struct {
	Text      string
	Broadcast bool
}

// pixel is the beginning of a PNG file. No executor looks further.
var pixel = []byte("\x89PNG\r\n\x1a\n rest")

func (n speak) Run(ctx *nodebus.Context) (string, error) {
	message := said{ctx.UniqueID(), n.Text}
	if n.Broadcast {
		return n.Text, ctx.Broadcast(message)
	}
	ctx.Progress(1, 2)
	return n.Text, errors.Join(
		ctx.SendSync(message),
		ctx.SendSync(nodebus.Custom{Type: "77", Data: []byte{0, 1, '\n', 0xff}}),
		ctx.PreviewFile(pixel),
	)
}

// write writes a text byte by byte, with half a character at its end, and shows the text.
type write struct{ Text string }

func (n write) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	out := ctx.Text("text")
	for _, b := range []byte(n.Text + "é")[:len(n.Text)+1] {
		if _, err := out.Write([]byte{b}); err != nil {
			return nil, err
		}
	}
	return nodebus.Text(n.Text), nil
}

// fail fails.
type fail struct{ How string }

var errFail = errors.New("conform: intended failure")

func (n fail) Run(*nodebus.Context) (any, error) {
	switch n.How {
	case "panic":
		panic(errFail.Error())
	case "interrupt":
		return nil, fmt.Errorf("conform: %w", nodebus.ErrInterrupted)
	}
	return nil, errFail
}

// wait sends a message and waits until it is interrupted.
type wait struct{}

func (wait) Run(ctx *nodebus.Context) (int, error) {
	if err := ctx.SendSync(said{ctx.UniqueID(), "waiting"}); err != nil {
		return 0, err
	}
	<-ctx.Done()
	return 0, ctx.Err()
}

// steps reports each of its steps.
type steps struct{ N int }

func (n steps) Run(ctx *nodebus.Context) (int, error) {
	for i := range n.N {
		ctx.Progress(float64(i+1), float64(n.N))
	}
	return n.N, nil
}

// choose has lazy inputs.
type choose struct {
	Cond            bool
	OnTrue, OnFalse nodebus.Lazy[any]
}

func (n choose) Run(ctx *nodebus.Context) (any, error) {
	if n.Cond {
		return n.OnTrue.Get(ctx)
	}
	return n.OnFalse.Get(ctx)
}

// evaluate makes nodes, one after another, and asks for their results: twice the value.
type evaluate struct{ Value int }

func (n evaluate) Run(ctx *nodebus.Context) (int, error) {
	g := ctx.NewGraph()
	once := g.Add("conform.Sum", nodebus.Inputs{"a": n.Value, "b": 0})
	if _, err := nodebus.Eval[int](ctx, g, once); err != nil {
		return 0, err
	}
	return nodebus.Eval[int](ctx, g, g.Add("conform.Sum", nodebus.Inputs{"a": once, "b": n.Value}))
}

// grow makes nodes whose result takes the place of its own: three times the value.
type grow struct{ Value int }

func (n grow) Run(ctx *nodebus.Context) (out nodebus.Out[int], err error) {
	g := ctx.NewGraph()
	twice := g.Add("conform.Evaluate", nodebus.Inputs{"value": n.Value})
	out.Graph, out.From = g, g.Add("conform.Sum", nodebus.Inputs{"a": twice, "b": n.Value})
	return out, nil
}

// relay passes on the output of another node of its prompt, which it names without a
// link: it asks for the value, or lets the node stand in for it.
type relay struct {
	Node string
	Eval bool
}

func (n relay) Run(ctx *nodebus.Context) (out nodebus.Out[int], err error) {
	out.From = nodebus.Link{Node: n.Node}
	if n.Eval {
		value, err := nodebus.Eval[int](ctx, nil, out.From)
		return nodebus.Out[int]{Value: value}, err
	}
	return out, nil
}

// ask has hidden inputs.
type ask struct {
	ID     string        `hidden:"UNIQUE_ID"`
	Prompt string        `hidden:"PROMPT_ID"`
	Nodes  nodebus.Nodes `hidden:"PROMPT"`
	Info   any           `hidden:"EXTRA_PNGINFO"`
	Key    string        `hidden:"API_KEY_COMFY_ORG"`
}

func (n ask) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(n.ID, n.Prompt, fmt.Sprint(len(n.Nodes)), fmt.Sprint(n.Info), n.Key), nil
}

// box is a value that has no form in JSON.
type box struct{ Open func() int }

// wrap returns a box, and unwrap opens it.
type (
	wrap   struct{ Value int }
	unwrap struct{ Box box }
)

func (n wrap) Run(*nodebus.Context) (box, error)   { return box{func() int { return n.Value }}, nil }
func (n unwrap) Run(*nodebus.Context) (int, error) { return n.Box.Open(), nil }

// numbers returns the list of the numbers from 1 to N.
type numbers struct{ N int }

func (n numbers) Run(*nodebus.Context) (list nodebus.List[int], err error) {
	for i := range n.N {
		list = append(list, i+1)
	}
	return list, nil
}

// join shows a whole list as one text.
type join struct{ Values nodebus.List[any] }

func (n join) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(fmt.Sprint([]any(n.Values))), nil
}

// gate returns two outputs. The first one is blocked, for a reason or silently.
type gate struct{ Reason string }

type gateOut struct {
	Shut nodebus.Out[int] `out:"shut"`
	Open int              `out:"open"`
}

func (n gate) Run(*nodebus.Context) (gateOut, error) {
	return gateOut{nodebus.Out[int]{Blocked: nodebus.Block(n.Reason)}, 7}, nil
}

// parts shows inputs that grow, that follow from a choice, and that it does not declare.
type parts struct {
	Parts  []nodebus.Named[any] `grow:"part,min=0,max=5"`
	Mode   partsMode            `in:",optional"`
	Others []nodebus.Named[any] `in:",rest"`
}

type partsMode struct {
	One *struct{}        `choice:"one"`
	Two *struct{ N int } `choice:"two"`
}

func (n parts) Run(*nodebus.Context) (nodebus.UI, error) {
	mode := "none"
	switch {
	case n.Mode.One != nil:
		mode = "one"
	case n.Mode.Two != nil:
		mode = fmt.Sprint("two ", n.Mode.Two.N)
	}
	return nodebus.Text(fmt.Sprint(n.Parts, mode, n.Others)), nil
}
