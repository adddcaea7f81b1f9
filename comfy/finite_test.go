package comfy_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNotFiniteSubmitted: Python clients write NaN and Infinity into their JSON. Where
// nothing uses them, the prompt runs, and all lists stay JSON.
func TestNotFiniteSubmitted(t *testing.T) {
	for _, word := range []string{"NaN", "Infinity", "-Infinity", "1e999"} {
		h := newHost(t, nil)
		graph := `{"1":{"class_type":"Wait","inputs":{"name":"a","other":` + word + `,"deep":{"x":[` + word + `,1.50]}},"_meta":{"title":"NaN","at":` + word + `}},
			"2":{"class_type":"RefAdd","inputs":{"a":` + word + `,"b":1}}}`
		h.submit("me", graph, `"prompt_id":"p"`, `"extra_data":{"x":[`+word+`],"text":"NaN"}`, `"unknown":`+word)
		const node = `{"class_type":"Wait","inputs":{"deep":{"x":[null,1.50]},"name":"a","other":null},"_meta":{"title":"NaN","at":null}}`
		check := func(item any, in string) {
			require.Equal(t, "p", at(t, item, 1))
			require.Equal(t, []any{nil}, at(t, item, 3, "x"), in)
			require.Equal(t, "NaN", at(t, item, 3, "text"))
			require.Nil(t, at(t, item, 2, "2", "inputs", "a"))
			got, err := json.Marshal(at(t, item, 2, "1"))
			require.NoError(t, err)
			require.JSONEq(t, node, string(got), in)
		}
		check(at(t, h.get("/queue"), "queue_running", 0), "queue")
		h.gate.open("a")
		require.Contains(t, h.ended("p"), "execution_success")
		check(at(t, h.get("/history"), "p", "prompt"), "history")
		check(at(t, h.get("/history/p"), "p", "prompt"), "history of one")
		h.get("/api/jobs")
		h.get("/api/jobs/p")
	}
}

// TestNotFiniteUsed: a node that uses the number is refused, by the name of the input.
func TestNotFiniteUsed(t *testing.T) {
	h := newHost(t, nil)
	for input, word := range map[string]string{"i": "NaN", "f": "-Infinity", "s": "1e999", "b": "NaN", "c": "Infinity"} {
		inputs := map[string]string{"i": "1", "f": "0.5", "s": `"x"`, "b": "true", "c": `"red"`}
		inputs[input] = word
		graph := `{"1":{"class_type":"RefTypes","inputs":{"i":` + inputs["i"] + `,"f":` + inputs["f"] + `,"s":` + inputs["s"] + `,"b":` + inputs["b"] + `,"c":` + inputs["c"] + `}},
			"2":{"class_type":"RefOutput","inputs":{"value":["1",0]}}}`
		a := h.post("/prompt", `{"prompt":`+graph+`}`)
		require.Equal(t, 400, a.status, a.body)
		problem := at(t, a.json(t), "node_errors", "1", "errors", 0)
		require.Equal(t, "invalid_input_type", at(t, problem, "type"))
		require.Equal(t, input, at(t, problem, "extra_info", "input_name"))
		require.Nil(t, at(t, problem, "extra_info", "received_value"))
	}
	require.Empty(t, h.ids("queue_running"))
}
