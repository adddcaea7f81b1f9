package flow_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

type (
	typoDefault struct {
		X int `defaullt:"1"`
	}
	typoMax struct {
		X int `maxx:"1"`
	}
	typoTips struct {
		X int `tips:"a number"`
	}
	typoCase struct {
		X int `In:"x"`
	}
	typoLines struct {
		X string `multi_line:"true"`
	}
	wrongLines struct {
		X string `multiline:"yes"`
	}
	lostTag struct {
		x int `in:"x"` //nolint:unused // on purpose
	}
	lostHidden struct {
		id string `hidden:"UNIQUE_ID"` //nolint:unused // on purpose
	}
	otherTags struct {
		X int    `json:"x,omitempty" yaml:"x" toml:"x" ini:"x" env:"X" opt:"x" minimum:"1" enum:"1,2" long:"x" doc:"x" mask:"x" steps_of:"x" in:"x"`
		S string `multiline:"false"`
	}
)

func (typoDefault) Run(*nodebus.Context) (int, error) { return 0, nil }
func (typoMax) Run(*nodebus.Context) (int, error)     { return 0, nil }
func (typoTips) Run(*nodebus.Context) (int, error)    { return 0, nil }
func (typoCase) Run(*nodebus.Context) (int, error)    { return 0, nil }
func (typoLines) Run(*nodebus.Context) (int, error)   { return 0, nil }
func (wrongLines) Run(*nodebus.Context) (int, error)  { return 0, nil }
func (lostTag) Run(*nodebus.Context) (int, error)     { return 0, nil }
func (lostHidden) Run(*nodebus.Context) (int, error)  { return 0, nil }
func (otherTags) Run(*nodebus.Context) (int, error)   { return 0, nil }

type typoOut struct{}

func (typoOut) Run(*nodebus.Context) (r struct {
	A int `out:"a"`
	B int `out:"b" tpi:"x"`
}, err error,
) {
	return r, nil
}

// TestRegisterFindsMisspeltTags: a tag that is almost one of ours is not ignored; tags of
// other packages are.
func TestRegisterFindsMisspeltTags(t *testing.T) {
	r := flow.NewRegistry()
	const other = ", or another name if the tag is for another package"
	for want, register := range map[string]func(){
		"typoDefault: field X: tag `defaullt` is none that nodebus reads; write `default`" + other:                                             func() { flow.Register(r, typoDefault{}, nodebus.Info{}) },
		"typoMax: field X: tag `maxx` is none that nodebus reads; write `max`" + other:                                                         func() { flow.Register(r, typoMax{}, nodebus.Info{}) },
		"typoTips: field X: tag `tips` is none that nodebus reads; write `tip`" + other:                                                        func() { flow.Register(r, typoTips{}, nodebus.Info{}) },
		"typoCase: field X: tag `In` is none that nodebus reads; write `in`" + other:                                                           func() { flow.Register(r, typoCase{}, nodebus.Info{}) },
		"typoLines: field X: tag `multi_line` is none that nodebus reads; write `multiline`" + other:                                           func() { flow.Register(r, typoLines{}, nodebus.Info{}) },
		"typoOut: field B: tag `tpi` is none that nodebus reads; write `tip`" + other:                                                          func() { flow.Register(r, typoOut{}, nodebus.Info{}) },
		"wrongLines: field X: tag `multiline:\"yes\"` is no such value (invalid syntax); write true or false":                                  func() { flow.Register(r, wrongLines{}, nodebus.Info{}) },
		"lostTag: field x: has a tag `in` but is unexported, so that it is no input; begin its name with a capital, or remove the tag":         func() { flow.Register(r, lostTag{}, nodebus.Info{}) },
		"lostHidden: field id: has a tag `hidden` but is unexported, so that it is no input; begin its name with a capital, or remove the tag": func() { flow.Register(r, lostHidden{}, nodebus.Info{}) },
	} {
		require.PanicsWithValue(t, "nodebus: node flow_test."+want, register)
	}
	flow.Register(r, otherTags{}, nodebus.Info{})
	c, _ := r.Class("otherTags")
	require.Equal(t, "x", c.Schema().Inputs[0].Name)
	require.Empty(t, c.Schema().Inputs[1].Options, "multiline is false")
}
