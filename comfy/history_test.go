package comfy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// messageTypes returns the types of the messages in a record's status, in order.
func messageTypes(t *testing.T, entry any) (types []string) {
	for _, m := range at(t, entry, "status", "messages").([]any) {
		require.Len(t, m, 2)
		types = append(types, at(t, m, 0).(string))
		require.Contains(t, at(t, m, 1), "timestamp")
		require.Contains(t, at(t, m, 1), "prompt_id")
	}
	return types
}

func TestHistoryOfSuccess(t *testing.T) {
	twins(t, "/history", func(t *testing.T, path string) {
		h := newHost(t, nil)
		id := h.submit("me", `{"9":{"class_type":"RefOutput","inputs":{"value":["5",0]}},
			"5":{"class_type":"RefExpand","inputs":{"value":1,"depth":2,"inner_output":true}}}`)
		h.ended(id)
		all := h.get(path)
		require.Equal(t, all, h.get(path+"/"+id))
		entry := at(t, all, id)
		require.Len(t, entry, 4)

		item := at(t, entry, "prompt").([]any)
		require.Len(t, item, 5)
		require.Equal(t, []any{0.0, id}, item[:2])
		require.Equal(t, []any{"5", 0.0}, at(t, item[2], "9", "inputs", "value"))
		require.Equal(t, "me", at(t, item[3], "client_id"))
		require.Equal(t, []any{"9"}, item[4])

		require.Equal(t, "success", at(t, entry, "status", "status_str"))
		require.Equal(t, true, at(t, entry, "status", "completed"))
		require.Equal(t, []string{"execution_start", "execution_cached", "execution_success"}, messageTypes(t, entry))

		outputs, meta := at(t, entry, "outputs").(map[string]any), at(t, entry, "meta").(map[string]any)
		require.Equal(t, map[string]any{"text": []any{"3"}}, outputs["9"])
		require.Len(t, outputs, 2, "the output node that was made too")
		require.Len(t, meta, 2)
		require.Equal(t, map[string]any{"node_id": "9", "display_node": "9", "parent_node": nil, "real_node_id": "9"}, meta["9"])
		for made := range outputs {
			if made != "9" {
				require.Equal(t, map[string]any{"node_id": made, "display_node": "5", "parent_node": "5", "real_node_id": "5"}, meta[made])
			}
		}
	})
}

func TestHistoryOfFailure(t *testing.T) {
	h := newHost(t, nil)
	id := h.submit("me", `{"1":{"class_type":"RefRaise","inputs":{"value":1,"message":"boom"}},
		"2":{"class_type":"RefOutput","inputs":{"value":["1",0]}}}`)
	h.ended(id)
	entry := at(t, h.get("/history/"+id), id)
	require.Equal(t, "error", at(t, entry, "status", "status_str"))
	require.Equal(t, false, at(t, entry, "status", "completed"))
	require.Equal(t, []string{"execution_start", "execution_cached", "execution_error"}, messageTypes(t, entry))
	failure := at(t, entry, "status", "messages", 2, 1)
	require.Equal(t, "1", at(t, failure, "node_id"))
	require.Equal(t, "RefRaise", at(t, failure, "node_type"))
	require.Equal(t, "boom\n", at(t, failure, "exception_message"))
	require.Equal(t, map[string]any{}, at(t, entry, "outputs"))
}

func TestHistoryOfInterruption(t *testing.T) {
	h := newHost(t, nil)
	id := h.busy("me")
	require.Equal(t, 200, h.post("/interrupt", "").status)
	h.ended(id)
	entry := at(t, h.get("/history/"+id), id)
	require.Equal(t, "error", at(t, entry, "status", "status_str"))
	require.Equal(t, []string{"execution_start", "execution_cached", "execution_interrupted"}, messageTypes(t, entry))
	require.Equal(t, "1", at(t, entry, "status", "messages", 2, 1, "node_id"))
}

// TestHistoryOfNobody: a prompt without a client has a record, although no client
// receives its events.
func TestHistoryOfNobody(t *testing.T) {
	h := newHost(t, nil)
	a := h.post("/prompt", `{"prompt":`+quick+`}`)
	id := at(t, a.json(t), "prompt_id").(string)
	h.ended(id)
	entry := at(t, h.get("/history/"+id), id)
	require.Equal(t, []string{"execution_start", "execution_cached", "execution_success"}, messageTypes(t, entry))
	require.Equal(t, map[string]any{"text": []any{"0 0"}}, at(t, entry, "outputs", "1"))
}

func TestHistoryOfNothing(t *testing.T) {
	h := newHost(t, nil)
	require.Equal(t, "{}", h.send("GET", "/history", "").body)
	run := h.busy("me")
	waits := h.submit("me", quick)
	for _, id := range []string{run, waits, "unknown", "..", "%00", "a%2Fb"} {
		a := h.send("GET", "/history/"+id, "")
		if id == ".." { // the path is not a valid route
			require.Equal(t, 404, a.status)
			continue
		}
		require.Equal(t, 200, a.status)
		require.Equal(t, "{}", a.body, id)
	}
	h.gate.open("busy")
}

