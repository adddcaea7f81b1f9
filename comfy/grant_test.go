package comfy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// shared returns a host with Authorize. The header Who names the client of a
// request; boss may watch all prompts; boss and guest may be any client. The header
// Friend names a prompt that the request may watch. ann and bob each have an ended,
// a running and a waiting prompt, with the ids ann-ended, ann-runs, ann-waits and
// so on.
func shared(t *testing.T) *host {
	h := newHost(t, &comfy.Options{Logs: comfy.NewLogs(), Authorize: func(r *http.Request) (nodebus.Grant, error) {
		who := r.Header.Get("Who")
		grant := nodebus.Grant{Client: who, WatchAll: who == "boss"}
		if who == "boss" || who == "guest" {
			grant.Client = ""
		}
		if friend := r.Header.Get("Friend"); friend != "" {
			grant.Watch = []string{friend}
		}
		return grant, nil
	}})
	boss := h.dial("", http.Header{"Who": {"boss"}})
	for _, who := range []string{"ann", "bob"} {
		for _, c := range []struct{ state, graph, until string }{
			{"ended", quick, "executing <nil>"}, {"runs", waitFor("gate of " + who), "executing 1"}, {"waits", quick, ""},
		} {
			a := h.post("/prompt", fmt.Sprintf(`{"prompt_id":"%s-%s","prompt":%s}`, who, c.state, c.graph), "Who", who)
			require.Equal(t, 200, a.status, a.body)
			if c.until != "" {
				boss.until(c.until)
			}
		}
	}
	boss.close()
	return h
}

// TestGrantSubmit: a request submits prompts only for its own client. If it names
// another client, it is refused.
func TestGrantSubmit(t *testing.T) {
	h := shared(t)
	for more, status := range map[string]int{
		``:                                  200,
		`,"client_id":"ann"`:                200,
		`,"client_id":null`:                 200,
		`,"extra_data":{"client_id":"ann"}`: 200,
		`,"extra_data":{"client_id":7}`:     403,
		`,"extra_data":{"client_id":[7]}`:   200,
		`,"client_id":"bob"`:                403,
		`,"client_id":"ANN"`:                403,
		`,"client_id":""`:                   403,
		`,"extra_data":{"client_id":"bob"}`: 403,
		`,"client_id":"bob","extra_data":{"client_id":"ann"}`: 403,
	} {
		a := h.post("/prompt", `{"prompt":`+quick+more+`}`, "Who", "ann")
		require.Equal(t, status, a.status, "%s: %s", more, a.body)
		if status == 403 {
			require.Equal(t, "not_allowed", at(t, a.json(t), "error", "type"))
			continue
		}
		id := at(t, a.json(t), "prompt_id").(string)
		var found bool
		for _, item := range at(t, h.get("/queue", "Who", "ann"), "queue_pending").([]any) {
			if at(t, item, 1) == id {
				found = true
				require.Equal(t, "ann", at(t, item, 3, "client_id"), more)
			}
		}
		require.True(t, found)
	}
	h.gate.open("gate of ann")
	h.gate.open("gate of bob")
}

// TestGrantHidesClients: lists do not show the ids of other clients, because a
// request that knows an id can act as that client.
func TestGrantHidesClients(t *testing.T) {
	h := shared(t)
	for who, sees := range map[string]string{"ann": "ann", "bob": "bob", "boss": "ann bob", "guest": ""} {
		seen := map[string]bool{}
		for _, path := range []string{
			"/queue", "/history", "/history/ann-ended", "/history/bob-ended", "/api/jobs", "/api/jobs/ann-ended", "/api/jobs/bob-ended", "/api/jobs/ann-runs",
		} {
			a := h.send("GET", path, "", "Who", who)
			require.Equal(t, 200, a.status)
			require.Contains(t, a.body, "-", "the prompts themselves are shown")
			for _, client := range []string{"ann", "bob"} {
				if strings.Contains(a.body, `"client_id":"`+client+`"`) {
					seen[client] = true
					continue
				}
				require.NotContains(t, a.body, `"`+client+`"`, "%s: %s", who, path)
			}
		}
		require.Len(t, seen, len(strings.Fields(sees)), who)
		for _, client := range strings.Fields(sees) {
			require.True(t, seen[client], "%s sees %s", who, client)
		}
	}
	h.gate.open("gate of ann")
	h.gate.open("gate of bob")
}

