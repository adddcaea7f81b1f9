package comfy_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestInterrupt: with an id, the request ends one prompt; without an id, it ends
// all running prompts. For odd bodies too, the answer is empty and no other prompt
// ends.
func TestInterrupt(t *testing.T) {
	const all, running, waiting, none = "mine yours", "mine", "later", ""
	for body, ends := range map[string]string{
		``:                               all,
		`{`:                              all,
		`not JSON`:                       all,
		"\xff\xfe":                       all,
		`{}`:                             all,
		`null`:                           all,
		`{"prompt_id":null}`:             all,
		`{"prompt_id":""}`:               all,
		`{"prompt_id":0}`:                all,
		`{"prompt_id":false}`:            all,
		`{"prompt_id":[]}`:               all,
		`{"other":"mine"}`:               all,
		`{"prompt_id":"mine"}`:           running,
		` {"prompt_id" : "mine", "x":1}`: running,
		`{"prompt_id":"later"}`:          waiting,
		`{"prompt_id":"unknown"}`:        none,
		`{"prompt_id":"MINE"}`:           none,
		`{"prompt_id":5}`:                none,
		`{"prompt_id":true}`:             none,
		`{"prompt_id":{"a":1}}`:          none,
		`{"prompt_id":["mine"]}`:         none,
	} {
		t.Run(body, func(t *testing.T) {
			h := newHost(t, nil)
			watch := h.dial("watch=mine&watch=yours&watch=later", nil)
			watch.next()
			h.submit("me", waitFor("a"), `"prompt_id":"mine"`)
			h.submit("you", waitFor("b"), `"prompt_id":"yours"`)
			watch.until("executing 1")
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
				hit := ends == all && id != "later" || ends == id
				require.Equal(t, hit, status == "error", id)
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
