//go:build e2e

package chaos_test

import (
	"math/rand/v2"

	"github.com/nodebus/nodebus"
)

// order is a prompt of a client, and what the client does with it.
type order struct {
	prompt    *nodebus.Prompt
	steps     map[string]int
	interrupt bool   // the client interrupts it at some moment
	asks      bool   // a node asks the client
	early     bool   // the client answers before the question
	word      string // the answer; empty: the client refuses
}

// newOrder returns a prompt: two branches of nodes with numbered events, a node in between
// that fails, asks or has a secret, and a node that shows both.
func newOrder(dice *rand.Rand, id string) *order {
	o := &order{steps: map[string]int{}}
	extra, g := map[string]any{}, nodebus.NewGraph()
	step := func(node, mode string, in any) nodebus.Link {
		count := dice.IntN(20)
		inputs := nodebus.Inputs{"key": id + "/" + node, "count": count, "pause": dice.IntN(15), "mode": mode}
		if in != nil {
			inputs["in"] = in
		}
		o.steps[node] = count
		return g.AddAs(node, "Step", inputs)
	}
	mode := "ok"
	switch dice.IntN(10) {
	case 0:
		mode = "fail"
	case 1:
		mode = "flaky"
		extra["retries"] = 4
	case 2:
		mode = "interrupt"
	case 3, 4:
		o.interrupt = true
	}
	a := step("a", "ok", nil)
	var middle nodebus.Link
	switch dice.IntN(6) {
	case 0:
		middle = g.AddAs("middle", "Ask", nodebus.Inputs{"in": a, "key": id})
		o.asks, o.early = true, dice.IntN(4) == 0
		if dice.IntN(5) > 0 {
			o.word = "word of " + id
		}
	case 1:
		secret := "secret of " + id
		middle = g.AddAs("middle", "Secret", nodebus.Inputs{"in": a, "want": secret})
		extra["auth_token_comfy_org"] = secret
	default:
		middle = step("middle", "ok", a)
	}
	g.AddAs("show", "Show", nodebus.Inputs{"a": step("b", mode, middle), "b": step("c", "ok", nil)})
	o.prompt = &nodebus.Prompt{ID: id, Nodes: g.Nodes(), Extra: extra}
	return o
}
