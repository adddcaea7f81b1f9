package flow_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// These tests check the types of inputs as people write them: at the wire, and what the node
// gets.

// Size is a number from a list that a program makes.
type Size int32

func (Size) Options() []int { return []int{256, 512, 1024} }

// Speed is a number with a fraction from a list.
type Speed float64

func (Speed) Options() []Speed { return []Speed{0.5, 1, 2} }

// Flavor is a text from a list.
type Flavor string

func (Flavor) Options() []string { return []string{"sweet", "sour", "salty"} }

type chooser struct {
	N      int      `options:"1, 2,4" default:"2"`
	F      float64  `options:"0.5,1" in:"f,combo"`
	U      uint8    `options:"7" in:"u,optional"`
	Size   Size     `default:"512"`
	Speed  *Speed   `in:"speed,optional"`
	Tags   []string `options:"a,b,c" default:"a,c" widget:"placeholder=pick some,chip,dynamic" in:"tags,optional"`
	Counts []int    `options:"1,2,3" in:"counts,optional"`
	Taste  []Flavor `in:"taste,optional"`
	Free   []int    `options:"1,2" in:"free,optional,unchecked"`
	Loose  int      `options:"1,2" in:"loose,optional,unchecked"`
}

func (n chooser) Run(*nodebus.Context) (nodebus.UI, error) { return nodebus.Text(n.String()), nil }

func (n chooser) String() string {
	speed := "nil"
	if n.Speed != nil {
		speed = fmt.Sprint(float64(*n.Speed))
	}
	return strings.TrimSpace(fmt.Sprintln(n.N, n.F, n.U, int(n.Size), speed, n.Tags, n.Counts, n.Taste, n.Free, n.Loose))
}

// pointed has pointers for inputs that may not be given, and other types that people write.
type pointed struct {
	I    *int              `in:"i,optional" min:"1" max:"9"`
	Big  *int64            `in:"big,optional" default:"7"`
	S    *string           `in:"s,optional"`
	B    *bool             `in:"b,optional"`
	F    *float64          `in:"f,optional"`
	Mode *Mode             `in:"mode,optional"`
	Rec  *point            `in:"rec,optional"`
	Val  point             `in:"val,optional"`
	When time.Time         `in:"when,optional"`
	Then *time.Time        `in:"then,optional" type:"STRING"`
	Addr netip.Addr        `in:"addr,optional"`
	Lvl  slog.Level        `in:"lvl,optional"`
	Num  *big.Int          `in:"num,optional"`
	Nums wholes            `in:"nums,optional"`
	Trio trio              `in:"trio,optional"`
	ByID map[string]*point `in:"by_id,optional" type:"POINTS"`
}

type (
	wholes []int
	trio   [3]float64
)

func (n pointed) Run(*nodebus.Context) (nodebus.UI, error) {
	enc, err := json.Marshal(n)
	return nodebus.Text(string(enc)), err
}

func typesRegistry() *flow.Registry {
	r := flow.NewRegistry()
	flow.Register(r, chooser{}, nodebus.Info{Name: "Chooser"})
	flow.Register(r, pointed{}, nodebus.Info{Name: "Pointed"})
	flow.Register(r, limitless{}, nodebus.Info{Name: "Wide"})
	return r
}

// inputsOf returns the inputs of a class as /object_info shows them.
func inputsOf(t *testing.T, r *flow.Registry, class string) string {
	c, ok := r.Class(class)
	require.True(t, ok)
	enc, err := json.Marshal(c.Schema())
	require.NoError(t, err)
	var entry struct {
		Input json.RawMessage `json:"input"`
	}
	require.NoError(t, json.Unmarshal(enc, &entry))
	return string(entry.Input)
}

// problemOf validates a prompt of one node. It returns the type and the details of the first
// problem.
func problemOf(t *testing.T, r *flow.Registry, class, inputs string) string {
	err := prepare(r, &nodebus.Prompt{Nodes: parse(t, `{"1":{"class_type":"`+class+`","inputs":`+inputs+`}}`)})
	if err == nil {
		return ""
	}
	var invalid *nodebus.ValidationError
	require.ErrorAs(t, err, &invalid)
	p := invalid.Nodes["1"].Errors[0]
	_, err = json.Marshal(invalid)
	require.NoError(t, err)
	return p.Type + ": " + p.Details
}

