package comfy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// wordsOfGo matches what only a reader of Go understands.
const wordsOfGo = `json: |Go struct|Go value|\*?\b(fmt|errors|nodebus|flow|comfy|comfy_test|loops|web|content|submit|jobs|runs|media|site|users|info|terminal|json|reflect|time)\.[A-Za-z]|interface ?\{\}|map\[|\bu?int(8|16|32|64)?\b[^(]|\bfloat(32|64)\b`

// TestErrorTextsHaveNoGoTypes sends values of every wrong type to the routes that read JSON.
func TestErrorTextsHaveNoGoTypes(t *testing.T) {
	routes := map[string][]string{
		"POST /prompt":                   {"prompt", "prompt_id", "client_id", "number", "extra_data", "partial_execution_targets"},
		"POST /queue":                    {"clear", "delete"},
		"POST /history":                  {"clear", "delete"},
		"POST /free":                     {"unload_models", "free_memory"},
		"POST /interrupt":                {"prompt_id"},
		"POST /settings":                 {},
		"POST /users":                    {"username"},
		"POST /api/jobs/cancel":          {"job_ids"},
		"POST /nodebus/answer":           {"prompt_id", "node_id", "name", "value", "refuse"},
		"POST /nodebus/queue":            {"pause", "paused", "order", "prompt_id", "first", "priority"},
		"POST /nodebus/runs":             {"prompt", "client_id"},
		"PATCH /internal/logs/subscribe": {"enabled", "clientId"},
	}
	values := []string{`5`, `1.5`, `"x"`, `true`, `[]`, `[5]`, `["x"]`, `[[]]`, `{}`, `{"a":5}`, `1e999`, `nope`, `{"1":5}`, `{"1":{"class_type":{},"inputs":{}}}`}
	for route, names := range routes {
		h := newHost(t, nil) // a body may pause the queue
		method, path, _ := strings.Cut(route, " ")
		for _, v := range values {
			bodies := []string{v}
			for _, name := range names {
				bodies = append(bodies, fmt.Sprintf(`{%q:%s}`, name, v), fmt.Sprintf(`{"prompt":%s,%q:%s}`, quick, name, v))
			}
			for _, body := range bodies {
				a := h.send(method, path, body)
				require.Less(t, a.status, 500, "%s %s: %s", route, body, a.body)
				if a.status >= 400 {
					require.NotRegexp(t, wordsOfGo, a.body, "%s %s", route, body)
				}
			}
		}
	}
	h := newHost(t, nil)
	for body, want := range map[string]string{
		`{"prompt":{},"partial_execution_targets":5}`:   "partial_execution_targets must be a list, but it is a number",
		`{"prompt":{},"partial_execution_targets":[5]}`: "each element of partial_execution_targets must be a string, but one is a number",
		`{"prompt":{},"extra_data":[]}`:                 "extra_data must be an object, but it is a list",
		"{\"prompt\":{},\n\"number\":nope}":             "invalid character 'o' in literal null (expecting 'u'), at line 2, column 11",
		`[]`:                                            "the JSON must be an object, but it is a list",
	} {
		require.Equal(t, want, at(t, h.post("/prompt", body).json(t), "error", "details"), body)
	}
	require.JSONEq(t, `{"error":"the body is not the expected JSON: each element of delete must be a string, but one is a number"}`, h.post("/queue", `{"delete":[5]}`).body)
}

// Picky has inputs of many types, and fails as Mode says.
type Picky struct {
	Mode  string
	Small int8           `in:"small,optional"`
	When  time.Time      `in:"when,optional"`
	Point pickyPoint     `in:"point,optional"`
	Names []string       `in:"names,optional" type:"NAMES"`
	Map   map[string]int `in:"map,optional" type:"MAP"`
	Any   pickyPoint     `in:"any,optional" type:"*"`
}

type pickyPoint struct{ X, Y int }

func (n Picky) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	bad := json.Unmarshal([]byte(`{"X":"no"}`), &pickyPoint{})
	switch n.Mode {
	case "json":
		return nil, bad
	case "wrapped":
		return nil, fmt.Errorf("reading the plan: %w", bad)
	case "joined":
		return nil, errors.Join(errors.New("first"), bad)
	case "several":
		return nil, fmt.Errorf("%w and %w", errors.New("first"), bad)
	case "plain":
		return nil, fmt.Errorf("while working: %w", errors.New("boom"))
	case "to":
		_, err := nodebus.To[[]int]("x")
		return nil, err
	}
	return nil, nil
}

// TestErrorTextsOfNodesHaveNoGoTypes: neither the errors of literals, nor the events of a node
// that fails. The kind of an error may be a type, as in ComfyUI.
func TestErrorTextsOfNodesHaveNoGoTypes(t *testing.T) {
	h := newHost(t, nil)
	flow.Register(h.reg, Picky{}, nodebus.Info{})
	for input, v := range map[string][]string{
		"small": {`300`, `[1,2,3]`, `{"__value__":[1]}`, `{}`},
		"when":  {`5`, `"soon"`, `{}`, `{"__value__":[]}`},
		"point": {`5`, `"x"`, `{"X":"a"}`, `{"X":1.5}`, `{"__value__":[1]}`, `true`},
		"names": {`5`, `"x"`, `{"__value__":[1]}`, `{"__value__":[{"a":1}]}`, `{}`},
		"map":   {`5`, `{"a":"b"}`, `{"a":[]}`, `{"__value__":[1]}`},
	} {
		for _, v := range v {
			a := h.post("/prompt", `{"prompt":{"1":{"class_type":"Picky","inputs":{"mode":"","`+input+`":`+v+`}}}}`)
			require.Equal(t, 400, a.status, "%s %s: %s", input, v, a.body)
			require.NotRegexp(t, wordsOfGo, a.body, "%s %s", input, v)
		}
	}
	for mode, want := range map[string][2]string{
		"json":    {"json.UnmarshalTypeError", `"X" of the JSON must be a whole number, but it is a string`},
		"wrapped": {"json.UnmarshalTypeError", `reading the plan: "X" of the JSON must be a whole number, but it is a string`},
		"joined":  {"error", "first\n" + `"X" of the JSON must be a whole number, but it is a string`},
		"several": {"error", `first and "X" of the JSON must be a whole number, but it is a string`},
		"plain":   {"error", "while working: boom"},
		"to":      {"error", `nodebus: To: needs a list of whole numbers, got the string "x"`},
	} {
		id := h.submit("me", `{"1":{"class_type":"Picky","inputs":{"mode":"`+mode+`"}}}`)
		require.Contains(t, h.ended(id), "execution_error")
		messages := at(t, h.get("/history/"+id), id, "status", "messages").([]any)
		e := messages[len(messages)-1].([]any)[1].(map[string]any)
		require.Equal(t, want, [2]string{e["exception_type"].(string), strings.TrimSuffix(e["exception_message"].(string), "\n")})
		require.NotRegexp(t, wordsOfGo, e["exception_message"])
		for _, line := range e["traceback"].([]any) {
			require.NotRegexp(t, `^\*|\*fmt|wrapError|errorString|cannot unmarshal|Go struct`, line)
		}
	}
	id := h.submit("me", `{"1":{"class_type":"StubInt","inputs":{"value":5}},"2":{"class_type":"Picky","inputs":{"mode":"","any":["1",0]}}}`)
	require.Contains(t, h.ended(id), "execution_error")
	messages := at(t, h.get("/history/"+id), id, "status", "messages").([]any)
	require.Equal(t, `input "any": needs a value of type PICKYPOINT, got the number 5`+"\n", at(t, messages[len(messages)-1], 1, "exception_message"))
}
