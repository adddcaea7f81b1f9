package flow_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// The nodes of the model once more, as functions of classes made at run time.

// funcOf is the type of the functions of NewClass.
type funcOf = func(ctx *nodebus.Context, in nodebus.Inputs) (flow.Result, error)

// gives returns a function with one output.
func gives(wire *tripwire, f func(ctx *nodebus.Context, in nodebus.Inputs) (any, error)) funcOf {
	return func(ctx *nodebus.Context, in nodebus.Inputs) (flow.Result, error) {
		wire.touch()
		v, err := f(ctx, in)
		return flow.Result{Outputs: []any{v}}, err
	}
}

func num(in nodebus.Inputs, name string) int { return int(in[name].(int64)) }

// modelFunc returns the function that does the same as the struct of a class of the model.
func modelFunc(class string, wire *tripwire) funcOf {
	switch synchronous(class) {
	case "Const":
		return gives(wire, func(_ *nodebus.Context, in nodebus.Inputs) (any, error) { return in["value"], nil })
	case "Add":
		return gives(wire, func(ctx *nodebus.Context, in nodebus.Inputs) (any, error) {
			runtime.Gosched()
			return num(in, "a") + num(in, "b"), ctx.Err()
		})
	case "Pick":
		return gives(wire, func(ctx *nodebus.Context, in nodebus.Inputs) (any, error) {
			sum := int64(0)
			for i, name := range []string{"a", "b"} {
				if num(in, "which")&(1<<i) == 0 {
					continue
				}
				v, err := in[name].(nodebus.Lazy[any]).Get(ctx)
				if err != nil {
					return nil, err
				}
				sum += v.(int64)
			}
			return sum, nil
		})
	case "Range":
		return gives(wire, func(_ *nodebus.Context, in nodebus.Inputs) (any, error) {
			l := []int64{}
			for i := range in["n"].(int64) {
				l = append(l, i)
			}
			return l, nil
		})
	case "Sum":
		return gives(wire, func(_ *nodebus.Context, in nodebus.Inputs) (any, error) {
			sum := 0
			for _, v := range in["values"].([]any) {
				sum += int(v.(int64))
			}
			return sum * num(in, "scale"), nil
		})
	case "Show":
		return func(_ *nodebus.Context, in nodebus.Inputs) (flow.Result, error) {
			wire.touch()
			return flow.Result{UI: nodebus.Text(fmt.Sprint(in["in"]))}, nil
		}
	}
	return modelFuncBeyond(class, wire)
}

// modelFuncBeyond does the same for classes that block, make nodes or fail.
func modelFuncBeyond(class string, wire *tripwire) funcOf {
	switch synchronous(class) {
	case "Gate":
		return gives(wire, func(_ *nodebus.Context, in nodebus.Inputs) (any, error) {
			if num(in, "in")%num(in, "every") == 0 {
				return nil, nodebus.Block(fmt.Sprintf("a multiple of %d", in["every"]))
			}
			return in["in"], nil
		})
	case "Split":
		return func(_ *nodebus.Context, in nodebus.Inputs) (flow.Result, error) {
			wire.touch()
			outs := []any{in["in"], in["in"]}
			outs[1-num(in, "in")%2] = nodebus.Out[any]{Blocked: nodebus.Block("")}
			return flow.Result{Outputs: outs}, nil
		}
	case "Expand":
		return gives(wire, func(ctx *nodebus.Context, in nodebus.Inputs) (any, error) {
			g := ctx.NewGraph()
			return nodebus.Out[any]{From: row(g, num(in, "in"), num(in, "depth"), num(in, "fails")), Graph: g}, nil
		})
	case "Eval":
		return gives(wire, func(ctx *nodebus.Context, in nodebus.Inputs) (any, error) {
			g := ctx.NewGraph()
			return nodebus.Eval[int](ctx, g, row(g, num(in, "in"), num(in, "depth"), num(in, "fails")))
		})
	case "Catch":
		return gives(wire, func(ctx *nodebus.Context, in nodebus.Inputs) (any, error) {
			v, err := in["a"].(nodebus.Lazy[any]).Get(ctx)
			if err != nil && ctx.Err() == nil && !errors.As(err, new(*nodebus.BlockedError)) {
				return 3, nil
			}
			return v, err
		})
	case "Fail":
		return gives(wire, func(_ *nodebus.Context, in nodebus.Inputs) (any, error) {
			switch {
			case in["in"] == in["at"] && num(in, "at")%2 == 0:
				panic(errModel)
			case in["in"] == in["at"]:
				return nil, errModel
			}
			return in["in"], nil
		})
	}
	return modelFuncLive(class, wire)
}

// modelFuncLive does the same for classes with inputs that stand for others.
func modelFuncLive(class string, wire *tripwire) funcOf {
	switch class {
	case "Live":
		return gives(wire, func(_ *nodebus.Context, in nodebus.Inputs) (any, error) {
			sum := 0
			mode := in["mode"].(nodebus.Inputs)
			for _, list := range []any{in["in"], in["others"], mode["more"]} {
				named, _ := list.([]nodebus.Named[any])
				for _, n := range named {
					sum += weight(n.Name) * int(n.Value.(int64))
				}
			}
			if mode["mode"] == "two" {
				sum += weight("a") * num(mode, "a")
			}
			return sum, nil
		})
	case "LivePick":
		return gives(wire, func(ctx *nodebus.Context, in nodebus.Inputs) (any, error) {
			sum := 0
			for i, n := range in["in"].([]nodebus.Named[any]) {
				if num(in, "which")&(1<<i) == 0 {
					continue
				}
				v, err := n.Value.(nodebus.Lazy[any]).Get(ctx)
				if err != nil {
					return nil, err
				}
				sum += int(v.(int64))
			}
			return sum, nil
		})
	}
	panic("the model has no class " + class)
}

// replaceByFuncs replaces some classes of the model, about one of n, by classes made at run
// time.
func replaceByFuncs(t testing.TB, r *rand.Rand, reg *flow.Registry, wire *tripwire, n int) {
	for _, c := range slices.Collect(reg.Classes()) {
		if r.IntN(n) > 0 {
			continue
		}
		twin, err := flow.NewClass(c.Schema(), modelFunc(c.Name(), wire), nil)
		require.NoError(t, err)
		require.True(t, reg.Remove(c.Name()))
		require.NoError(t, reg.Add(twin))
	}
}
