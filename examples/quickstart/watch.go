package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/examples/imagenodes"
	"github.com/nodebus/nodebus/flow"
)

// watch submits the workflow for the client and prints its events until the prompt has
// ended.
func watch(ctx context.Context, engine *flow.Engine, c *client.Client, workflow []byte, out io.Writer) error {
	nodes, err := nodebus.ParseNodes(workflow)
	if err != nil {
		return err
	}
	s := &screen{out: out, names: map[string]string{}, bars: isTerminal(out)}
	for _, n := range nodes {
		s.names[n.ID] = n.Class
	}
	// A call of client.On makes a payload type known, built-in or custom.
	for _, stop := range []func(){
		client.On(c, s.executing),
		client.On(c, s.progress),
		client.On(c, s.state),
		client.On(c, func(_ nodebus.Event, p nodebus.ExecutionCached) {
			s.line("cached", "", cmp.Or(strings.Join(p.Nodes, " "), "none"))
		}),
		client.On(c, func(_ nodebus.Event, p nodebus.Executed) { s.line("executed", p.UniqueID, shown(p.Output)) }),
		client.On(c, func(_ nodebus.Event, p nodebus.Preview) {
			s.line("preview", p.UniqueID, fmt.Sprintf("%s, %d bytes", p.ImageType, len(p.Image)))
		}),
		client.On(c, func(_ nodebus.Event, p imagenodes.Palette) { s.line(p.EventType(), p.Node, p.Colour) }),
		client.On(c, func(_ nodebus.Event, p nodebus.ExecutionSuccess) { s.line("success", "", "") }),
	} {
		defer stop()
	}
	job, err := engine.Submit(ctx, &nodebus.Prompt{ClientID: c.ID(), Nodes: nodes}, nil)
	if err != nil {
		return describe(err)
	}
	var failed error
	for ev, err := range c.Follow(ctx, job.ID) {
		if err != nil {
			return err
		}
		switch p := ev.Payload.(type) {
		case nodebus.ExecutionError:
			failed = fmt.Errorf("node %s (%s) failed: %s", p.NodeID, p.Class, strings.TrimSpace(p.ExceptionMessage))
		case nodebus.ExecutionInterrupted:
			failed = errors.New("interrupted")
		}
	}
	s.clear()
	return errors.Join(failed, ctx.Err())
}

// shown returns a short text for the output of a node.
func shown(ui nodebus.UI) string {
	var parts []string
	for name, list := range ui {
		for _, v := range list {
			if file, ok := v.(map[string]any); ok {
				v = file["filename"]
			}
			parts = append(parts, fmt.Sprintf("%s %v", name, v))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// describe lists the problems of a workflow, by node and input.
func describe(err error) error {
	var invalid *nodebus.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	lines := []string{invalid.Message}
	if len(invalid.Nodes) == 0 && invalid.Details != "" {
		lines[0] += " " + invalid.Details
	}
	for id, n := range invalid.Nodes {
		for _, p := range n.Errors {
			lines = append(lines, fmt.Sprintf("  node %s (%s): %s: %s", id, n.Class, p.Message, p.Details))
		}
	}
	slices.Sort(lines[1:])
	return errors.New(strings.Join(lines, "\n"))
}
