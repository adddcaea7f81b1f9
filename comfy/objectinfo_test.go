package comfy_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// flavour is the type of an input whose choices come from a method.
type flavour string

func (flavour) Options() []string { return []string{"sweet", "sour"} }

// unset is the type of an input without choices.
type unset string

func (unset) Options() []string { return nil }

// sampler is a node with an input of every kind.
type sampler struct {
	Steps  int     `default:"20" min:"1" max:"100" step:"5" tip:"How often."`
	Cfg    float64 `default:"7.5" widget:"round=0.01,display=slider,control_after_generate"`
	Text   string  `default:"a <b>" multiline:"true"`
	Exact  bool    `default:"true"`
	Mode   string  `options:"fast,fine" default:"fine" tip:"How."`
	Taste  flavour
	Nobody unset
	Model  any                `in:",force"`
	Wait   nodebus.Lazy[int]  `in:"later"`
	All    nodebus.List[bool] `in:",optional"`
	Style  string             `in:"style,optional,combo" options:"x,y"`
	Kind   string             `in:",optional" type:"A,B"`

	ID     string        `in:"unique_id" hidden:"UNIQUE_ID"`
	Prompt nodebus.Nodes `hidden:"PROMPT"`

	Skipped chan int `in:"-"`
}

type samples struct {
	Best  flavour              `out:"best" tip:"What tastes best."`
	Rest  nodebus.List[string] `out:"rest"`
	Score float64              `out:""`
	UI    nodebus.UI
}

func (n sampler) Run(*nodebus.Context) (samples, error) { return samples{}, nil }

func TestObjectInfoOfOne(t *testing.T) {
	twins(t, "/object_info", func(t *testing.T, path string) {
		h := newHost(t, nil)
		flow.Register(h.reg, sampler{}, nodebus.Info{
			Name: "My/Sampler", Title: "Sampler ✓", Category: "a/b", Description: "Takes samples.", Output: true,
			Deprecated: true, Experimental: true, Search: []string{"draw", "a <b>"}, Essentials: "Basics", Module: "custom_nodes.pack",
			Help: "not shown here", Intermediate: true,
		})
		a := h.send("GET", path+"/My/Sampler", "")
		require.Equal(t, 200, a.status)
		const want = `{"My/Sampler":{"input":{` +
			`"required":{` +
			`"steps":["INT",{"default":20,"min":1,"max":100,"step":5,"tooltip":"How often."}],` +
			`"cfg":["FLOAT",{"default":7.5,"round":0.01,"display":"slider","control_after_generate":true}],` +
			`"text":["STRING",{"default":"a \u003cb\u003e","multiline":true}],` +
			`"exact":["BOOLEAN",{"default":true}],` +
			`"mode":[["fast","fine"],{"default":"fine","tooltip":"How."}],` +
			`"taste":[["sweet","sour"],{}],` +
			`"nobody":[[],{}],` +
			`"model":["*",{"forceInput":true}],` +
			`"later":["INT",{"lazy":true}]},` +
			`"optional":{` +
			`"all":["BOOLEAN",{}],` +
			`"style":["COMBO",{"options":["x","y"]}],` +
			`"kind":["A,B",{}]},` +
			`"hidden":{"unique_id":"UNIQUE_ID","prompt":"PROMPT"}},` +
			`"input_order":{` +
			`"required":["steps","cfg","text","exact","mode","taste","nobody","model","later"],` +
			`"optional":["all","style","kind"],` +
			`"hidden":["unique_id","prompt"]},` +
			`"is_input_list":true,` +
			`"output":[["sweet","sour"],"STRING","FLOAT"],` +
			`"output_is_list":[false,true,false],` +
			`"output_name":["best","rest","score"],` +
			`"name":"My/Sampler","display_name":"Sampler ✓","description":"Takes samples.",` +
			`"python_module":"custom_nodes.pack","category":"a/b","output_node":true,"has_intermediate_output":true,` +
			`"output_tooltips":["What tastes best.","",""],` +
			`"deprecated":true,"experimental":true,"search_aliases":["draw","a \u003cb\u003e"],"essentials_category":"Basics"}}`
		require.Equal(t, want, a.body)
	})
}

// bare is a node without inputs and outputs.
type bare struct{}

func (bare) Run(*nodebus.Context) (nodebus.UI, error) { return nil, nil }

func TestObjectInfoOfAll(t *testing.T) {
	twins(t, "/object_info", func(t *testing.T, path string) {
		h := newHost(t, nil)
		flow.Register(h.reg, bare{}, nodebus.Info{Name: "0 first"})
		all := h.get(path).(map[string]any)
		require.Equal(t, all, h.get(path+"/"))
		n := 0
		for c := range h.reg.Classes() {
			n++
			require.Equal(t, h.get(path + "/" + c.Name()).(map[string]any)[c.Name()], all[c.Name()])
		}
		require.Len(t, all, n)
		require.Contains(t, h.send("GET", path, "").body, `{"0 first":{"input":{"required":{}},"input_order":{"required":[]},`+
			`"is_input_list":false,"output":[],"output_is_list":[],"output_name":[],"name":"0 first","display_name":"0 first","description":"",`+
			`"python_module":"nodes","category":"","output_node":true,"has_intermediate_output":false,"search_aliases":[]},`)
		for name, d := range all {
			for _, field := range []string{"name", "display_name", "description", "python_module", "category"} {
				require.IsType(t, "", at(t, d, field), "%s of %s", field, name)
			}
		}
		for _, name := range []string{"Unknown", "refadd", "..%2f", "RefAdd%00", "RefAdd/x", "%ff"} {
			a := h.send("GET", path+"/"+name, "")
			require.Equal(t, 200, a.status)
			require.Equal(t, "{}", a.body, name)
		}
	})
}

// mood is the type of an input whose choices cannot be read while badMood is true.
type mood string

var badMood atomic.Bool

func (mood) Options() []string {
	if badMood.Load() {
		panic("not today")
	}
	return []string{"fine"}
}

type moody struct{ Mood mood }

func (moody) Run(*nodebus.Context) (nodebus.UI, error) { return nil, nil }

// moodMaker is a node with an output of type mood.
type moodMaker struct{}

func (moodMaker) Run(*nodebus.Context) (mood, error) { return "fine", nil }

// TestObjectInfoSkips: a class is left out if it cannot be described or its choices
// cannot be read. The other classes do not change.
func TestObjectInfoSkips(t *testing.T) {
	var log bytes.Buffer
	h := newHost(t, &comfy.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	all := h.get("/object_info").(map[string]any)
	flow.Register(h.reg, moody{}, nodebus.Info{Name: "Moody"})
	flow.Register(h.reg, moodMaker{}, nodebus.Info{Name: "MoodMaker"})
	good := h.get("/object_info").(map[string]any)
	require.Equal(t, []any{"fine"}, at(t, good, "Moody", "input", "required", "mood", 0))
	require.Equal(t, []any{"fine"}, at(t, good, "MoodMaker", "output", 0))
	badMood.Store(true)
	require.Equal(t, all, h.get("/object_info"))
	require.Equal(t, map[string]any{}, h.get("/object_info/Moody"))
	badMood.Store(false)
	require.Equal(t, good, h.get("/object_info"))
	require.Equal(t, 2, strings.Count(log.String(), "class=Moody "), log.String())
	require.Equal(t, 1, strings.Count(log.String(), "class=MoodMaker "), log.String())
	require.Contains(t, log.String(), "not today")
}
