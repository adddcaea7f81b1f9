package loops_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// A random program of nested loops is written as a graph, and also computed directly.

// variable is something that an input may link to. value is set while the model runs.
type variable struct {
	link  nodebus.Link
	value int
}

// statement is a step of the program.
type statement struct {
	to      *variable
	a, b    any // a *variable or an int
	loop    *block
	preview string // the id of a preview that shows a
	shows   bool   // there are previews in it
}

// block is a loop.
type block struct {
	first, step, n int
	list           bool
	index, carried *variable
	initial        any // nil: nothing goes round
	body           []statement
	output         *variable
	next           *variable // nil: the initial value stays
	accumulate     bool
}

// program makes a program, as a graph and as a model.
type program struct {
	r      *rand.Rand
	g      *nodebus.Graph
	ids    int
	reuse  bool
	budget int
	shown  map[string][]int // by preview: what the model shows
}

func (p *program) id(prefix string) string {
	p.ids++
	return prefix + strconv.Itoa(p.ids)
}

// operand returns something of scope, or a number.
func (p *program) operand(scope []*variable) any {
	if len(scope) == 0 || p.r.IntN(5) == 0 {
		return p.r.IntN(10)
	}
	return scope[p.r.IntN(len(scope))]
}

func input(v any) any {
	if v, ok := v.(*variable); ok {
		return v.link
	}
	return v
}

func (p *program) add(a, b any) statement {
	to := &variable{link: p.g.AddAs(p.id("a"), "Add", nodebus.Inputs{"a": input(a), "b": input(b)})}
	return statement{to: to, a: a, b: b}
}

// block makes statements. parent is the index of the loop around; nil at the top. It returns
// what the statements have made.
func (p *program) statements(scope []*variable, parent *variable, depth int) (body []statement, made []*variable) {
	for range 1 + p.r.IntN(3) {
		all := append(slices.Clone(scope), made...)
		var s statement
		if depth > 0 && p.budget > 0 && p.r.IntN(2) == 0 {
			p.budget--
			s = p.newLoop(all, parent, depth-1)
		} else {
			s = p.add(p.operand(all), p.operand(all))
		}
		body, made = append(body, s), append(made, s.to)
	}
	for _, s := range body { // what has previews must be needed
		if s.shows || s.loop != nil && p.r.IntN(2) == 0 {
			body = append(body, p.add(made[len(made)-1], s.to))
			made = append(made, body[len(body)-1].to)
		}
	}
	return body, made
}

// shows reports whether there are previews in a body.
func shows(body []statement) bool {
	return slices.ContainsFunc(body, func(s statement) bool { return s.shows || s.preview != "" })
}

// newLoop makes a loop, and a node that adds up what it returns.
func (p *program) newLoop(scope []*variable, parent *variable, depth int) statement {
	b := &block{step: 1, n: p.r.IntN(4), accumulate: p.r.IntN(2) == 0}
	in := nodebus.Inputs{"cache_iterations": p.reuse}
	switch p.r.IntN(3) {
	case 0:
		in["mode"], in["mode.num_iterations"] = "simple", b.n
	case 1:
		b.first, b.step = p.r.IntN(7)-3, 1+p.r.IntN(3)
		in["mode"], in["mode.start_iteration_index"], in["mode.step"] = "For", b.first, b.step
		in["mode.max_iteration"] = b.first + b.step*b.n - p.r.IntN(b.step)*min(b.n, 1)
	default:
		b.list, b.first = true, 1
		in["mode"], in["mode.list"] = "List", p.g.AddAs(p.id("n"), "Numbers", nodebus.Inputs{"to": b.n})
	}
	if parent != nil {
		in["parent_iteration"] = parent.link
	}
	if p.r.IntN(3) > 0 {
		b.initial = p.operand(scope)
		in["initial_iteration_value"] = input(b.initial)
	}
	start := p.g.AddAs(p.id("s"), "StartLoop", in)
	b.index = &variable{link: start}
	if b.list {
		b.index = &variable{link: start.At(3)}
	}
	inner := append(slices.Clone(scope), b.index)
	if b.initial != nil {
		b.carried = &variable{link: start.At(4)}
		inner = append(inner, b.carried)
	}
	body, made := p.statements(inner, &variable{link: start}, depth)
	last := p.add(b.index, made[len(made)-1]) // it depends on the loop, whatever the rest does
	b.body, b.output = append(body, last), last.to
	end := nodebus.Inputs{"output_value": last.to.link, "accumulate": b.accumulate}
	if b.initial != nil && p.r.IntN(3) > 0 {
		next := p.add(p.operand(append(made, last.to)), b.carried)
		b.body, b.next = append(b.body, next), next.to
		end["next_iteration_value"] = next.to.link
	}
	for i := range p.r.IntN(3) {
		id := p.id("p")
		b.body = append(b.body, statement{to: &variable{}, a: last.to, preview: id})
		end["terminations.termination"+strconv.Itoa(i)] = p.g.AddAs(id, "Preview", nodebus.Inputs{"in": last.to.link})
	}
	e := p.g.AddAs(p.id("e"), "EndLoop", end)
	return statement{to: &variable{link: p.g.AddAs(p.id("t"), "Sum", nodebus.Inputs{"in": e})}, loop: b, shows: shows(b.body)}
}

