package loops

import (
	"strconv"
	"sync/atomic"

	"github.com/nodebus/nodebus"
)

// builder makes the nodes of all iterations of a loop. Their names are the names that ComfyUI gives.
type builder struct {
	g     *nodebus.Graph
	o     *opening
	made  *atomic.Int64
	start string // the id of the StartLoop in the graph that runs
	n     int
	reuse bool

	carried  any            // the current_iteration_value of the next iteration
	after    []any          // what the next iteration waits for
	progress nodebus.Link   // the newest LoopProgress; zero before the first
	outputs  []nodebus.Link // see result
}

// iteration adds the nodes of one iteration.
func (b *builder) iteration(at int, r *indexes) {
	l := b.o.loop
	s := &scope{loop: l, up: b.o.up, g: b.g, at: at}
	if at == 0 {
		b.carried = b.o.up.resolve(l.initial)
	}
	in := nodebus.Inputs{
		"iteration_index": r.index(at), "reuse_cache": b.reuse,
		"is_first": l.first && at == 0, "is_last": l.last && at == b.n-1, // a key of the cache changes only if it must
	}
	if r.items != nil {
		in["list_item"] = wrapped(r.items[at])
	}
	if b.carried != nil {
		in["current_iteration_value"] = b.carried
	}
	b.depend(in)
	b.g.AddAs(iterationName(at), iterationClass, in)
	for i := range l.members {
		b.copy(s, &l.members[i])
	}
	b.close(s)
}

// element is an element of a list on its way to LoopIteration.
type element struct{ value any }

// wrapped returns an element of a list as an input of LoopIteration: a link, and what looks like a
// literal in a prompt, are an element then, because they would have another meaning as inputs. No
// other value is, because an element has no form for the key of a cache.
func wrapped(v any) any {
	switch v := v.(type) {
	case nodebus.Link:
		return element{v}
	case map[string]any:
		if _, literal := v["__value__"]; literal && len(v) == 1 {
			return element{v}
		}
	}
	return v
}

// depend makes a node wait for all of b.after.
func (b *builder) depend(in nodebus.Inputs) {
	for i, from := range b.after {
		in["dependency"+strconv.Itoa(i)] = from
	}
}

// copy adds the copy of a node of the body.
func (b *builder) copy(s *scope, m *member) {
	in := make(nodebus.Inputs, len(m.spec.Inputs)+1)
	for name, v := range m.spec.Inputs {
		if _, isLink := v.(nodebus.Link); m.ends != nil && isLink && name != "accumulate" {
			continue // what it links to is inside of the inner loop
		}
		in[name] = s.resolve(v)
	}
	if m.begins != nil {
		in[planInput] = &opening{loop: m.begins, up: s, made: b.made}
	}
	if m.ends != nil {
		in[planInput] = s.copy(m.ends.start).At(slotItem)
	}
	name := strconv.Itoa(s.at) + "_" + m.spec.ID
	b.g.DisplayAs(b.g.AddAs(name, m.spec.Class, in), m.spec.ID)
	if len(m.order) > 1 {
		nodes := b.g.Nodes()
		nodes[len(nodes)-1].OrderInputs(m.order...)
	}
}

// close adds what ends an iteration.
func (b *builder) close(s *scope) {
	l := b.o.loop
	b.after = nil
	if l.output != nil {
		out := s.resolve(l.output)
		if l.accumulate || s.at == b.n-1 {
			b.outputs = append(b.outputs, out.(nodebus.Link))
		}
		b.after = append(b.after, out)
	}
	if l.next != nil {
		b.carried = s.resolve(l.next)
		b.after = append(b.after, b.carried)
	}
	for _, t := range l.terminations {
		b.after = append(b.after, s.resolve(t))
	}
	in := nodebus.Inputs{"start_id": b.start, "position": s.at + 1, "total": b.n}
	b.depend(in)
	if b.progress != (nodebus.Link{}) {
		in["previous_progress"] = b.progress
	}
	b.progress = b.g.AddAs("progress_"+strconv.Itoa(s.at), progressClass, in)
}

// finish adds the node that stands for the end of the loop.
func (b *builder) finish() {
	in := nodebus.Inputs{"close_id": b.o.end()}
	for i, out := range b.outputs {
		in["output"+strconv.Itoa(i)] = out
	}
	if b.progress != (nodebus.Link{}) {
		in["progress"] = b.progress
	}
	b.depend(in)
	b.g.AddAs("result", resultClass, in)
}

// end returns the id of the EndLoop in the graph that runs.
func (o *opening) end() string {
	if o.up != nil {
		return o.up.copy(o.loop.end).Node
	}
	return o.loop.end
}