// shownBy runs a prompt of one node and returns the text that it shows.
func shownBy(t *testing.T, r *flow.Registry, class, inputs string) string {
	p := &nodebus.Prompt{ID: "p", Nodes: parse(t, `{"1":{"class_type":"`+class+`","inputs":`+inputs+`}}`)}
	shown, err := execute(flow.NewLocal(r, nil), t.Context(), p, deafPublisher{})
	require.NoError(t, err)
	return shown["1"]["text"][0].(string)
}

type deafPublisher struct{}

func (deafPublisher) Publish(nodebus.Event) error { return nil }

func TestDropDownsOfNumbersOnTheWire(t *testing.T) {
	require.Equal(t, `{"required":{"n":[[1,2,4],{"default":2}],"f":["COMBO",{"options":[0.5,1]}],"size":[[256,512,1024],{"default":512}]},`+
		`"optional":{"u":[[7],{}],"speed":[[0.5,1,2],{}],`+
		`"tags":["COMBO",{"default":["a","c"],"dynamic":true,"multi_select":{"chip":true,"placeholder":"pick some"},"multiselect":true,"options":["a","b","c"]}],`+
		`"counts":["COMBO",{"multiselect":true,"options":[1,2,3],"multi_select":{}}],`+
		`"taste":["COMBO",{"multiselect":true,"options":["sweet","sour","salty"],"multi_select":{}}],`+
		`"free":["COMBO",{"multiselect":true,"options":[1,2],"multi_select":{}}],"loose":[[1,2],{}]}}`,
		inputsOf(t, typesRegistry(), "Chooser"))
}

func TestSection4Choices(t *testing.T) {
	r := typesRegistry()
	for _, c := range []struct{ change, problem, got string }{
		{`{}`, "", "1 0.5 0 512 nil [a c] [] [] [] 0"},
		{`{"n":2.0,"f":1,"size":1024,"u":7}`, "", "2 1 7 1024 nil [a c] [] [] [] 0"},
		{`{"n":true}`, "", "1 0.5 0 512 nil [a c] [] [] [] 0"}, // as in Python
		{`{"n":"1"}`, "value_not_in_list: n: '1' not in [1, 2, 4]", ""},
		{`{"n":3}`, "value_not_in_list: n: 3 not in [1, 2, 4]", ""},
		{`{"n":1.5}`, "value_not_in_list: n: 1.5 not in [1, 2, 4]", ""},
		{`{"n":null}`, "value_not_in_list: n: None not in [1, 2, 4]", ""},
		{`{"n":{"a":1}}`, "value_not_in_list: n: {'a': 1} not in [1, 2, 4]", ""},
		{`{"f":"0.5"}`, "value_not_in_list: f: '0.5' not in [0.5, 1.0]", ""},
		{`{"size":500}`, "value_not_in_list: size: 500 not in [256, 512, 1024]", ""},
		{`{"speed":2.0}`, "", "1 0.5 0 512 2 [a c] [] [] [] 0"},
		{`{"tags":{"__value__":["c","b"]}}`, "", "1 0.5 0 512 nil [c b] [] [] [] 0"},
		{`{"tags":{"__value__":[]}}`, "", "1 0.5 0 512 nil [] [] [] [] 0"},
		{`{"tags":"b"}`, "", "1 0.5 0 512 nil [b] [] [] [] 0"},
		{`{"tags":{"__value__":["x","a","y"]}}`, "value_not_in_list: tags: 'x', 'y' not in ['a', 'b', 'c']", ""},
		{`{"tags":"x"}`, "value_not_in_list: tags: 'x' not in ['a', 'b', 'c']", ""},
		{`{"tags":["a","b","c"]}`, "bad_linked_input: tags", ""},
		{`{"tags":["a","b"]}`, "exception_during_validation: input tags links to ['a', 'b'], which is not [node id, output number]", ""},
		{`{"tags":null}`, "value_not_in_list: tags: None not in ['a', 'b', 'c']", ""},
		{`{"counts":{"__value__":[1.0,3]}}`, "", "1 0.5 0 512 nil [a c] [1 3] [] [] 0"},
		{`{"counts":{"__value__":["1"]}}`, "value_not_in_list: counts: '1' not in [1, 2, 3]", ""},
		{`{"taste":{"__value__":["sour"]}}`, "", "1 0.5 0 512 nil [a c] [] [sour] [] 0"},
		{`{"free":{"__value__":[1,9]},"loose":8}`, "", "1 0.5 0 512 nil [a c] [] [] [1 9] 8"},
		{`{"free":{"__value__":["x"]}}`, `invalid_input_type: free, ['x'], element 0: needs a whole number, got the string "x"`, ""},
		{`{"loose":1.5}`, "invalid_input_type: loose, 1.5, needs a whole number, got the number 1.5", ""},
	} {
		t.Run(c.change, func(t *testing.T) {
			inputs := merged(t, `{"n":1,"f":0.5,"size":512}`, c.change)
			require.Equal(t, c.problem, problemOf(t, r, "Chooser", inputs))
			if c.problem == "" {
				require.Equal(t, c.got, shownBy(t, r, "Chooser", inputs))
			}
		})
	}
}