func valueOf(v any) int {
	if v, ok := v.(*variable); ok {
		return v.value
	}
	return v.(int)
}

// compute runs the statements as the model.
func (p *program) compute(body []statement) {
	for _, s := range body {
		switch {
		case s.loop != nil:
			s.to.value = p.computeLoop(s.loop)
		case s.preview != "":
			p.shown[s.preview] = append(p.shown[s.preview], valueOf(s.a))
		default:
			s.to.value = valueOf(s.a) + valueOf(s.b)
		}
	}
}

func (p *program) computeLoop(b *block) (result int) {
	if b.initial != nil {
		b.carried.value = valueOf(b.initial)
	}
	for i := range b.n {
		b.index.value = b.first + i*b.step
		p.compute(b.body)
		if !b.accumulate {
			result = 0
		}
		result += b.output.value
		if b.next != nil {
			b.carried.value = b.next.value
		}
	}
	return result
}

// TestNewest7_LoopModel compares random programs with nested loops with a direct computation.
func TestNewest7_LoopModel(t *testing.T) {
	for seed := range uint64(150) {
		p := &program{r: rand.New(rand.NewPCG(seed, 7)), g: nodebus.NewGraph(), budget: 5, shown: map[string][]int{}}
		p.reuse = p.r.IntN(2) == 0
		body, made := p.statements(nil, nil, 3)
		p.g.AddAs("o", "Show", nodebus.Inputs{"in": made[len(made)-1].link})
		p.compute(body)
		inBubble(t, nil, &flow.LocalOptions{Workers: 1 + p.r.IntN(4)}, func(t *testing.T, r *rig) {
			for attempt := range 2 {
				o := r.do(&nodebus.Prompt{Nodes: p.g.Nodes()})
				about := fmt.Sprintf("seed %d, attempt %d: %s", seed, attempt, asJSON(t, p.g.Nodes()))
				require.NoError(t, o.Err(), about)
				require.Equal(t, fmt.Sprintf("[%d]", made[len(made)-1].value), o.shown("o"), about)
				shown := map[string][]int{}
				for _, out := range o.record.Outputs {
					if out.UniqueID != "o" {
						v, err := strconv.Atoi(out.UI["text"][0].(string))
						require.NoError(t, err)
						shown[out.DisplayID] = append(shown[out.DisplayID], v)
					}
				}
				for id, got := range shown {
					want := slices.Clone(p.shown[id])
					slices.Sort(want)
					slices.Sort(got)
					require.Equal(t, want, got, "%s: %s", id, about)
				}
				if attempt == 0 && len(needed(p.g.Nodes(), "o")) == len(p.g.Nodes()) {
					require.Len(t, shown, countShown(p.shown), about)
				}
			}
		})
	}
}

// countShown returns the number of previews that show something.
func countShown(shown map[string][]int) (n int) {
	for _, all := range shown {
		if len(all) > 0 {
			n++
		}
	}
	return n
}

// needed returns the nodes that a node depends on, with the node itself.
func needed(nodes nodebus.Nodes, id string) map[string]bool {
	found := map[string]bool{}
	var visit func(id string)
	visit = func(id string) {
		if found[id] {
			return
		}
		found[id] = true
		for i := range nodes {
			for _, v := range nodes[i].Inputs {
				if l, ok := v.(nodebus.Link); ok && nodes[i].ID == id {
					visit(l.Node)
				}
			}
		}
	}
	visit(id)
	return found
}
