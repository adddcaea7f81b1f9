package comfy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestQueueOrderGrants: a request of a named client moves only prompts of that client. It
// cannot pause, and it learns nothing about the prompts of others except their number.
func TestQueueOrderGrants(t *testing.T) {
	h := shared(t)
	state := func(who string) string { return h.send("GET", "/nodebus/queue", "", "Who", who).body }
	all := func(waiting string) string {
		return `{"paused":false,"waiting":[` + waiting + `],"running":["ann-runs","bob-runs"]}`
	}
	const ofBob = `{"paused":false,"waiting":["bob-waits"],"running":["bob-runs"],"others":{"waiting":1,"running":1}}`
	require.Equal(t, ofBob, state("bob"))
	require.Equal(t, all(`"ann-waits","bob-waits"`), state("boss"))

	for _, paused := range []string{"true", "false"} {
		a := h.post("/nodebus/queue", `{"first":"bob-waits","paused":`+paused+`}`, "Who", "bob")
		require.Equal(t, 403, a.status)
		require.JSONEq(t, `{"error":"the queue may be paused and resumed only by a request whose grant names no client"}`, a.body)
	}
	a := h.post("/nodebus/queue", `{"order":["bob-waits","ann-waits"]}`, "Who", "bob")
	require.Equal(t, 404, a.status)
	require.JSONEq(t, `{"error":"no prompt with this id waits: \"ann-waits\""}`, a.body)
	require.Equal(t, all(`"ann-waits","bob-waits"`), state("boss"), "nothing has moved")

	a = h.post("/nodebus/queue", `{"first":"bob-waits"}`, "Who", "bob")
	require.Equal(t, []any{200, ofBob}, []any{a.status, a.body})
	require.Equal(t, all(`"ann-waits","bob-waits"`), state("boss"), "it stays behind the prompt of ann")
	require.Equal(t, 200, h.post("/nodebus/queue", `{"paused":true,"first":"bob-waits"}`, "Who", "boss").status)
	require.Equal(t, strings.Replace(all(`"bob-waits","ann-waits"`), "false", "true", 1), state("boss"))
	require.True(t, h.engine.Paused())
	h.gate.open("gate of ann")
	h.gate.open("gate of bob")
}

// TestQueueOrderOfAClient: prompts move among the places of their client, a. A prompt of
// another client, b, never begins later.
func TestQueueOrderOfAClient(t *testing.T) {
	for name, c := range map[string]struct{ numbers, body, want string }{
		"first":                    {"1 2 3 4 5", `{"first":"a5"}`, "a5 b2 a1 b4 a3"},
		"order":                    {"1 2 3 4 5", `{"order":["a3","a5"]}`, "a3 b2 a5 b4 a1"},
		"the same order":           {"1 2 3 4 5", `{"order":["a1","a3","a5"]}`, "a1 b2 a3 b4 a5"},
		"the end changes":          {"1 2 3 4 5", `{"order":["a1","a5"]}`, "a1 b2 a5 b4 a3"},
		"the beginning changes":    {"1 2 3 4 5", `{"order":["a3"]}`, "a3 b2 a1 b4 a5"},
		"same numbers":             {"7 7 7 7 7", `{"first":"a5"}`, "b2 b4 a5 a1 a3"},
		"same numbers, same order": {"7 7 7 7 7", `{"first":"a1"}`, "a1 b2 a3 b4 a5"},
		"same numbers, the end":    {"7 7 7 7 7", `{"order":["a1","a5"]}`, "a1 b2 b4 a5 a3"},
		"some same numbers":        {"1 2 3 3 3", `{"first":"a3"}`, "a3 b2 b4 a1 a5"},
	} {
		t.Run(name, func(t *testing.T) {
			h := shared(t)
			require.Equal(t, 200, h.post("/nodebus/queue", `{"paused":true}`, "Who", "boss").status)
			require.Equal(t, 200, h.post("/queue", `{"clear":true}`, "Who", "boss").status)
			for i, number := range strings.Fields(c.numbers) {
				id, who := fmt.Sprint("a", i+1), "ann"
				if i%2 == 1 {
					id, who = fmt.Sprint("b", i+1), "bob"
				}
				require.Equal(t, 200, h.post("/prompt", fmt.Sprintf(`{"prompt_id":%q,"number":%s,"prompt":%s}`, id, number, quick), "Who", who).status)
			}
			require.Equal(t, 200, h.post("/nodebus/queue", c.body, "Who", "ann").status)
			got := fmt.Sprint(at(t, h.get("/nodebus/queue", "Who", "boss"), "waiting"))
			require.Equal(t, "["+c.want+"]", got)
			h.gate.open("gate of ann")
			h.gate.open("gate of bob")
		})
	}
}