// merged returns an object with the members of both. A member of change replaces another.
func merged(t *testing.T, object, change string) string {
	all := map[string]json.RawMessage{}
	require.NoError(t, json.Unmarshal([]byte(object), &all))
	require.NoError(t, json.Unmarshal([]byte(change), &all))
	enc, err := json.Marshal(all)
	require.NoError(t, err)
	return string(enc)
}

const nothingGiven = `{"I":null,"Big":7,"S":null,"B":null,"F":null,"Mode":null,"Rec":null,"Val":{"X":0,"Y":0},"When":"0001-01-01T00:00:00Z","Then":null,"Addr":"","Lvl":"INFO","Num":null,"Nums":null,"Trio":[0,0,0],"ByID":null}`

func TestSection4NotGivenAndNull(t *testing.T) {
	r := typesRegistry()
	for _, c := range []struct{ inputs, problem, got string }{
		{`{}`, "", `{}`},
		{`{"i":3,"big":"8","s":"x","b":0,"f":2,"mode":"fast"}`, "", `{"I":3,"Big":8,"S":"x","B":false,"F":2,"Mode":"fast"}`},
		{`{"i":0}`, "value_smaller_than_min: i", ""},
		{`{"i":"x"}`, "invalid_input_type: i, x, invalid literal for int() with base 10: 'x'", ""},
		{`{"i":null}`, "invalid_input_type: i, None, int() argument must be a string, a bytes-like object or a real number, not 'NoneType'", ""},
		{`{"f":null}`, "invalid_input_type: f, None, float() argument must be a string or a real number, not 'NoneType'", ""},
		{`{"mode":null}`, "value_not_in_list: mode: None not in ['fast', 'good']", ""},
		{`{"s":null,"b":null}`, "", `{"S":"None","B":false}`}, // as in ComfyUI
		{`{"rec":null,"val":null,"when":null,"addr":null,"nums":null,"trio":null,"by_id":null}`, "", `{}`},
		{
			`{"rec":{"X":1},"val":{"Y":2},"nums":{"__value__":[1,2.0]},"trio":{"__value__":[1,2,3]}}`, "",
			`{"Rec":{"X":1,"Y":0},"Val":{"X":0,"Y":2},"Nums":[1,2],"Trio":[1,2,3]}`,
		},
		{`{"by_id":{"a":{"X":1}}}`, "", `{"ByID":{"a":{"X":1,"Y":0}}}`},
		{`{"rec":{"X":"a"}}`, `invalid_input_type: rec, {'X': 'a'}, "X" of the object must be a whole number, but it is a string`, ""},
		{`{"rec":{"X":1e99}}`, `invalid_input_type: rec, {'X': 1e+99}, "X" of the object must be a whole number, but it is 1e+99`, ""},
		{`{"by_id":{"a":5}}`, `invalid_input_type: by_id, {'a': 5}, each element of the object must be an object, but one is a number`, ""},
		{`{"rec":"x"}`, `invalid_input_type: rec, 'x', needs a value of type POINT, got the string "x"`, ""},
		{
			`{"when":"2026-01-02T03:04:05Z","then":"2026-01-02T03:04:05Z","addr":"::1"}`, "",
			`{"When":"2026-01-02T03:04:05Z","Then":"2026-01-02T03:04:05Z","Addr":"::1"}`,
		},
		{`{"when":"yesterday"}`, `invalid_input_type: when, 'yesterday', needs a value of type TIME, got the string "yesterday": parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"`, ""},
		{`{"then":5}`, `invalid_input_type: then, 5, needs a value of type TIME, got the string "5": parsing time "5" as "2006-01-02T15:04:05Z07:00": cannot parse "5" as "2006"`, ""},
		{`{"when":5}`, `invalid_input_type: when, 5, needs a value of type TIME, got the number 5: Time.UnmarshalJSON: input is not a JSON string`, ""},
		{`{"lvl":"warn","num":"123"}`, "", `{"Lvl":"WARN","Num":123}`},
		{`{"lvl":8,"num":12}`, "", `{"Lvl":"ERROR","Num":12}`},
		{`{"lvl":"loud"}`, `invalid_input_type: lvl, loud, invalid literal for int() with base 10: 'loud'`, ""},
	} {
		t.Run(c.inputs, func(t *testing.T) {
			require.Equal(t, c.problem, problemOf(t, r, "Pointed", c.inputs))
			if c.problem == "" {
				require.JSONEq(t, merged(t, nothingGiven, c.got), shownBy(t, r, "Pointed", c.inputs))
			}
		})
	}
}

