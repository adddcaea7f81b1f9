package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Numbered is the event of a node: one of Of events with the numbers N from 0. The checker
// finds out from them whether an event was lost, doubled or reordered.
type Numbered struct {
	Node    string `json:"node"`
	Attempt int    `json:"attempt"`
	N       int    `json:"n"`
	Of      int    `json:"of"`
}

// EventType returns "chaos.numbered".
func (Numbered) EventType() string { return "chaos.numbered" }

// Step publishes numbered events, and ends as Mode says.
type Step struct {
	In    any    `in:"in,optional"`
	Key   string // makes the result the prompt's own
	Count int    `default:"5" min:"0"`
	Pause int    `default:"5" min:"0"` // milliseconds before each event
	Mode  string `default:"ok"`        // ok, fail, flaky or interrupt
}

var errNode = errors.New("the node fails, as the prompt asks for")

// Run publishes the events.
func (n Step) Run(ctx *nodebus.Context) (string, error) {
	for i := range n.Count {
		select {
		case <-time.After(time.Duration(n.Pause) * time.Millisecond):
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
		if err := ctx.SendSync(Numbered{ctx.UniqueID(), ctx.Attempt(), i, n.Count}); err != nil {
			return "", err
		}
		ctx.Progress(float64(i+1), float64(n.Count))
	}
	switch {
	case n.Mode == "fail", n.Mode == "flaky" && ctx.Attempt()%2 == 1:
		return "", errNode
	case n.Mode == "interrupt":
		return "", nodebus.ErrInterrupted
	}
	return n.Key, nil
}

// Ask waits for an answer.
type Ask struct {
	In  any `in:"in,optional"`
	Key string
}

// Run asks for a text.
func (n Ask) Run(ctx *nodebus.Context) (string, error) {
	return nodebus.Await[string](ctx, "word", nil)
}

// Secret fails unless the prompt has the secret that it wants.
type Secret struct {
	In    any    `in:"in,optional"`
	Want  string // a real program would not say it
	Token string `hidden:"AUTH_TOKEN_COMFY_ORG"`
}

// Run compares.
func (n Secret) Run(*nodebus.Context) (string, error) {
	if n.Token != n.Want {
		return "", fmt.Errorf("the secret has %d bytes, want %d", len(n.Token), len(n.Want))
	}
	return "known", nil
}

// Show ends a graph.
type Show struct{ A, B any }

// Run shows the inputs.
func (n Show) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(fmt.Sprint(n.A), fmt.Sprint(n.B)), nil
}

func register(r *flow.Registry) {
	flow.Register(r, Step{}, nodebus.Info{Async: true})
	flow.Register(r, Ask{}, nodebus.Info{})
	flow.Register(r, Secret{}, nodebus.Info{})
	flow.Register(r, Show{}, nodebus.Info{})
}

// executor gives prompts a policy, because a request of a client has no place for it.
type executor struct{ *flow.Local }

// Prepare reads the number of retries from the extra data.
func (x executor) Prepare(ctx context.Context, p *nodebus.Prompt) (any, error) {
	if n, ok := p.Extra["retries"].(float64); ok {
		p.Policy.Retries, p.Policy.RetryAfter = int(n), 20*time.Millisecond
	}
	return x.Local.Prepare(ctx, p)
}
