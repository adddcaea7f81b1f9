package comfy_test

import (
	"fmt"
	"net/url"
	"slices"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestInterrupt: with an id, the request ends the prompt with that id; without an id, it
// ends the prompt that has run longest. For odd bodies too, the answer is empty and no
// other prompt ends.
func TestInterrupt(t *testing.T) {
	const longest, running, waiting, none = "mine", "yours", "later", ""
	for body, ends := range map[string]string{
		``:                                longest,
		`{`:                               longest,
		`not JSON`:                        longest,
		"\xff\xfe":                        longest,
		`{}`:                              longest,
		`null`:                            longest,
		`{"prompt_id":null}`:              longest,
		`{"prompt_id":""}`:                longest,
		`{"prompt_id":0}`:                 longest,
		`{"prompt_id":false}`:             longest,
		`{"prompt_id":[]}`:                longest,
		`{"other":"yours"}`:               longest,
		`{"prompt_id":"yours"}`:           running,
		` {"prompt_id" : "yours", "x":1}`: running,
		`{"prompt_id":"later"}`:           waiting,
		`{"prompt_id":"unknown"}`:         none,
		`{"prompt_id":"YOURS"}`:           none,
		`{"prompt_id":5}`:                 none,
		`{"prompt_id":true}`:              none,
		`{"prompt_id":{"a":1}}`:           none,
		`{"prompt_id":["yours"]}`:         none,
	} {
		t.Run(body, func(t *testing.T) {
			h := newHost(t, nil)
			watch := h.dial("watch=mine&watch=yours&watch=later", nil)
			watch.next()
			h.submit("me", waitFor("a"), `"prompt_id":"mine"`)
			watch.until("executing 1")
			h.submit("you", waitFor("b"), `"prompt_id":"yours"`)
			watch.until("executing 1")
			h.submit("me", waitFor("c"), `"prompt_id":"later"`)

			a := h.post("/interrupt", body)
			require.Equal(t, 200, a.status)
			require.Empty(t, a.body)
			if ends == waiting { // the prompt never began, but it has a record
				h.ended("later")
				require.Equal(t, []string{"execution_interrupted"}, messageTypes(t, at(t, h.get("/history"), "later")))
				require.Empty(t, h.ids("queue_pending"))
			}
			for _, gate := range []string{"a", "b", "c"} {
				h.gate.open(gate)
			}
			for _, id := range []string{"mine", "yours", "later"} {
				h.ended(id)
				status := at(t, h.get("/history"), id, "status", "status_str")
				require.Equal(t, ends == id, status == "error", id)
			}
		})
	}
}

func TestInterruptRefuses(t *testing.T) {
	twins(t, "/interrupt", func(t *testing.T, path string) {
		h := newHost(t, nil)
		run := h.busy("me")
		for _, body := range []string{`5`, `[]`, `"mine"`, `true`, `[{"prompt_id":"x"}]`} {
			require.Equal(t, 400, h.post(path, body).status, body)
		}
		require.Equal(t, []string{run}, h.ids("queue_running"))
		require.Equal(t, 200, h.post(path, "").status)
		require.Contains(t, h.ended(run), "execution_interrupted")
	})
}

// TestInterruptLongest: the order of submission does not count, and each request ends one
// prompt.
func TestInterruptLongest(t *testing.T) {
	h := newHostOf(t, nil, &flow.EngineOptions{Parallel: 2})
	watch := h.dial("watch=first&watch=second&watch=last&watch=urgent", nil)
	watch.next()
	h.submit("a", waitFor("first"), `"prompt_id":"first"`)
	watch.until("executing 1")
	h.submit("b", waitFor("second"), `"prompt_id":"second"`)
	watch.until("executing 1")
	h.submit("c", waitFor("last"), `"prompt_id":"last"`)
	h.submit("d", waitFor("urgent"), `"prompt_id":"urgent","front":true`)
	for _, id := range []string{"first", "second", "urgent", "last"} {
		require.Equal(t, 200, h.post("/interrupt", "").status)
		require.Contains(t, h.ended(id), "execution_interrupted", id)
		for _, next := range map[string][]string{"first": {"urgent"}, "second": {"last"}}[id] {
			for !slices.Contains(h.ids("queue_running"), next) {
				watch.next()
			}
		}
	}
	require.Empty(t, h.ids("queue_running"))
}

// TestInterruptSparesWhatRests: a prompt that waits for an answer ends only if no prompt
// computes, although it has run longest.
func TestInterruptSparesWhatRests(t *testing.T) {
	h := newHostOf(t, nil, &flow.EngineOptions{Parallel: 1})
	flow.Register(h.reg, Approve{}, nodebus.Info{})
	asks := []string{"asks first", "asks second"}
	for _, id := range asks {
		watch := h.dial("since&watch="+url.QueryEscape(id), nil)
		h.submit("me", `{"1":{"class_type":"Approve","inputs":{"what":"print"}}}`, fmt.Sprintf(`"prompt_id":%q`, id))
		watch.until("nodebus.waiting")
	}
	run := h.busy("me") // it has the only place, so both rest
	for _, id := range append([]string{run}, asks...) {
		require.Contains(t, h.ids("queue_running"), id)
		require.Equal(t, 200, h.post("/interrupt", "").status)
		require.Contains(t, h.ended(id), "execution_interrupted", id)
	}
	require.Empty(t, h.ids("queue_running"))
}

// TestInterruptWhenIdle: an interrupt while nothing runs does not end the next
// prompt.
func TestInterruptWhenIdle(t *testing.T) {
	h := newHost(t, nil)
	require.Equal(t, 200, h.post("/interrupt", "").status)
	require.Contains(t, h.ended(h.submit("me", quick)), "execution_success")
}

func TestInterruptedIDThatWasANumber(t *testing.T) {
	h := newHost(t, nil)
	h.submit("me", waitFor("a"), `"prompt_id":17`)
	require.Equal(t, 200, h.post("/interrupt", `{"prompt_id":17}`).status)
	require.Contains(t, h.ended("17"), "execution_interrupted")
}

func TestFree(t *testing.T) {
	twins(t, "/free", func(t *testing.T, path string) {
		h := newHost(t, nil)
		const graph = `{"1":{"class_type":"RefOutput","inputs":{"value":1}}}`
		h.ended(h.submit("me", graph))
		for _, c := range []struct {
			body  string
			again bool // the node runs again
		}{
			{`{}`, false},
			{`{"unload_models":true}`, false},
			{`{"unload_models":true,"free_memory":false}`, false},
			{`{"free_memory":true}`, true},
			{`{}`, false},
			{`{"unload_models":true,"free_memory":1}`, true},
		} {
			a := h.post(path, c.body)
			require.Equal(t, 200, a.status, c.body)
			require.Empty(t, a.body)
			said := h.ended(h.submit("me", graph))
			require.Equal(t, c.again, slices.Contains(said, "executing 1"), "%s: %v", c.body, said)
			require.Contains(t, said, "executed 1")
		}
		for _, body := range []string{``, `{`, `5`, `[]`} {
			require.Equal(t, 400, h.post(path, body).status, body)
		}
	})
}
