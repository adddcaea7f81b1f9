package flow_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// noNull refuses null.
type noNull struct{ N int }

func (s *noNull) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return errors.New("noNull has no null")
	}
	return json.Unmarshal(data, &s.N)
}

// ownNull accepts null.
type ownNull struct{ Null bool }

func (o *ownNull) UnmarshalJSON(data []byte) error {
	o.Null = string(data) == "null"
	return nil
}

type textual string

func (w *textual) UnmarshalText(data []byte) error {
	*w = textual(data)
	return nil
}

// TestAwaitNull: null answers a question only if the type can hold it.
func TestAwaitNull(t *testing.T) {
	for name, c := range map[string]struct {
		class func(r *rig)
		shows string // "": null is refused
	}{
		"bool":        {func(r *rig) { asksFor[bool](r, "Ask", "q", nil) }, ""},
		"int":         {func(r *rig) { asksFor[int](r, "Ask", "q", nil) }, ""},
		"string":      {func(r *rig) { asksFor[string](r, "Ask", "q", nil) }, ""},
		"struct":      {func(r *rig) { asksFor[address](r, "Ask", "q", nil) }, ""},
		"array":       {func(r *rig) { asksFor[[2]int](r, "Ask", "q", nil) }, ""},
		"number":      {func(r *rig) { asksFor[json.Number](r, "Ask", "q", nil) }, ""},
		"text":        {func(r *rig) { asksFor[textual](r, "Ask", "q", nil) }, ""},
		"noNull":      {func(r *rig) { asksFor[noNull](r, "Ask", "q", nil) }, ""},
		"ownNull":     {func(r *rig) { asksFor[ownNull](r, "Ask", "q", nil) }, "{true}"},
		"pointer":     {func(r *rig) { asksFor[*bool](r, "Ask", "q", nil) }, "<nil>"},
		"any":         {func(r *rig) { asksFor[any](r, "Ask", "q", nil) }, "<nil>"},
		"map":         {func(r *rig) { asksFor[map[string]int](r, "Ask", "q", nil) }, "map[]"},
		"slice":       {func(r *rig) { asksFor[[]int](r, "Ask", "q", nil) }, "[]"},
		"raw message": {func(r *rig) { asksFor[json.RawMessage](r, "Ask", "q", nil) }, "[110 117 108 108]"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, nil, func(r *rig) {
				c.class(r)
				wait := r.ask("Ask")
				err := r.engine.Answer(r.ctx, "p", "x", "q", json.RawMessage(" null "))
				if c.shows == "" {
					require.ErrorIs(t, err, flow.ErrAnswer)
					require.ErrorContains(t, err, "null")
					require.NoError(t, r.engine.Refuse(r.ctx, "p", "x", "q", "no"))
					require.Equal(t, nodebus.Refused, wait().record.State)
					return
				}
				require.NoError(t, err)
				require.Equal(t, []any{c.shows}, wait().text("out"))
			})
		})
	}
}
