package flow_test

import (
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

type (
	liveLoop struct {
		A *struct{ Loop liveLoopAgain } `choice:"a"`
	}
	liveLoopAgain struct {
		A *liveLoopInner `choice:"a"`
	}
	liveLoopInner struct{ Loop liveLoopAgain }
)

type badLive0 struct {
	X int `grow:"x"`
}

func (badLive0) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive1 struct {
	X []int `grow:"x,max=0"`
}

func (badLive1) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive2 struct {
	X []int `grow:"x,max=101"`
}

func (badLive2) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive3 struct {
	X []int `grow:"x,min=11"`
}

func (badLive3) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive4 struct {
	X []int `grow:"a.b"`
}

func (badLive4) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive5 struct {
	X []int `grow:"names=a|a"`
}

func (badLive5) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive6 struct {
	X []int `grow:"names=a|,min=0"`
}

func (badLive6) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive7 struct {
	X []int `grow:"names=a,min=2"`
}

func (badLive7) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive8 struct {
	X []int `grow:"x,most=3"`
}

func (badLive8) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive9 struct {
	X nodebus.List[int] `grow:"x"`
}

func (badLive9) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive10 struct {
	X map[int]int `grow:"x"`
}

func (badLive10) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive11 struct {
	X []int `in:",rest" grow:"x"`
}

func (badLive11) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive12 struct {
	X []string `hidden:"UNIQUE_ID" grow:"x"`
}

func (badLive12) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive13 struct {
	X []func() `grow:"x"`
}

func (badLive13) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive14 struct {
	X []int `grow:"x" min:"3" max:"2"`
}

func (badLive14) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive15 struct {
	X []int `grow:"x"`
	Y int   `in:"x.y"`
}

func (badLive15) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive16 struct {
	X []any `in:"x,rest"`
}

func (badLive16) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive17 struct {
	X []any `in:",rest,optional"`
}

func (badLive17) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive18 struct {
	X any `in:",rest"`
}

func (badLive18) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive19 struct {
	X []int `in:",rest" default:"1"`
}

func (badLive19) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive20 struct {
	X, Y []any `in:",rest"`
}

func (badLive20) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive21 struct {
	A *struct{} `choice:"a"`
}

func (badLive21) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive22 struct {
	X struct {
		A *struct{} `choice:"a"`
		B *struct{}
	}
}

func (badLive22) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive23 struct {
	X struct {
		A struct{} `choice:"a"`
	}
}

func (badLive23) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive24 struct {
	X struct {
		A, B *struct{} `choice:"a"`
	}
}

func (badLive24) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive25 struct {
	X struct {
		a *struct{} `choice:"a"`
	}
}

func (badLive25) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive26 struct {
	X struct {
		A *struct{ X int } `choice:"a"`
	}
}

func (badLive26) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive27 struct {
	X struct {
		A *struct {
			Y, Z int `in:"y"`
		} `choice:"a"`
	}
}

func (badLive27) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive28 struct {
	X struct {
		A *struct {
			Y string `hidden:"UNIQUE_ID"`
		} `choice:"a"`
	}
}

func (badLive28) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive29 struct {
	X struct {
		A *struct {
			Y []any `in:",rest"`
		} `choice:"a"`
	}
}

func (badLive29) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive30 struct {
	X struct {
		A *struct {
			Y int `in:"y.z"`
		} `choice:"a"`
	}
}

func (badLive30) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive31 struct {
	X struct {
		A *struct{} `choice:""`
	}
}

func (badLive31) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive32 struct {
	X struct {
		A *struct{} `choice:"a"`
	} `default:"a"`
}

func (badLive32) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive33 struct {
	X struct {
		A *struct{} `choice:"a"`
	} `in:",force"`
}

func (badLive33) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive34 struct{ Loop liveLoop }

func (badLive34) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive35 struct {
	X any `match:""`
}

func (badLive35) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive36 struct {
	X any `match:"T,"`
}

func (badLive36) Run(*nodebus.Context) (int, error) { return 0, nil }

type badLive37 struct {
	X any `match:"T" type:"IMAGE"`
}

func (badLive37) Run(*nodebus.Context) (int, error) { return 0, nil }

func TestRegisterExplainsMistakesInDynamicInputs(t *testing.T) {
	for _, c := range []struct {
		register func(*flow.Registry)
		want     string
	}{
		{registers(badLive0{}), "field X: stands for several inputs, which int cannot hold; change the type to []int, map[string]int or []nodebus.Named[int]"},
		{registers(badLive1{}), "field X: tag `grow:\"x,max=0\"` has the max 0; write 1 to 100"},
		{registers(badLive2{}), "field X: tag `grow:\"x,max=101\"` has the max 101; write 1 to 100"},
		{registers(badLive3{}), "field X: tag `grow:\"x,min=11\"` has the min 11; write 0 to 10, the max"},
		{registers(badLive4{}), "field X: tag `grow:\"a.b\"` has the prefix \"a.b\", which is empty or has a dot; write another"},
		{registers(badLive5{}), "field X: tag `grow:\"names=a|a\"` has the name \"a\", which is empty, has a dot or comes twice; write another"},
		{registers(badLive6{}), "field X: tag `grow:\"names=a|,min=0\"` has the name \"\", which is empty, has a dot or comes twice; write another"},
		{registers(badLive7{}), "field X: tag `grow:\"names=a,min=2\"` has the min 2; write 0 to 1, the number of names"},
		{registers(badLive8{}), "field X: tag `grow:\"x,most=3\"` has \"most=3\", which is none of a prefix, names=a|b, min=1, max=10"},
		{registers(badLive9{}), "field X: a List is one input; for inputs that are lists write []nodebus.List[int]"},
		{registers(badLive10{}), "field X: stands for several inputs, which map[int]int cannot hold; change the type to []map[int]int, map[string]map[int]int or []nodebus.Named[map[int]int]"},
		{registers(badLive11{}), "field X: has a tag `grow` and the flag rest; remove one of them: an input either grows or takes what nobody declares"},
		{registers(badLive12{}), "field X: has the tags `grow` and `hidden`; remove one of them: the executor sets one value"},
		{registers(badLive13{}), "field X: type func() has no name to connect by; give it a named type, a method PortType() string, or a tag `type:\"NAME\"`"},
		{registers(badLive14{}), "field X: tag `min:\"3\"` is bigger than max, 2; no value is possible"},
		{registers(badLive15{}), "field Y: its name \"x.y\" looks like an input below \"x\"; rename it with a tag `in:\"name\"`"},
		{registers(badLive16{}), "field X: tag `in` has the name \"x\" and the flag rest; remove the name: a rest field takes inputs of any name"},
		{registers(badLive17{}), "field X: tag `in` has flags beside rest; write in:\",rest\""},
		{registers(badLive18{}), "field X: stands for several inputs, which interface {} cannot hold; change the type to []interface {}, map[string]interface {} or []nodebus.Named[interface {}]"},
		{registers(badLive19{}), "field X: has the flag rest and a tag `default`; remove the tag: nobody declares these inputs"},
		{registers(badLive20{}), "field Y: is a second field with the flag rest; remove one of them"},
		{registers(badLive21{}), "field A: tag `choice` belongs to the fields of a struct that is the type of an input; write Mode Mode, and in the struct Mode the fields with the tag"},
		{registers(badLive22{}), "field X.B: has no tag `choice`, but other fields of the struct have it; add it, or a tag `in:\"-\"`"},
		{registers(badLive23{}), "field X.A: is a choice, which must be a pointer to a struct with its inputs, not struct {}; write *struct{} if it has none"},
		{registers(badLive24{}), "field X.B: tag `choice:\"a\"` comes twice; write another name"},
		{registers(badLive25{}), "field X.a: has a tag `choice` but is unexported; begin its name with a capital"},
		{registers(badLive26{}), "field X.A: input \"x\" has the name of the drop-down or of another input of the choice; rename it"},
		{registers(badLive27{}), "field X.A: input \"y\" has the name of the drop-down or of another input of the choice; rename it"},
		{registers(badLive28{}), "field X.A: input \"y\" is hidden; declare it beside the drop-down"},
		{registers(badLive29{}), "field X.A: input \"y\" takes all others; declare it beside the drop-down"},
		{registers(badLive30{}), "field X.A: input \"y.z\" has no name, or a dot in it; rename it"},
		{registers(badLive31{}), "field X.A: has an empty tag `choice`; write the name that users choose"},
		{registers(badLive32{}), "field X: has a tag `default`, which a drop-down of structs does not have; remove it. The first choice is the default"},
		{registers(badLive33{}), "field X: tag `in` has the flag \"force\", which a drop-down of structs does not have; remove it"},
		{registers(badLive34{}), "field Loop.A.Loop.A.Loop: its choices are inside each other more than 16 times; does a struct contain itself?"},
		{registers(badLive35{}), "field X: tag `match:\"\"` has an empty part; write an id, and then the possible types, as in match:\"T,IMAGE,MASK\""},
		{registers(badLive36{}), "field X: tag `match:\"T,\"` has an empty part; write an id, and then the possible types, as in match:\"T,IMAGE,MASK\""},
		{registers(badLive37{}), "field X: has the tags `match` and `type`; write the types behind the id, as in match:\"T,IMAGE,MASK\""},
	} {
		func() {
			defer func() {
				text, _ := recover().(string)
				_, text, _ = strings.Cut(text, ": field ")
				require.Equal(t, c.want, "field "+text)
			}()
			c.register(flow.NewRegistry())
		}()
	}
}

func registers(node nodebus.Node[int]) func(*flow.Registry) {
	return func(r *flow.Registry) { flow.Register(r, node, nodebus.Info{}) }
}
