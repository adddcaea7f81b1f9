package stored_test

import (
	"encoding/json"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/stored"
	"github.com/stretchr/testify/require"
)

// named is a value of a caller.
type named string

// nested returns lists in lists.
func nested(levels int) (v any) {
	v = "x"
	for range levels {
		v = []any{v}
	}
	return v
}

func TestIsPlain(t *testing.T) {
	for name, c := range map[string]struct {
		v    any
		want bool
	}{
		"nothing":           {nil, true},
		"numbers":           {[]any{1, 0.5, uint8(3), json.Number("7")}, true},
		"a link":            {nodebus.Link{}, true},
		"objects":           {map[string]any{"x": []any{map[string]any{"y": true}}}, true},
		"a named type":      {named("x"), false},
		"one in a list":     {[]any{1, named("x")}, false},
		"one in an object":  {map[string]any{"x": named("x")}, false},
		"a list of strings": {[]string{"x"}, false},
		"deep":              {nested(100), true},
		"deeper":            {nested(101), false},
		"bytes":             {json.RawMessage(`1`), false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &nodebus.Prompt{Nodes: nodebus.Nodes{{ID: "1", Class: "C", Inputs: nodebus.Inputs{"x": c.v}}}}
			require.Equal(t, c.want, stored.IsPlain(p), "an input")
			if c.v != nil {
				p = &nodebus.Prompt{Extra: map[string]any{"x": c.v}}
				require.Equal(t, c.want && name != "deep", stored.IsPlain(p), "in Extra, one level deeper")
			}
		})
	}
	require.True(t, stored.IsPlain(&nodebus.Prompt{}))
	require.False(t, stored.IsPlain(&nodebus.Prompt{Rejected: &nodebus.ValidationError{}}))
}
