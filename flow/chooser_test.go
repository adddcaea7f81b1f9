package flow_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// loads has drop-downs with the files of a folder that the program gives.
type loads struct {
	File   string   `options:"" default:"a.txt"`
	Others []string `options:"" in:",optional"`
	Many   []string `options:"" grow:"many,min=0"`
	Mode   loadMode
	folder string
	asked  func(input string)
}

type loadMode struct {
	Copy *struct {
		To string `options:""`
	} `choice:"copy"`
	None *struct{} `choice:"none"`
}

func (n loads) Choices(input string) (names []string) {
	n.asked(input)
	entries, err := os.ReadDir(n.folder)
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (n loads) Run(*nodebus.Context) (string, error) { return n.File, nil }

func TestChoicesOfTheNode(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/a.txt", nil, 0o600))
	asked := map[string]bool{}
	reg := flow.NewRegistry()
	flow.Register(reg, &loads{folder: dir, asked: func(input string) { asked[input] = true }}, nodebus.Info{Name: "Load", Output: true})
	check := func() (types []string) {
		err := prepare(reg, &nodebus.Prompt{Nodes: parse(t, `{"n":{"class_type":"Load","inputs":
			{"file":"b.txt","others":{"__value__":["b.txt"]},"many.many0":"b.txt","mode":"copy","mode.to":"b.txt"}}}`)})
		if err == nil {
			return nil
		}
		var ve *nodebus.ValidationError
		require.ErrorAs(t, err, &ve)
		for _, p := range ve.Nodes["n"].Errors {
			types = append(types, fmt.Sprint(p.Type, " ", p.Extra["input_name"]))
		}
		return types
	}
	require.ElementsMatch(t, []string{
		"value_not_in_list file", "value_not_in_list others", "value_not_in_list many.many0", "value_not_in_list mode.to",
	}, check())
	require.NoError(t, os.WriteFile(dir+"/b.txt", nil, 0o600))
	require.Empty(t, check(), "the choices are those of now")
	require.Equal(t, map[string]bool{"file": true, "others": true, "many": true, "to": true}, asked)

	c, _ := reg.Class("Load")
	text, err := c.Schema().MarshalJSON()
	require.NoError(t, err)
	require.Contains(t, string(text), `"file":[["a.txt","b.txt"],{"default":"a.txt"}]`)

	require.NoError(t, os.RemoveAll(dir))
	_, err = c.Schema().MarshalJSON()
	var panicked *nodebus.PanicError
	require.ErrorAs(t, err, &panicked)
	require.Len(t, check(), 1)
	require.Contains(t, check()[0], "exception_during_validation")
}

type asksNobody struct {
	File string `options:""`
}

func (asksNobody) Run(*nodebus.Context) (string, error) { return "", nil }

type asksForNumbers struct {
	N int `options:""`
}

func (asksForNumbers) Choices(string) []string { return nil }

func (asksForNumbers) Run(*nodebus.Context) (string, error) { return "", nil }

func TestRegisterExplainsChoicesOfTheNode(t *testing.T) {
	require.PanicsWithValue(t, "nodebus: node flow_test.asksNobody: field File: tag `options:\"\"` needs a method Choices(input string) []string of the node; add it, or list the choices in the tag",
		func() { flow.Register(flow.NewRegistry(), asksNobody{}, nodebus.Info{}) })
	require.PanicsWithValue(t, "nodebus: node flow_test.asksForNumbers: field N: tag `options:\"\"` lets the method Choices of the node list texts, which int cannot hold; change the type to string",
		func() { flow.Register(flow.NewRegistry(), asksForNumbers{}, nodebus.Info{}) })
}
