package flow_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestFuncClassValidatesLikeAStruct compares the problems of prompts, the prompts as they
// are recorded, and the descriptions of the class.
func TestFuncClassValidatesLikeAStruct(t *testing.T) {
	structs, funcs := plainRegistry(t, false), plainRegistry(t, true)
	a, _ := structs.Class("Plain")
	b, _ := funcs.Class("Plain")
	require.NotSame(t, a, b)
	require.Equal(t, jsonOf(t, a.Schema()), jsonOf(t, b.Schema()))
	refused := 0
	for name, inputs := range plainCases {
		t.Run(name, func(t *testing.T) {
			check := func(reg *flow.Registry) (string, string) {
				p := &nodebus.Prompt{Nodes: plainPrompt(t, completed(t, inputs))}
				err := prepare(reg, p)
				if err != nil {
					refused++
				}
				return jsonOf(t, p.Nodes), jsonOf(t, err)
			}
			nodes, problems := check(structs)
			sameNodes, sameProblems := check(funcs)
			require.Equal(t, problems, sameProblems)
			require.Equal(t, nodes, sameNodes)
		})
	}
	require.Greater(t, refused, 10)
	require.Less(t, refused, 2*len(plainCases)-10)
}

// TestFuncClassRunsLikeAStruct runs each prompt twice, and compares the events, the texts
// that the nodes show, and what the cache has kept.
func TestFuncClassRunsLikeAStruct(t *testing.T) {
	for cache, c := range map[string]func() flow.Cache{
		"default": func() flow.Cache { return nil },
		"none":    flow.NoCache,
		"classic": flow.ClassicCache,
		"JSON":    func() flow.Cache { return &textCache{entries: map[string][]byte{}} },
		"plain":   func() flow.Cache { return &textCache{plain: true, entries: map[string][]byte{}} },
	} {
		for _, name := range slices.Sorted(maps.Keys(plainCases)) {
			if prepare(plainRegistry(t, false), &nodebus.Prompt{Nodes: plainPrompt(t, completed(t, plainCases[name]))}) != nil {
				continue
			}
			t.Run(cache+"/"+name, func(t *testing.T) {
				var told [2][]string
				for i := range told {
					opts := &flow.LocalOptions{Workers: 1, Cache: c()}
					inBubble(t, opts, nil, func(r *rig) {
						r.reg = plainRegistry(t, i == 1)
						told[i] = runTwice(t, r, opts, plainPrompt(t, completed(t, plainCases[name])))
					})
				}
				require.Equal(t, told[0], told[1])
			})
		}
	}
}

// runTwice runs a graph twice on an executor of r.reg and returns what clients see.
func runTwice(t *testing.T, r *rig, opts *flow.LocalOptions, nodes nodebus.Nodes) (told []string) {
	engine := flow.NewEngine(r.reg, r.hub, &flow.EngineOptions{Executor: flow.NewLocal(r.reg, opts)})
	for _, id := range []string{"first", "second"} {
		out, err := flow.Do(r.ctx, engine, &nodebus.Prompt{ID: id, Nodes: nodes})
		require.NoError(t, err)
		told = append(told, fmt.Sprint(out.State))
		if failed := out.Err(); failed != nil {
			told = append(told, failed.Error())
		}
		for _, n := range out.Nodes {
			told = append(told, fmt.Sprintln(n.UniqueID, n.Result, n.Cached, n.Reason, n.By, n.Attempt))
		}
		for _, o := range out.Outputs {
			told = append(told, jsonOf(t, o))
		}
	}
	return told
}

func jsonOf(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}