func TestHistoryPages(t *testing.T) {
	h := newHost(t, nil)
	for _, id := range []string{"e", "d", "c", "b", "a"} {
		h.submit("me", quick, fmt.Sprintf(`"prompt_id":%q`, id))
		h.ended(id)
	}
	for query, want := range map[string]string{
		"":                          "edcba", // in the order of their ends
		"?max_items=2":              "ba",    // the newest records
		"?max_items=9":              "edcba",
		"?max_items=0":              "",
		"?max_items=-1":             "edcba",
		"?max_items=":               "edcba",
		"?max_items=2&offset=0":     "ed", // the oldest records
		"?max_items=2&offset=3":     "ba",
		"?max_items=2&offset=4":     "a",
		"?max_items=2&offset=5":     "",
		"?max_items=2&offset=99999": "",
		"?max_items=2&offset=-1":    "ba",
		"?max_items=0&offset=1":     "",
		"?offset=3":                 "ba",
		"?offset=0":                 "edcba",
		"?offset=-7":                "edcba",
		"?rand=0.5":                 "edcba",
	} {
		body := h.send("GET", "/api/history"+query, "").body
		var order strings.Builder
		for rest := body; ; {
			_, after, more := strings.Cut(rest, `{"prompt":[`)
			if !more {
				break
			}
			_, rest, _ = strings.Cut(after, `,"`)
			order.WriteByte(rest[0])
		}
		require.Equal(t, want, order.String(), "%s: %s", query, body)
	}
	for _, query := range []string{"?max_items=x", "?max_items=1.5", "?offset=x", "?offset=99999999999999999999", "?max_items=1&offset=0x1"} {
		a := h.send("GET", "/history"+query, "")
		require.Equal(t, 400, a.status, query)
		require.Contains(t, a.json(t), "error")
	}
}

func TestHistoryDeleteAndClear(t *testing.T) {
	twins(t, "/history", func(t *testing.T, path string) {
		for body, left := range map[string][]string{
			`{"delete":["a"]}`:                     {"b"},
			`{"delete":["a","b","unknown"]}`:       {},
			`{"delete":["unknown","run"]}`:         {"a", "b"},
			`{"clear":true}`:                       {},
			`{"clear":true,"delete":["a"]}`:        {},
			`{"clear":false}`:                      {"a", "b"},
			`{}`:                                   {"a", "b"},
			`{"clear":0,"delete":null,"other":[]}`: {"a", "b"},
		} {
			h := newHost(t, nil)
			for _, id := range []string{"a", "b"} {
				h.submit("me", quick, fmt.Sprintf(`"prompt_id":%q`, id))
				h.ended(id)
			}
			run := h.busy("me")
			s := h.connect("other")
			s.next()
			a := h.post(path, body)
			require.Equal(t, 200, a.status, body)
			require.Empty(t, a.body)
			all := h.get(path).(map[string]any)
			require.Len(t, all, len(left), body)
			for _, id := range left {
				require.Contains(t, all, id)
			}
			require.NoError(t, h.hub.Broadcast(spoken{Text: "over"}))
			require.Equal(t, []string{"spoken over"}, s.until("spoken over"), "nobody is told")
			require.Equal(t, []string{run}, h.ids("queue_running"))
			h.gate.open("busy")
		}
	})
}

func TestHistoryRefuses(t *testing.T) {
	h := newHost(t, nil)
	h.ended(h.submit("me", quick))
	for _, body := range []string{``, `{`, `5`, `[]`, `"clear"`, `{"delete":"a"}`, `{"delete":[5]}`} {
		require.Equal(t, 400, h.post("/history", body).status, body)
	}
	require.Len(t, h.get("/history"), 1)
}

// TestNoFormInJSON: the host program can put a prompt into the queue whose extra data
// cannot be encoded as JSON. The lists leave out what has no JSON. Submit refuses such a prompt.
func TestNoFormInJSON(t *testing.T) {
	h := newHost(t, nil)
	nodes, err := nodebus.ParseNodes([]byte(waitFor("busy")))
	require.NoError(t, err)
	odd := &nodebus.Prompt{ID: "odd", Nodes: nodes, Extra: map[string]any{"f": func() {}}}
	_, err = h.engine.Submit(t.Context(), odd, nil)
	require.ErrorContains(t, err, "Extra has no JSON form")
	require.NoError(t, h.engine.Queue().Push(t.Context(), odd, nil))
	h.dial("watch=odd", nil).until("executing 1")
	item := at(t, h.get("/queue"), "queue_running", 0)
	require.Equal(t, []any{"odd", map[string]any{}}, []any{at(t, item, 1), at(t, item, 3)})
	h.gate.open("busy")
	h.ended("odd")
	require.Equal(t, map[string]any{}, at(t, h.get("/history"), "odd", "prompt", 3))
	_, err = h.engine.Submit(t.Context(), &nodebus.Prompt{ID: "bare", Nodes: nodes}, nil)
	require.NoError(t, err)
	h.ended("bare")
	require.Equal(t, map[string]any{}, at(t, h.get("/history/bare"), "bare", "prompt", 3), "an object, always")
}

// TestHistoryWithOutcome: a request that asks for it receives what only nodebus knows.
func TestHistoryWithOutcome(t *testing.T) {
	h := newHost(t, nil)
	id := h.submit("me", `{"1":{"class_type":"Show","inputs":{"ui":"{\"a\":[1]}"}}}`)
	h.ended(id)
	plain := h.get("/history/" + id)
	require.NotContains(t, at(t, plain, id), "nodebus")
	for _, path := range []string{"/history/" + id + "?outcome", "/api/history?outcome=&max_items=1"} {
		got := h.get(path)
		detail := at(t, got, id, "nodebus").(map[string]any)
		require.Equal(t, "success", detail["state"])
		require.Equal(t, 1.0, detail["attempt"])
		require.Equal(t, "done", at(t, detail, "nodes").([]any)[0].(map[string]any)["result"])
		require.NotContains(t, detail, "errors")
		delete(at(t, got, id).(map[string]any), "nodebus")
		require.Equal(t, plain, got)
	}
}