// TestGrantChanges: a request ends and deletes only the prompts and records of its
// own client.
func TestGrantChanges(t *testing.T) {
	everything := strings.Fields("ann-ended ann-runs ann-waits bob-ended bob-runs bob-waits")
	for _, c := range []struct {
		path, body string
		gone       string // the prompts that are no longer in their list
	}{
		{"/interrupt", ``, "ann-runs ann-waits"}, // the running prompt of ann, and no other; ann-waits then runs, and ends
		{"/interrupt", `{"prompt_id":"bob-runs"}`, ""},
		{"/interrupt", `{"prompt_id":"bob-waits"}`, ""},
		{"/interrupt", `{"prompt_id":"ann-waits"}`, "ann-waits"},
		{"/api/jobs/bob-runs/cancel", ``, ""},
		{"/api/jobs/ann-waits/cancel", ``, "ann-waits"},
		{"/api/jobs/cancel", `{"job_ids":["bob-waits","bob-runs","ann-waits","00000000-0000-0000-0000-000000000000"]}`, "ann-waits"},
		{"/queue", `{"delete":["bob-waits","ann-waits"]}`, "ann-waits"},
		{"/queue", `{"clear":true}`, "ann-waits"},
		{"/history", `{"delete":["bob-ended","ann-ended"]}`, "ann-ended"},
		{"/history", `{"clear":true}`, "ann-ended"},
	} {
		t.Run(c.path+c.body, func(t *testing.T) {
			h := shared(t)
			boss := h.dial("", http.Header{"Who": {"boss"}})
			boss.next()
			require.Equal(t, 200, h.post(c.path, c.body, "Who", "ann").status)
			if c.gone == "ann-runs ann-waits" {
				for range 2 {
					boss.until("executing <nil>")
				}
			}
			place := map[string]string{}
			queue := h.get("/queue", "Who", "boss")
			for list, state := range map[string]string{"queue_running": "runs", "queue_pending": "waits"} {
				for _, item := range at(t, queue, list).([]any) {
					place[at(t, item, 1).(string)] = state
				}
			}
			for id := range h.get("/history", "Who", "boss").(map[string]any) {
				place[id] = "ended"
			}
			for _, id := range everything {
				_, state, _ := strings.Cut(id, "-")
				require.Equal(t, !strings.Contains(c.gone, id), place[id] == state, "%s is %q", id, place[id])
			}
			h.gate.open("gate of ann")
			h.gate.open("gate of bob")
		})
	}
}

// TestGrantSocket: a client receives the events of its own prompts and of the
// prompts that it may watch. It cannot connect as another client.
func TestGrantSocket(t *testing.T) {
	h := shared(t)
	bob := h.dial("clientId=bob", http.Header{"Who": {"bob"}})
	of := func(prompt, last string) { // events of an ended prompt may come first
		for m := bob.next(); m.short() != last || m.Data["prompt_id"] != prompt; m = bob.next() {
		}
	}
	of("bob-runs", "executing 1")
	ann := h.dial("clientId=bob&watch=bob-runs", http.Header{"Who": {"ann"}})
	friend := h.dial("watch=ann-runs", http.Header{"Who": {"carl"}, "Friend": {"bob-runs"}})
	guest := h.dial("watch=ann-runs", http.Header{"Who": {"guest"}, "Friend": {"unknown"}})
	require.Equal(t, "ann", ann.next().Data["sid"])
	require.Equal(t, "carl", friend.next().Data["sid"])
	h.gate.open("gate of bob")
	of("bob-runs", "execution_success") // the socket of bob is still connected
	require.NoError(t, h.hub.Broadcast(spoken{Text: "over"}))
	for s, prompt := range map[*socket]string{ann: "ann-", friend: "bob-runs", guest: ""} {
		told := false
		for m := s.next(); m.short() != "spoken over"; m = s.next() {
			if id, is := m.Data["prompt_id"]; is {
				require.True(t, prompt != "" && strings.HasPrefix(id.(string), prompt), id)
				told = true
			}
		}
		require.Equal(t, prompt != "", told, prompt)
	}
	h.gate.open("gate of ann")
}

// TestGrantLogs: a client can subscribe only itself to the log.
func TestGrantLogs(t *testing.T) {
	h := shared(t)
	ann := h.dial("", http.Header{"Who": {"ann"}})
	ann.next()
	a := h.send("PATCH", "/internal/logs/subscribe", `{"enabled":true,"clientId":"ann"}`, "Who", "bob")
	require.Equal(t, 403, a.status)
	require.Equal(t, 403, h.send("PATCH", "/internal/logs/subscribe", `{"enabled":false}`, "Who", "bob").status)
	require.Equal(t, 200, h.send("PATCH", "/internal/logs/subscribe", `{"enabled":true,"clientId":"ann"}`, "Who", "ann").status)
	h.gate.open("gate of ann")
	h.gate.open("gate of bob")
}

// TestGrantsMayShareTheirList: the server adds missed prompts to the watch list of
// a session. It must not write them into the list of the grant, which other grants
// may share.
func TestGrantsMayShareTheirList(t *testing.T) {
	watch := make([]string, 1, 8)
	h := newHost(t, &comfy.Options{Authorize: func(r *http.Request) (nodebus.Grant, error) {
		who := r.URL.Query().Get("clientId")
		return nodebus.Grant{Client: who, Watch: watch, WatchAll: who == "boss"}, nil
	}})
	boss := h.connect("boss")
	a := h.post("/prompt?clientId=me", `{"prompt_id":"mine","prompt":`+quick+`}`)
	require.Equal(t, 200, a.status, a.body)
	boss.until("executing <nil>")
	h.connect("me").until("executing <nil>")
	require.Equal(t, make([]string, 8), watch[:8])
}

// TestGrantInterrupt: without an id, a request ends the prompt of its own client, although
// the prompt of another client has run longer.
func TestGrantInterrupt(t *testing.T) {
	h := shared(t)
	boss := h.dial("", http.Header{"Who": {"boss"}})
	boss.next()
	require.Equal(t, 200, h.post("/interrupt", "", "Who", "bob").status)
	require.Contains(t, boss.until("executing <nil>"), "execution_interrupted")
	history := h.get("/history", "Who", "boss").(map[string]any)
	require.Contains(t, history, "bob-runs")
	require.NotContains(t, history, "ann-runs")
	h.gate.open("gate of ann")
}