// limitless has limits that its Go types do not hold.
type limitless struct {
	Seed  int64   `min:"-1" max:"18446744073709551615" in:"seed,optional"`
	U     uint64  `min:"-1" max:"100000000000000000000" in:"u,optional"`
	F     float64 `max:"1e20" in:"f,optional"`
	Tenth float32 `min:"0.1" default:"0.1" in:"tenth,optional"`
	Exact int64   `min:"9223372036854775807" in:"exact,optional"`
	Mixed float64 `max:"3" type:"FLOAT,INT" in:"mixed,optional"`
}

func (n limitless) Run(*nodebus.Context) (nodebus.UI, error) { return nodebus.Text(fmt.Sprint(n)), nil }

func TestLimitsBeyondTheType(t *testing.T) {
	r := typesRegistry()
	require.Equal(t, `{"required":{},"optional":{"seed":["INT",{"min":-1,"max":18446744073709551615}],"u":["INT",{"min":-1,"max":100000000000000000000}],`+
		`"f":["FLOAT",{"max":100000000000000000000}],"tenth":["FLOAT",{"default":0.1,"min":0.1}],"exact":["INT",{"min":9223372036854775807}],"mixed":["FLOAT,INT",{"max":3}]}}`,
		inputsOf(t, r, "Wide"))
	for inputs, want := range map[string]string{
		`{"seed":9223372036854775807,"u":18446744073709551615,"f":1e20,"tenth":0.1}`: "",
		`{"seed":-2}`:                   "value_smaller_than_min: seed",
		`{"seed":9223372036854775808}`:  "invalid_input_type: seed, 9223372036854775808, needs a whole number from -9223372036854775808 to 9223372036854775807, got the number 9223372036854775808",
		`{"u":-1}`:                      "invalid_input_type: u, -1, needs a whole number from 0 to 18446744073709551615, got the number -1",
		`{"u":-2}`:                      "value_smaller_than_min: u",
		`{"f":1.1e20}`:                  "value_bigger_than_max: f",
		`{"tenth":0.0999}`:              "value_smaller_than_min: tenth",
		`{"exact":9223372036854775806}`: "value_smaller_than_min: exact",
		`{"mixed":3}`:                   "",
		`{"mixed":3.5}`:                 "value_bigger_than_max: mixed",
		`{"mixed":4}`:                   "value_bigger_than_max: mixed",
	} {
		require.Equal(t, want, problemOf(t, r, "Wide", inputs), inputs)
	}
}
