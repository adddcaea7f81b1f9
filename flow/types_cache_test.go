package flow_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// counted has inputs whose Go values are no basic values, and counts its calls.
type counted struct {
	Rec  point             `in:"rec,optional"`
	When time.Time         `in:"when,optional"`
	N    *int              `in:"n,optional"`
	Tags []string          `in:"tags,optional" options:"a,b,c" default:"a"`
	Size int               `in:"size,optional" options:"1,2"`
	ByID map[string]*point `in:"by_id,optional" type:"POINTS"`
	Any  any               `in:"any,optional"`
	runs *int
}

func (n counted) Run(*nodebus.Context) (nodebus.UI, error) {
	*n.runs++
	return nodebus.Text(fmt.Sprint(*n.runs)), nil
}

// TestSection10LiteralsOfAllTypes: equal literals have one result, whatever their Go type is;
// different literals have different results.
func TestSection10LiteralsOfAllTypes(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		runs := 0
		flow.Register(r.reg, counted{runs: &runs}, nodebus.Info{Name: "Counted"})
		for i, inputs := range []string{
			`{}`,
			`{"rec":{"X":1}}`, `{"rec":{"X":2}}`, `{"rec":null}`,
			`{"when":"2026-01-02T03:04:05Z"}`, `{"when":"2026-01-02T03:04:06Z"}`,
			`{"n":1}`, `{"n":2}`,
			`{"tags":{"__value__":["a","b"]}}`, `{"tags":{"__value__":["b","a"]}}`, `{"tags":{"__value__":[]}}`,
			`{"size":1}`, `{"size":2.0}`,
			`{"by_id":{"a":{"X":1}}}`, `{"by_id":{"b":{"X":1}}}`,
		} {
			prompt := `{"1":{"class_type":"Counted","inputs":` + inputs + `}}`
			for range 2 {
				o := r.run(parse(t, prompt))
				require.Equal(t, []any{fmt.Sprint(i + 1)}, o.text("1"), inputs)
			}
		}
		runs = 0
		for _, c := range []struct {
			inputs string
			runs   int
		}{
			{`{"size":2}`, 0}, {`{"n":"2"}`, 0}, {`{"n":2.5}`, 0}, // the node gets what it got before
			{`{"tags":"b"}`, 1}, {`{"tags":{"__value__":["b"]}}`, 1}, {`{"rec":{"X":1.0}}`, 2},
		} {
			r.run(parse(t, `{"1":{"class_type":"Counted","inputs":`+c.inputs+`}}`))
			require.Equal(t, c.runs, runs, c.inputs)
		}
	})
}

// TestSection10LiteralsOfMadeNodes: pointers and choices that a node writes into a graph are
// part of the key, too; a struct is not, so that the node runs each time.
func TestSection10LiteralsOfMadeNodes(t *testing.T) {
	one, two := 1, 2
	inBubble(t, nil, nil, func(r *rig) {
		runs := 0
		flow.Register(r.reg, counted{runs: &runs}, nodebus.Info{Name: "Counted"})
		given := in{}
		flow.Register(r.reg, besides{make: func(g *nodebus.Graph, _ int) { g.Add("Counted", given) }}, nodebus.Info{Name: "Beside", NoCache: true})
		for i, c := range []struct {
			given in
			runs  int
		}{
			{in{"n": &one}, 1},
			{in{"n": &two}, 2},
			{in{"n": &one}, 2},
			{in{"n": (*int)(nil)}, 3},
			{in{"n": (*int)(nil)}, 3},
			{in{"tags": []string{"a"}}, 4},
			{in{"tags": []string{"b"}}, 5},
			{in{"tags": []string{"a"}}, 5},
			{in{"any": []int{1}}, 6},
			{in{"any": whole(1)}, 7},
			{in{"any": []int{1}}, 7},
			{in{"rec": point{1, 2}}, 8},
			{in{"rec": point{1, 2}}, 9},
		} {
			given = c.given
			o := r.run(parse(t, fmt.Sprintf(`{"b%d":{"class_type":"Beside","inputs":{"in":%[1]d}},"o":{"class_type":"Show","inputs":{"in":["b%[1]d",0]}}}`, i)))
			require.Nil(t, o.record.Error)
			require.Equal(t, c.runs, runs, "%v", c.given)
		}
	})
}

// whole is a named number.
type whole int
