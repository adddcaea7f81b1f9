package comfy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// TestRefusedPrompts: each refusal has the status and the texts that clients show,
// and leaves nothing behind.
func TestRefusedPrompts(t *testing.T) {
	h := newHost(t, nil)
	const jsonMessage = "The request is not the JSON it should be"
	const graphMessage = "The prompt is not a JSON object of nodes"
	const idDetails = "prompt_id must be a string of 1 to 256 bytes without control characters, or a finite number"
	for _, c := range []struct{ body, typ, message, details string }{
		{``, "invalid_json", jsonMessage, ""},
		{`{`, "invalid_json", jsonMessage, ""},
		{`5`, "invalid_json", jsonMessage, ""},
		{`[]`, "invalid_json", jsonMessage, ""},
		{`{"prompt":` + quick + `}x`, "invalid_json", jsonMessage, ""},
		{`{"prompt":` + quick + `,"client_id":[5]}`, "invalid_client_id", "client_id is not an id", "client_id must be a string"},
		{`{"prompt":` + quick + `,"partial_execution_targets":"1"}`, "invalid_json", jsonMessage, ""},
		{`{}`, "no_prompt", "No prompt provided", "No prompt provided"},
		{`null`, "no_prompt", "No prompt provided", "No prompt provided"},
		{`{"prompt":null}`, "invalid_json", graphMessage, ""},
		{`{"prompt":5}`, "invalid_json", graphMessage, ""},
		{`{"prompt":[` + quick + `]}`, "invalid_json", graphMessage, ""},
		{`{"prompt":{}}`, "prompt_no_outputs", "Prompt has no outputs", ""},
		{`{"prompt":[]}`, "prompt_no_outputs", "Prompt has no outputs", ""},
		{`{"prompt":{"7":{"class_type":"StubInt","inputs":{}}}}`, "prompt_no_outputs", "Prompt has no outputs", ""},
		{`{"prompt":{"7":5}}`, "missing_node_type", "Node 'ID #7' has no class_type. The workflow may be corrupted or a custom node is missing.", "Node ID '#7'; the node is not an object"},
		{`{"prompt":{"7":{}}}`, "missing_node_type", "Node 'ID #7' has no class_type. The workflow may be corrupted or a custom node is missing.", "Node ID '#7'"},
		{`{"prompt":{"7":{"class_type":"Nope"}}}`, "missing_node_type", "Node 'Nope' not found. The custom node may not be installed.", "Node ID '#7'"},
		{`{"prompt":{"7":{"class_type":"RefOutput","inputs":{}}}}`, "prompt_outputs_failed_validation", "Prompt outputs failed validation", "Required input is missing: value"},
		{`{"prompt":` + quick + `,"prompt_id":""}`, "invalid_prompt_id", "prompt_id is not an id", ""},
		{`{"prompt":` + quick + `,"prompt_id":{}}`, "invalid_prompt_id", "prompt_id is not an id", ""},
		{`{"prompt":` + quick + `,"prompt_id":["a"]}`, "invalid_prompt_id", "prompt_id is not an id", ""},
		{`{"prompt":` + quick + `,"prompt_id":true}`, "invalid_prompt_id", "prompt_id is not an id", ""},
		{`{"prompt":` + quick + `,"prompt_id":"a\nb"}`, "invalid_prompt_id", "prompt_id is not an id", ""},
		{`{"prompt":` + quick + `,"prompt_id":"` + strings.Repeat("x", 257) + `"}`, "invalid_prompt_id", "prompt_id is not an id", ""},
		{`{"prompt":` + quick + `,"number":"soon"}`, "invalid_number", "number is not a number", `"soon"`},
		{`{"prompt":` + quick + `,"number":[1]}`, "invalid_number", "number is not a number", `[1]`},
		{`{"prompt":` + quick + `,"number":1e999}`, "invalid_number", "number is not a number", `1e999`},
		{`{"prompt":` + quick + `,"number":"NaN"}`, "invalid_number", "number is not a number", `"NaN"`},
		{`{"prompt":` + quick + `,"extra_data":[]}`, "invalid_extra_data", "extra_data is not an object", ""},
		{`{"prompt":` + quick + `,"extra_data":"x"}`, "invalid_extra_data", "extra_data is not an object", ""},
		{`{"prompt":` + quick + `,"number":Infinity}`, "invalid_number", "number is not a number", ""},
		{`{"prompt":` + quick + `,"x":Nan}`, "invalid_json", jsonMessage, ""},
		{`{"a":[NaN,-Infinity],"x":nope}`, "invalid_json", jsonMessage, "invalid character 'o' in literal null (expecting 'u'), at line 1, column 27"},
		{`{"prompt":` + quick + `,"number":NaN}`, "invalid_number", "number is not a number", "NaN"},
		{`{"prompt":` + quick + `,"number":[NaN,-Infinity]}`, "invalid_number", "number is not a number", "[NaN,-Infinity]"},
		{`{"prompt":` + quick + `,"prompt_id":NaN}`, "invalid_prompt_id", "prompt_id is not an id", idDetails},
		{`{"prompt":` + quick + `,"prompt_id":-Infinity}`, "invalid_prompt_id", "prompt_id is not an id", idDetails},
		{`{"prompt":` + quick + `,"prompt_id":1e999}`, "invalid_prompt_id", "prompt_id is not an id", idDetails},
		{`{"prompt":` + quick + `,"client_id":NaN}`, "invalid_client_id", "client_id is not an id", "client_id must be a string"},
		{`{"prompt":` + quick + `,"extra_data":NaN}`, "invalid_extra_data", "extra_data is not an object", "extra_data must be an object, but it is a number"},
		{`{"prompt":{"7":{"class_type":NaN}}}`, "missing_node_type", "Node 'NaN' not found. The custom node may not be installed.", "Node ID '#7'"},
		{`{"prompt":{"7":{"class_type":{"a":-Infinity}}}}`, "missing_node_type", `Node '{"a":-Infinity}' not found. The custom node may not be installed.`, "Node ID '#7'"},
		{
			`{"prompt":{"7":{"class_type":"RefOutput","inputs":{"value":NaN}}}}`, "prompt_outputs_failed_validation", "Prompt outputs failed validation",
			"Failed to convert an input value to a * value: value, nan, NaN and infinities are not possible",
		},
		{
			`{"prompt":{"7":{"class_type":"RefOutput","inputs":{"value":{"a":[-Infinity]}}}}}`, "prompt_outputs_failed_validation", "Prompt outputs failed validation",
			"Failed to convert an input value to a * value: value, {'a': [-inf]}, NaN and infinities are not possible",
		},
	} {
		a := h.post("/prompt", c.body)
		require.Equal(t, http.StatusBadRequest, a.status, c.body)
		answer := a.json(t).(map[string]any)
		require.Len(t, answer, 2)
		problem := answer["error"].(map[string]any)
		require.Len(t, problem, 4, "all four are always there: %s", a.body)
		require.Equal(t, c.typ, problem["type"], c.body)
		require.Equal(t, c.message, problem["message"], c.body)
		if c.details != "" || c.typ == "prompt_no_outputs" {
			require.Equal(t, c.details, problem["details"], c.body)
		}
		require.Equal(t, c.typ == "prompt_outputs_failed_validation", len(answer["node_errors"].(map[string]any)) > 0, c.body)
		require.NotNil(t, problem["extra_info"])
	}
	require.Equal(t, map[string]any{"queue_running": []any{}, "queue_pending": []any{}}, h.get("/queue"))
	require.Equal(t, map[string]any{}, h.get("/history"))
	require.EqualValues(t, 0, at(t, h.get("/prompt"), "exec_info", "queue_remaining"))
}

func TestBodyTooLarge(t *testing.T) {
	h := newHost(t, &comfy.Options{MaxBody: 1000})
	large := `{"prompt":` + quick + `,"extra_data":{"x":"` + strings.Repeat("x", 1000) + `"}}`
	for _, path := range []string{"/prompt", "/queue", "/history", "/interrupt", "/free", "/settings", "/settings/a", "/users", "/userdata/a", "/api/jobs/cancel"} {
		a := h.post(path, large)
		require.Equal(t, http.StatusRequestEntityTooLarge, a.status, path)
		require.JSONEq(t, `{"error":"the body is larger than 1000 bytes"}`, a.body)
	}
	require.EqualValues(t, 1000, at(t, h.get("/features"), "max_upload_size"))
}
