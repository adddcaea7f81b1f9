package comfy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

func TestPromptInfo(t *testing.T) {
	twins(t, "/prompt", func(t *testing.T, path string) {
		h := newHost(t, nil)
		remaining := func() any { return at(t, h.get(path), "exec_info", "queue_remaining") }
		require.EqualValues(t, 0, remaining())
		h.submit("me", waitFor("a"))
		h.submit("me", waitFor("b"))
		require.EqualValues(t, 2, remaining(), "those that run count too")
		h.gate.open("a")
		h.gate.open("b")
	})
}

func TestSubmitAnswers(t *testing.T) {
	twins(t, "/prompt", func(t *testing.T, path string) {
		h := newHost(t, nil)
		for n := range 3 {
			a := h.post(path, `{"prompt":`+quick+`}`, "Content-Type", "text/plain")
			require.Equal(t, 200, a.status)
			require.Equal(t, "application/json; charset=utf-8", a.header.Get("Content-Type"))
			id := at(t, a.json(t), "prompt_id").(string)
			require.Regexp(t, "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", id)
			require.Equal(t, fmt.Sprintf(`{"prompt_id":%q,"number":%d,"node_errors":{}}`, id, n), a.body)
			h.ended(id)
		}
	})
}

func TestChosenID(t *testing.T) {
	h := newHost(t, nil)
	for given, want := range map[string]string{
		`"mine"`:                             "mine",
		`"日本 / ?"`:                           "日本 / ?",
		`17`:                                 "17",
		`1.5`:                                "1.5",
		`"` + strings.Repeat("x", 256) + `"`: strings.Repeat("x", 256),
	} {
		require.Equal(t, want, h.submit("me", quick, `"prompt_id":`+given))
		h.ended(want)
	}
	require.Len(t, h.submit("me", quick, `"prompt_id":null`), 36, "null is no choice")
}

// TestDuplicateID: an id cannot be used again while its prompt waits, runs, or has
// a record.
func TestDuplicateID(t *testing.T) {
	h := newHost(t, nil)
	again := func(id string) {
		t.Helper()
		a := h.post("/prompt", fmt.Sprintf(`{"prompt_id":%q,"prompt":%s}`, id, quick))
		require.Equal(t, http.StatusConflict, a.status)
		require.JSONEq(t, fmt.Sprintf(`{"error":"prompt_id already exists","details":"a prompt \"%s\" waits, runs or has ended; if it is this prompt, submitted before, then it was accepted; otherwise leave prompt_id out, and the server makes an id, or choose another id","node_errors":{}}`, id), a.body)
	}
	h.submit("me", waitFor("a"), `"prompt_id":"runs"`)
	h.submit("me", waitFor("b"), `"prompt_id":"waits"`)
	again("runs")
	again("waits")
	h.gate.open("a")
	h.gate.open("b")
	h.ended("runs")
	h.ended("waits")
	again("runs")
	require.Equal(t, 200, h.post("/history", `{"delete":["runs"]}`).status)
	require.Equal(t, "runs", h.submit("me", quick, `"prompt_id":"runs"`))
}

