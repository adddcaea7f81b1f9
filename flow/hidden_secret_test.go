package flow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

const secretText = "hunter2"

// strictKey is a type that quotes what it cannot read.
type strictKey struct{ _ int }

func (*strictKey) UnmarshalText(text []byte) error { return fmt.Errorf("no key: %s", text) }

// frailKey is a type that panics with what it cannot read.
type frailKey struct{ _ int }

func (*frailKey) UnmarshalJSON(text []byte) error { panic(string(text)) }

type holds[T any] struct {
	Key T `hidden:"LICENSE"`
}

func (holds[T]) Run(*nodebus.Context) (nodebus.UI, error) { return nil, nil }

// asking is a node that checks its inputs when a prompt is submitted.
type asking[T any] struct {
	Key T `hidden:"LICENSE"`
}

func (asking[T]) Run(*nodebus.Context) (nodebus.UI, error)     { return nil, nil }
func (asking[T]) Fingerprint(*nodebus.Context) (string, error) { return "", nil }
func (asking[T]) Validate(*nodebus.Context) error              { return nil }

func registerHolder[T any](r *flow.Registry, name string) {
	flow.Register(r, holds[T]{}, nodebus.Info{Name: name, Output: true})
	flow.Register(r, asking[T]{}, nodebus.Info{Name: name + " asked", Output: true})
}

// TestSecretsThatDoNotFitAreNotTold: the error of a secret that the field cannot hold reaches
// clients and the store.
func TestSecretsThatDoNotFitAreNotTold(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		registerHolder[int](r.reg, "int")
		registerHolder[float64](r.reg, "float64")
		registerHolder[*int](r.reg, "*int")
		registerHolder[map[string]int](r.reg, "map[string]int")
		registerHolder[[]string](r.reg, "[]string")
		registerHolder[nodebus.Link](r.reg, "nodebus.Link")
		registerHolder[strictKey](r.reg, "flow_test.strictKey")
		registerHolder[frailKey](r.reg, "flow_test.frailKey")
		for class := range r.reg.Classes() {
			name := class.Name()
			if !slices.ContainsFunc(class.Schema().Inputs, func(p flow.Port) bool { return p.Type == "LICENSE" }) {
				continue
			}
			o := r.startWith(&nodebus.Prompt{ID: name, Nodes: parse(t, `{"1":{"class_type":"`+name+`","inputs":{}}}`)},
				&flow.SubmitOptions{Secrets: map[string]string{"LICENSE": secretText}})()
			require.Equal(t, nodebus.Failed, o.record.State, name)
			require.Contains(t, o.record.Error.ExceptionMessage, `input "key": the host's text for the hidden input LICENSE does not fit: the field needs `)
			record, err := json.Marshal(o.record)
			require.NoError(t, err)
			require.NotContains(t, string(record), secretText, name)
			for _, e := range o.events {
				require.NotContains(t, fmt.Sprintf("%+v", e), secretText, name)
			}

			job := &nodebus.Job{Prompt: &nodebus.Prompt{}, Secrets: map[string]string{"LICENSE": secretText}}
			_, err = class.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{Job: job}), nil)
			for ; err != nil; err = errors.Unwrap(err) {
				require.NotContains(t, fmt.Sprintf("%+v %#v", err, err), secretText, name)
			}
		}
	})
}
