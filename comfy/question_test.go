package comfy_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Approve is an output node that asks for a bool and shows the answer.
type Approve struct{ What string }

func (n Approve) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	yes, err := nodebus.Await[bool](ctx, "ok", nil)
	return nodebus.Text(fmt.Sprint(n.What, " ", yes)), err
}

// withQuestion returns a host with a prompt "p" of client me whose node 1 asks.
func withQuestion(t *testing.T, opts *comfy.Options, headers ...string) (*host, *socket) {
	h := newHost(t, opts)
	flow.Register(h.reg, Approve{}, nodebus.Info{})
	header := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	s := h.dial("clientId=me&since", header)
	graph := `{"1":{"class_type":"Approve","inputs":{"what":"print"}}}`
	a := h.post("/prompt", fmt.Sprintf(`{"client_id":"me","prompt_id":"p","prompt":%s}`, graph), headers...)
	require.Equal(t, 200, a.status, a.body)
	s.until("nodebus.waiting")
	return h, s
}

func TestAnswerRoute(t *testing.T) {
	twins(t, "/nodebus/answer", func(t *testing.T, path string) {
		for body, want := range map[string]string{
			`{"prompt_id":"p","node_id":"1","name":"ok","value":true}`:    "executed 1",
			`{"prompt_id":"p","node_id":"1","name":"ok","refuse":"ugly"}`: "execution_error",
			`{"prompt_id":"p","node_id":"1","name":"ok","refuse":""}`:     "execution_error",
		} {
			t.Run(body, func(t *testing.T) {
				h, s := withQuestion(t, nil)
				a := h.post(path, body)
				require.Equal(t, 200, a.status, a.body)
				require.Empty(t, a.body)
				require.Contains(t, s.until("executing <nil>"), want)
				require.Equal(t, 404, h.post(path, body).status, "the prompt has ended")
			})
		}
	})
}

func TestAnswerRouteRefuses(t *testing.T) {
	h, s := withQuestion(t, &comfy.Options{MaxBody: 10_000})
	for body, want := range map[string]struct {
		status int
		text   string
	}{
		``:   {400, "the body is not the expected JSON"},
		`[]`: {400, "the body is not the expected JSON"},
		`{}`: {400, "the body must name prompt_id and node_id"},
		`{"prompt_id":"p","name":"ok","value":true}`:                         {400, "the body must name prompt_id and node_id"},
		`{"prompt_id":"p","node_id":"1","name":"ok"}`:                        {400, "the body must have either value or refuse"},
		`{"prompt_id":"p","node_id":"1","name":"ok","value":1,"refuse":"x"}`: {400, "the body must have either value or refuse"},
		`{"prompt_id":"p","node_id":"1","name":"ok","value":"yes"}`:          {400, `{"error":"the answer must be a boolean, but it is a string: question \"ok\" of node 1 in prompt p"}`},
		`{"prompt_id":"p","node_id":"1","name":"ok","value":{"a":1}}`:        {400, `{"error":"the answer must be a boolean, but it is an object: question \"ok\" of node 1 in prompt p"}`},
		`{"prompt_id":"P","node_id":"1","name":"ok","value":true}`:           {404, "no prompt with this id waits or runs"},
		`{"prompt_id":17,"node_id":"1","name":"ok","value":true}`:            {404, "no prompt with this id waits or runs"},
		fmt.Sprintf(`{"prompt_id":"p","node_id":"1","value":"%010000d"}`, 1): {413, "the body is larger than 10000 bytes"},
	} {
		a := h.post("/nodebus/answer", body)
		require.Equal(t, want.status, a.status, "%.100s: %s", body, a.body)
		require.Contains(t, a.body, want.text, "%.100s", body)
	}
	require.Equal(t, 403, h.post("/nodebus/answer", `{}`, "Origin", "https://evil.example").status)
	require.Equal(t, 403, h.post("/nodebus/answer", `{}`, "Host", "evil.example").status)
	require.Equal(t, 200, h.post("/nodebus/answer", `{"prompt_id":"p","node_id":"1","name":"ok","value":true}`).status)
	require.Contains(t, s.until("executing <nil>"), "executed 1")
}

// TestAnswerRouteAsksWhoAnswers: only who may interrupt a prompt may answer its questions.
func TestAnswerRouteAsksWhoAnswers(t *testing.T) {
	h, s := withQuestion(t, &comfy.Options{Authorize: func(r *http.Request) (nodebus.Grant, error) {
		switch who := r.Header.Get("Who"); who {
		case "":
			return nodebus.Grant{}, errors.New("who are you?")
		case "admin":
			return nodebus.Grant{}, nil
		default:
			return nodebus.Grant{Client: who, WatchAll: true}, nil
		}
	}}, "Who", "me")
	const body = `{"prompt_id":"p","node_id":"1","name":"ok","value":true}`
	require.Equal(t, 403, h.post("/nodebus/answer", body).status)
	a := h.post("/nodebus/answer", body, "Who", "you")
	require.Equal(t, 404, a.status)
	require.JSONEq(t, `{"error":"no prompt with this id waits or runs"}`, a.body)
	b := h.post("/nodebus/answer", `{"prompt_id":"none","node_id":"1","name":"ok","value":true}`, "Who", "you")
	require.Equal(t, []any{a.status, a.body}, []any{b.status, b.body}, "nothing tells that there is a prompt")
	require.Equal(t, 400, h.post("/nodebus/answer", `{"prompt_id":"p","node_id":"1","name":"ok","value":5}`, "Who", "admin").status)
	require.Equal(t, 200, h.post("/nodebus/answer", body, "Who", "me").status)
	require.Contains(t, s.until("executing <nil>"), "executed 1")
}
