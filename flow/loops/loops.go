// Package loops has the loops of ComfyUI: the classes StartLoop and EndLoop. The nodes between
// a StartLoop and its EndLoop are the body of a loop, which runs once for each iteration. See
// [Register].
//
//	StartLoop ──iteration_index──▶ body ──output_value──────────▶ EndLoop ──outputs──▶ …
//	    ▲     ──current_iteration_value──▶   next_iteration_value ──▶ │
//	    └──────────────── the value for the next iteration ───────────┘
//
// When a prompt is submitted, each EndLoop finds its StartLoop. If they do not fit together, the
// nodes get an error, and the outputs that need them do not run. When StartLoop runs, it makes
// a copy of the body for each iteration; clients show the copies on the nodes of the body,
// which do not run themselves. The iterations run one after the other.
//
// Streams of events also have the nodes that a loop makes for itself, such as
// start.0.0.iteration_0 for a StartLoop with the id start; clients show them on the StartLoop.
// To run a node for each element of a list, no loop is needed, see [nodebus.List].
//
// Everything here is built on what package flow offers to any program: see
// [flow.Registry.CheckGraphs] to make such classes of your own.
package loops

import (
	"context"
	"errors"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Options holds the options of [Register]. A nil pointer, and a zero value in any field, select
// the defaults.
type Options struct {
	// Nodes limits the nodes that a loop makes, together with the loops inside of it. A loop
	// makes all copies of its body before the first iteration begins, so the limit bounds the
	// memory: a node takes about three kilobytes. A loop above the limit fails. Default: 30 000.
	Nodes int
}

const nodesDefault = 30_000

// Register adds the classes StartLoop and EndLoop to a registry, and the function that checks
// graphs with them. It also adds LoopIteration, LoopProgress and LoopResult, which a running
// loop makes; users do not need them. If a name is taken, Register returns a [*flow.SchemaError];
// the registry may then have some of the classes. opts may be nil.
func Register(r *flow.Registry, opts *Options) error {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	if o.Nodes <= 0 {
		o.Nodes = nodesDefault
	}
	start := &starter{opts: o}
	for _, c := range []struct {
		schema flow.Schema
		run    func(*nodebus.Context, nodebus.Inputs) (flow.Result, error)
		hooks  *flow.Hooks
	}{
		{startSchema(), start.run, always},
		{endSchema(), runEnd, always},
		{iterationSchema(), runIteration, &flow.Hooks{Fingerprint: printIteration}},
		{progressSchema(), runProgress, always},
		{resultSchema(), runResult, always},
	} {
		class, err := flow.NewClass(c.schema, c.run, c.hooks)
		if err != nil {
			return err
		}
		if err := r.Add(class); err != nil {
			return err
		}
	}
	r.CheckGraphs(check)
	return nil
}

// always makes nodes run in each prompt: no cache keeps their results.
var always = &flow.Hooks{Fingerprint: func(*nodebus.Context, nodebus.Inputs) (string, error) { return "", errAlways }}

var errAlways = errors.New("the node runs in each prompt")

// check is the function for [flow.Registry.CheckGraphs].
func check(ctx context.Context, g *flow.GraphCheck) error {
	m := newMap(ctx, g.Nodes())
	if len(m.starts)+len(m.ends) == 0 {
		return nil
	}
	pairs, err := m.pairAll(g)
	if err != nil {
		return err
	}
	return arrange(g, m, pairs)
}
