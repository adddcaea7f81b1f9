package flow_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

type (
	lowDefault struct {
		X int `default:"0" min:"1"`
	}
	highDefault struct {
		X float64 `default:"1.5" max:"1"`
	}
	strangeDefault struct {
		X string `default:"fit" options:"fill,stretch"`
	}
	edgeDefaults struct {
		Low    int     `default:"1" min:"1" max:"2"`
		High   float64 `default:"2" min:"1" max:"2"`
		Choice string  `default:"b" options:"a,b"`
		Asked  mode    `default:"not there yet"`
		Free   int     `in:"free,unchecked" default:"9" max:"2"`
	}
)

func (lowDefault) Run(*nodebus.Context) (int, error)     { return 0, nil }
func (highDefault) Run(*nodebus.Context) (int, error)    { return 0, nil }
func (strangeDefault) Run(*nodebus.Context) (int, error) { return 0, nil }
func (edgeDefaults) Run(*nodebus.Context) (int, error)   { return 0, nil }

// mode has choices that may change.
type mode string

func (mode) Options() []string { return nil }

func TestRegisterRefusesDefaultsThatAPromptMayNotSay(t *testing.T) {
	r := flow.NewRegistry()
	for want, register := range map[string]func(){
		"nodebus: node flow_test.lowDefault: field X: tag `default:\"0\"` is smaller than min, 1; write a value within the limits":            func() { flow.Register(r, lowDefault{}, nodebus.Info{}) },
		"nodebus: node flow_test.highDefault: field X: tag `default:\"1.5\"` is bigger than max, 1; write a value within the limits":          func() { flow.Register(r, highDefault{}, nodebus.Info{}) },
		"nodebus: node flow_test.strangeDefault: field X: tag `default:\"fit\"` is not in the list \"fill,stretch\"; write one of its values": func() { flow.Register(r, strangeDefault{}, nodebus.Info{}) },
	} {
		require.PanicsWithValue(t, want, register)
	}
	flow.Register(r, edgeDefaults{}, nodebus.Info{})
}