// TestNumbers: the number that a prompt receives. Prompts with smaller numbers run
// first.
func TestNumbers(t *testing.T) {
	h := newHostOf(t, nil, &flow.EngineOptions{Parallel: 1})
	h.busy("me")
	var want []string
	for i, c := range []struct{ more, number, after string }{
		{`"front":false`, "1", ""},
		{`"front":true`, "-2", ""}, // minus the counter
		{`"front":1`, "-3", ""},
		{`"number":-2.5`, "-2.5", ""},
		{`"number":-100,"front":true`, "-100", ""}, // number wins over front
		{`"front":true`, "-101", ""},               // before all waiting prompts
		{`"number":"7"`, "7", ""},
		{`"number":null`, "5", ""},
		{`"number":5`, "5", ""}, // after the prompt with the same number
		{`"number":1e3`, "1000", ""},
	} {
		a := h.post("/prompt", fmt.Sprintf(`{"client_id":"me","prompt_id":"%d","prompt":%s,%s}`, i, quick, c.more))
		require.Equal(t, 200, a.status, a.body)
		require.Contains(t, a.body, `"number":`+c.number+`,`, c.more)
	}
	for _, p := range at(t, h.get("/queue"), "queue_pending").([]any) {
		want = append(want, at(t, p, 1).(string))
	}
	require.Equal(t, []string{"5", "4", "2", "3", "1", "0", "7", "8", "6", "9"}, want)
	s := h.connect("me")
	s.next()
	h.gate.open("busy")
	var got []string
	for len(got) < len(want) {
		if m := s.next(); m.Type == "execution_start" && len(m.Data["prompt_id"].(string)) == 1 {
			got = append(got, m.Data["prompt_id"].(string))
		}
	}
	require.Equal(t, want, got)
}

func TestFirstFront(t *testing.T) {
	h := newHost(t, nil)
	require.Contains(t, h.post("/prompt", `{"front":true,"prompt":`+quick+`}`).body, `"number":0,`)
	require.Contains(t, h.post("/prompt", `{"front":true,"prompt":`+quick+`}`).body, `"number":-1,`)
}

// three is a graph with three outputs: node 1 is valid, node 2 is not valid, and
// node 4 depends on node 3, which is not valid.
const three = `{
	"1":{"class_type":"RefOutput","inputs":{"value":"fine"}},
	"2":{"class_type":"RefOutput","inputs":{}},
	"3":{"class_type":"RefTypes","inputs":{"i":99,"f":0,"s":"","b":true,"c":"red"}},
	"4":{"class_type":"RefOutput","inputs":{"value":["3",0]}}}`

func TestPartlyValid(t *testing.T) {
	h := newHost(t, nil)
	a := h.post("/prompt", `{"client_id":"me","prompt":`+three+`}`)
	require.Equal(t, 200, a.status)
	nodeErrors := at(t, a.json(t), "node_errors").(map[string]any)
	require.Len(t, nodeErrors, 2, "only nodes with errors of their own")
	require.Equal(t, "required_input_missing", at(t, nodeErrors, "2", "errors", 0, "type"))
	require.Equal(t, "value_bigger_than_max", at(t, nodeErrors, "3", "errors", 0, "type"))
	require.Equal(t, []any{"4"}, at(t, nodeErrors, "3", "dependent_outputs"))
	require.Equal(t, "RefTypes", at(t, nodeErrors, "3", "class_type"))

	id := at(t, a.json(t), "prompt_id").(string)
	require.Contains(t, h.ended(id), "executed 1")
	require.Equal(t, []any{"1"}, at(t, h.get("/history/"+id), id, "prompt", 4))
}

func TestPartialTargets(t *testing.T) {
	const graph = `{"1":{"class_type":"RefOutput","inputs":{"value":1}},
		"2":{"class_type":"RefOutput","inputs":{"value":2}},"3":{"class_type":"StubInt","inputs":{"value":2}}}`
	h := newHost(t, nil)
	for targets, want := range map[string][]string{
		`null`:            {"executed 1", "executed 2"},
		`["2"]`:           {"executed 2"},
		`["2","3","999"]`: {"executed 2"},
		`["2","1"]`:       {"executed 1", "executed 2"},
	} {
		h.engine.Free()
		all := h.ended(h.submit("me", graph, `"partial_execution_targets":`+targets))
		require.ElementsMatch(t, want, without(all, "status", "progress", "executing", "execution"), targets)
	}
	for _, targets := range []string{`[]`, `["3"]`, `["999"]`} {
		a := h.post("/prompt", `{"prompt":`+graph+`,"partial_execution_targets":`+targets+`}`)
		require.Equal(t, 400, a.status)
		require.Equal(t, "prompt_no_outputs", at(t, a.json(t), "error", "type"))
	}
}

