package loops_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// TestNewest7_LoopHostile: graphs that are made to take long are refused soon.
func TestNewest7_LoopHostile(t *testing.T) {
	deep := []string{"s0 StartLoop"}
	const n = 800
	for i := 1; i < n; i++ {
		deep = append(deep, fmt.Sprintf("s%d StartLoop parent_iteration=s%d", i, i-1))
	}
	deep = append(deep, fmt.Sprintf("e%d EndLoop output_value=s%d", n-1, n-1))
	for i := n - 2; i >= 0; i-- {
		deep = append(deep, fmt.Sprintf("e%d EndLoop output_value=e%d", i, i+1))
	}
	deep = append(deep, "o Show in=e0")
	wide := []string{"n Add"}
	for i := range 3000 {
		wide = append(wide, fmt.Sprintf("s%d StartLoop parent_iteration=n", i), fmt.Sprintf("e%d EndLoop output_value=s%d", i, i), fmt.Sprintf("o%d Show in=e%d", i, i))
	}
	// Each preview is in a loop that is never closed, and each of many ends takes all previews.
	open := []string{"s StartLoop"}
	for i := range 600 {
		takes := ""
		for k := max(0, i-40); k <= i; k++ {
			takes += fmt.Sprintf(" terminations.termination%d=p%d", i-k, k)
		}
		open = append(open, fmt.Sprintf("p%d Preview in=s", i), fmt.Sprintf("e%d EndLoop%s", i, takes))
	}
	inBubble(t, nil, nil, func(t *testing.T, r *rig) {
		_, runs := r.refused(graph(open...))
		require.Empty(t, runs)
		ve, _ := r.refused(graph(deep...))
		require.Equal(t, "prompt_too_large", ve.Type)
		ve, runs = r.refused(graph(wide...))
		require.Nil(t, ve)
		require.Len(t, runs, 3000)
	})
}

// chain returns StartLoops inside of each other, each with a node of the body that adds the
// indexes up.
func chain(n int) []string {
	nodes := []string{"s0 StartLoop", "a0 Add a=s0"}
	for i := 1; i < n; i++ {
		nodes = append(nodes, fmt.Sprintf("s%d StartLoop parent_iteration=s%d", i, i-1), fmt.Sprintf("a%d Add a=s%d b=a%d", i, i, i-1))
	}
	return nodes
}

// TestNewest7_LoopMany: graphs with very many boundaries get the answer that small graphs get.
func TestNewest7_LoopMany(t *testing.T) {
	const n = 3000
	below := []string{"s StartLoop", "a0 Add a=s"}
	for i := 1; i < n; i++ {
		below = append(below, fmt.Sprintf("a%d Add a=a%d", i, i-1))
	}
	row := []string{"x0 Add"}
	for i := 1; i < n; i++ {
		row = append(row, fmt.Sprintf("x%d Add a=x%d", i, i-1), fmt.Sprintf("s%d StartLoop", i), fmt.Sprintf("b%d Add a=s%d b=x%d", i, i, i),
			fmt.Sprintf("e%d EndLoop output_value=b%d", i, i), fmt.Sprintf("o%d Show in=e%d", i, i))
	}
	for i := range n {
		below = append(below, fmt.Sprintf("e%d EndLoop output_value=a%d", i, n-1), fmt.Sprintf("p%d Preview in=e%d", i, i))
	}
	for name, c := range map[string]struct {
		nodes []string
		kind  string
		runs  int
	}{
		"starts above one end":         {append(chain(n), fmt.Sprintf("e EndLoop output_value=a%d", n-1), "o Show in=e"), "loop_start_without_end", 0},
		"ends below one start":         {below, "loop_escape", 0},
		"loops that use a long chain":  {row, "", n - 1},
		"loops one after another":      {after(n), "", 1},
		"loops inside of each other":   {nested(100, ""), "", 1},
		"as many as there is text for": {nested(40, strings.Repeat("x", 2000)), "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, nil, func(t *testing.T, r *rig) {
				ve, runs := r.refused(graph(c.nodes...))
				require.Len(t, runs, c.runs)
				if c.kind == "" {
					require.Nil(t, ve)
					return
				}
				for _, n := range ve.Nodes {
					require.Equal(t, c.kind, n.Errors[0].Extra["loop_error_type"])
				}
				require.Less(t, len(ve.Details), 5000, "names a few nodes of many")
				require.Contains(t, ve.Details, "more")
			})
		})
	}
}

// after returns loops one after another.
func after(n int) []string {
	nodes := []string{"e0 Add"}
	for i := 1; i < n; i++ {
		nodes = append(nodes, fmt.Sprintf("s%d StartLoop initial_iteration_value=e%d", i, i-1), fmt.Sprintf("e%d EndLoop output_value=s%d", i, i))
	}
	return append(nodes, fmt.Sprintf("o Show in=e%d", n-1))
}

// nested returns loops inside of each other, whose nodes have ids with some text.
func nested(n int, text string) []string {
	nodes := []string{fmt.Sprintf("s0%s StartLoop", text)}
	for i := 1; i < n; i++ {
		nodes = append(nodes, fmt.Sprintf("s%d%s StartLoop parent_iteration=s%d%s", i, text, i-1, text))
	}
	last := fmt.Sprintf("s%d%s", n-1, text)
	for i := n - 1; i >= 0; i-- {
		nodes = append(nodes, fmt.Sprintf("e%d%s EndLoop output_value=%s", i, text, last))
		last = fmt.Sprintf("e%d%s", i, text)
	}
	return append(nodes, "o Show in="+last)
}

// TestNewest7_LoopBounds: what the check of loops may cost has limits, and so does what the record
// has of loops.
func TestNewest7_LoopBounds(t *testing.T) {
	both := []string{}
	for i := range 1500 {
		below := ""
		if i > 0 {
			below = fmt.Sprintf(" b=a%d", i-1)
		}
		both = append(both, fmt.Sprintf("s%d StartLoop", i), fmt.Sprintf("e%d EndLoop output_value=s%d", i, i), fmt.Sprintf("a%d Add a=e%d%s", i, i, below))
	}
	for i := range 1500 {
		both = append(both, fmt.Sprintf("f%d EndLoop output_value=a1499", i), fmt.Sprintf("p%d Preview in=f%d", i, i))
	}
	for text, nodes := range map[string][]string{
		"too many steps; the limit is 5000000":  both,
		"too many nodes; the limit is 250000":   nested(800, ""),
		"too many bytes; the limit is 16777216": nested(100, strings.Repeat("x", 2000)),
	} {
		inBubble(t, nil, nil, func(t *testing.T, r *rig) {
			ve, runs := r.refused(graph(nodes...))
			require.Empty(t, runs)
			require.Equal(t, "prompt_too_large", ve.Type)
			require.Contains(t, ve.Details, text)
		})
	}
}

// TestNewest7_LoopSubmitterGone: the check ends when the submitter is gone.
func TestNewest7_LoopSubmitterGone(t *testing.T) {
	nodes, err := nodebus.ParseNodes([]byte(graph(append(chain(3000), "e EndLoop output_value=a2999", "o Show in=e")...)))
	require.NoError(t, err)
	inBubble(t, nil, nil, func(t *testing.T, r *rig) {
		ctx, stop := context.WithCancelCause(t.Context())
		stop(errors.New("gone"))
		_, err := r.reg.Prepare(ctx, &nodebus.Prompt{Nodes: nodes})
		require.EqualError(t, err, "gone")
	})
}
