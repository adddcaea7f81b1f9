package client_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// recorded is an HTTP request that was recorded with ComfyUI.
type recorded struct {
	Method, Path string
	Status       int
	Response     json.RawMessage
	Text         string `json:"response_text"`
}

// eachRecorded calls f for each recorded request of this method, below this path.
func eachRecorded(t testing.TB, method, path string, f func(name string, r recorded)) {
	files, err := filepath.Glob("../internal/golden/testdata/*.json")
	require.NoError(t, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var trace struct {
			Name string
			Log  []recorded
		}
		require.NoError(t, json.Unmarshal(data, &trace))
		for _, r := range trace.Log {
			if r.Method == method && strings.HasPrefix(r.Path, path) {
				f(trace.Name, r)
			}
		}
	}
}

// replay returns a client that receives a recorded answer.
func replay(t *testing.T) (c *client.Client, answer *recorded) {
	answer = new(recorded)
	return responder(t, client.Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(answer.Status)
		if answer.Response != nil {
			_, _ = w.Write(answer.Response)
		} else {
			_, _ = w.Write([]byte(answer.Text))
		}
	}), answer
}

// TestRecordsOfComfyUI reads each recorded entry of ComfyUI's history.
func TestRecordsOfComfyUI(t *testing.T) {
	c, answer := replay(t)
	states := map[nodebus.State]int{}
	eachRecorded(t, "GET", "/history", func(name string, r recorded) {
		*answer = r
		all, err := c.History(t.Context(), 0)
		require.NoError(t, err)
		var entries map[string]struct {
			Outputs map[string]json.RawMessage
			Status  struct {
				Completed bool
				Messages  [][]any
			}
		}
		require.NoError(t, json.Unmarshal(r.Response, &entries))
		require.Len(t, all, len(entries), name)
		for _, o := range all {
			states[o.State]++
			e := entries[o.PromptID]
			require.Len(t, o.Outputs, len(e.Outputs), name)
			for _, shown := range o.Outputs {
				text, err := json.Marshal(shown.UI)
				require.NoError(t, err)
				require.JSONEq(t, string(e.Outputs[shown.UniqueID]), string(text), name)
				require.NotEmpty(t, shown.DisplayID)
			}
			cycle := name == "expansion_cycle" // ComfyUI calls it a success
			require.Equal(t, e.Status.Completed && !cycle, o.Err() == nil, "%s: %v", name, o.Err())
			if o.State == nodebus.Failed {
				last := e.Status.Messages[len(e.Status.Messages)-1][1].(map[string]any)
				require.Contains(t, o.Err().Error(), strings.TrimSpace(last["exception_message"].(string)), name)
				var failed *nodebus.NodeError
				require.ErrorAs(t, o.Err(), &failed)
			}
			one, err := c.Outcome(t.Context(), o.PromptID)
			require.NoError(t, err)
			require.Equal(t, o, one)
		}
	})
	for _, state := range []nodebus.State{nodebus.Succeeded, nodebus.Failed, nodebus.Interrupted} {
		require.NotZero(t, states[state], state)
	}
}

// TestRefusalsOfComfyUI reads each recorded answer with which ComfyUI refused a prompt.
func TestRefusalsOfComfyUI(t *testing.T) {
	c, answer := replay(t)
	n := 0
	eachRecorded(t, "POST", "/prompt", func(name string, r recorded) {
		if *answer = r; r.Status == 200 {
			return
		}
		n++
		_, err := c.Submit(t.Context(), node("Say"))
		var refused *client.RefusedError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, r.Status, refused.Status)
		var invalid *nodebus.ValidationError
		if r.Status != 400 {
			require.NotErrorAs(t, err, &invalid)
			require.ErrorContains(t, err, r.Text)
			return
		}
		require.ErrorAs(t, err, &invalid)
		text, err := json.Marshal(invalid)
		require.NoError(t, err)
		require.JSONEq(t, string(r.Response), string(text), name)
	})
	require.Greater(t, n, 20)
}

func TestQueuesOfComfyUI(t *testing.T) {
	c, answer := replay(t)
	waited := 0
	eachRecorded(t, "GET", "/queue", func(name string, r recorded) {
		*answer = r
		running, waiting, err := c.Queue(t.Context())
		require.NoError(t, err)
		var lists struct {
			Running [][]json.RawMessage `json:"queue_running"`
			Waiting [][]json.RawMessage `json:"queue_pending"`
		}
		require.NoError(t, json.Unmarshal(r.Response, &lists))
		require.Len(t, running, len(lists.Running), name)
		require.Len(t, waiting, len(lists.Waiting), name)
		waited += len(waiting)
		for i, p := range running {
			require.NotEmpty(t, p.ID)
			text, err := json.Marshal(p.Nodes)
			require.NoError(t, err)
			require.JSONEq(t, string(lists.Running[i][2]), string(text), name)
		}
	})
	require.NotZero(t, waited)
}