// TestClientOfAPrompt: the client that receives the events of a prompt, and the
// client_id that lists show.
func TestClientOfAPrompt(t *testing.T) {
	h := newHost(t, nil)
	for _, c := range []struct{ body, client, listed string }{
		{`"client_id":"a"`, "a", `"a"`},
		{`"extra_data":{"client_id":"b"}`, "b", `"b"`},
		{`"client_id":"c","extra_data":{"client_id":"x"}`, "c", `"c"`},
		{`"client_id":"","extra_data":{"client_id":"x"}`, "", `""`},
		{`"extra_data":{"client_id":5}`, "5", `"5"`},
		{`"client_id":null,"extra_data":null`, "", `null`},
		{`"x":1`, "", `null`},
	} {
		sockets := map[string]*socket{}
		for _, client := range []string{"a", "b", "c", "x", "5"} {
			sockets[client] = h.connect(client)
		}
		a := h.post("/prompt", `{"prompt":`+quick+`,`+c.body+`}`)
		require.Equal(t, 200, a.status, a.body)
		id := at(t, a.json(t), "prompt_id").(string)
		h.ended(id)
		require.NoError(t, h.hub.Broadcast(spoken{Text: "over"}))
		for client, s := range sockets {
			said := without(s.until("spoken over"), "status", "spoken")
			require.Equal(t, client == c.client, len(said) > 0, "%s: %s: %v", c.body, client, said)
			s.close()
		}
		extra := at(t, h.get("/history/"+id), id, "prompt", 3).(map[string]any)
		listed, err := json.Marshal(extra["client_id"])
		require.NoError(t, err)
		require.Equal(t, c.listed, string(listed), c.body)
	}
}

// TestSecrets: secrets reach the node that asks for them, and no list shows them.
func TestSecrets(t *testing.T) {
	h := newHost(t, nil)
	s := h.dial("clientId=me&since=0", nil)
	const secrets = `"extra_data":{"auth_token_comfy_org":"hush-hush","api_key_comfy_org":"top-secret-key","kept":1}`
	const graph = `{"1":{"class_type":"Secret","inputs":{}},"2":{"class_type":"Wait","inputs":{"name":"a"}}}`
	id := h.submit("me", graph, secrets)
	waits := h.submit("me", waitFor("b"), secrets)
	odd := h.submit("you", waitFor("a"), `"extra_data":{"auth_token_comfy_org":{"hush-hush":1},"api_key_comfy_org":["top-secret-key"]}`)
	look := func() {
		for _, path := range []string{
			"/queue", "/history", "/history/" + id, "/history/" + odd, "/api/jobs", "/api/jobs/" + id, "/api/jobs/" + waits, "/api/jobs/" + odd,
		} {
			a := h.send("GET", path, "")
			require.Equal(t, 200, a.status)
			for _, secret := range []string{"hush-hush", "top-secret-key", "auth_token", "api_key"} {
				require.NotContains(t, a.body, secret, path)
			}
		}
	}
	look()
	h.gate.open("a")
	h.gate.open("b")
	for m := s.next(); m.short() != "execution_success"; m = s.next() {
		if m.short() == "executed 1" {
			require.Equal(t, []any{"14 9"}, at(t, m.Data, "output", "text"), "the node has them")
		}
		require.NotContains(t, fmt.Sprint(m.Data), "hush-hush")
	}
	h.ended(waits)
	h.ended(odd)
	look()
	require.EqualValues(t, 1, at(t, h.get("/history/"+id), id, "prompt", 3, "kept"))
}

// forgetfulQueue keeps no secrets.
type forgetfulQueue struct{ flow.Queue }

func (q forgetfulQueue) Push(ctx context.Context, p *nodebus.Prompt, secrets map[string]string) error {
	if len(secrets) > 0 {
		return flow.ErrSecrets
	}
	return q.Queue.Push(ctx, p, nil)
}

// TestSecretsAreNotKept: a queue that keeps no secrets refuses a prompt with secrets.
// The answer says what the client can do.
func TestSecretsAreNotKept(t *testing.T) {
	h := newHostOf(t, nil, &flow.EngineOptions{Queue: forgetfulQueue{flow.NewQueue(nil)}})
	a := h.post("/prompt", `{"prompt":`+quick+`,"extra_data":{"api_key_comfy_org":"top-secret-key"}}`)
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Equal(t, "secrets_not_kept", at(t, a.json(t), "error", "type"))
	require.NotContains(t, a.body, "top-secret-key")
	h.ended(h.submit("me", quick))
}

// TestValuesSurvive: extra data is returned unchanged, with large numbers. The
// graph keeps its order, and its values are the validated values.
func TestValuesSurvive(t *testing.T) {
	h := newHost(t, &comfy.Options{MaxNodes: 10})
	const graph = `{"z":{"class_type":"RefOutput","inputs":{"value":["a",0]},"_meta":{"title":"T"}},
		"a":{"class_type":"RefTypes","inputs":{"i":"3","f":"0.25","s":5,"b":"x","c":"red"}}}`
	id := h.submit("me", graph, `"extra_data":{"n":12345678901234567890,"extra_pnginfo":{"workflow":{"id":"w"}}}`)
	h.ended(id)
	body := h.send("GET", "/history/"+id, "").body
	require.Contains(t, body, `"n":12345678901234567890`)
	require.Contains(t, body, `{"z":{"class_type":"RefOutput","inputs":{"value":["a",0]},"_meta":{"title":"T"}},`+
		`"a":{"class_type":"RefTypes","inputs":{"i":3,"f":0.25,"s":"5","b":true,"c":"red"}}}`)

	a := h.post("/prompt", fmt.Sprintf(`{"prompt":{%s"x":{}}}`, strings.Repeat(`"x":{},`, 10)))
	require.Equal(t, http.StatusRequestEntityTooLarge, a.status)
	require.Equal(t, "prompt_too_large", at(t, a.json(t), "error", "type"))
}

// TestPromptAboveQueue: a prompt that the queue has no room for, even when it is empty, is too large:
// a client that submits it again gains nothing.
func TestPromptAboveQueue(t *testing.T) {
	h := newHostOf(t, nil, &flow.EngineOptions{Queue: flow.NewQueue(&flow.QueueOptions{Bytes: 20_000})})
	a := h.post("/prompt", fmt.Sprintf(`{"client_id":"me","extra_data":{"x":%q},"prompt":%s}`, strings.Repeat("x", 20_000), quick))
	require.Equal(t, http.StatusRequestEntityTooLarge, a.status)
	require.Equal(t, "prompt_too_large", at(t, a.json(t), "error", "type"))
	h.ended(h.submit("me", quick))
}

// TestFullQueue: a prompt that the full queue refuses leaves nothing behind.
func TestFullQueue(t *testing.T) {
	h := newHostOf(t, nil, &flow.EngineOptions{Parallel: 4, Queue: flow.NewQueue(&flow.QueueOptions{Len: 2, PerClient: 2})})
	running := h.submit("me", waitFor("a"))
	s := h.dial("watch="+running, nil)
	s.until("executing 1")
	waiting := h.submit("me", waitFor("b"))
	a := h.post("/prompt", `{"client_id":"me","prompt_id":"third","prompt":`+quick+`}`)
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Equal(t, "queue_full", at(t, a.json(t), "error", "type"))
	require.EqualValues(t, 2, at(t, h.get("/prompt"), "exec_info", "queue_remaining"))
	h.gate.open("a")
	h.gate.open("b")
	h.ended(waiting)
	require.Equal(t, "third", h.submit("you", quick, `"prompt_id":"third"`), "the id is free")
}
