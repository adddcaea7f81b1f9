package nodebus_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestJobSurvivesJSON checks that a worker that reads the JSON of a job has the same job,
// without what only the host can use.
func TestJobSurvivesJSON(t *testing.T) {
	nodes, err := nodebus.ParseNodes([]byte(`{
		"a": {"class_type": "A", "inputs": {"n": 9007199254740993, "f": 0.5, "s": "x", "list": {"__value__": [1, ["b", 0]]}}, "_meta": {"title":"T"}},
		"b": {"class_type": "B", "inputs": {"in": ["a", 1], "none": null}},
		"c": {"class_type": "C"}
	}`))
	require.NoError(t, err)
	job := nodebus.Job{
		Prompt: &nodebus.Prompt{
			ID: "p", ClientID: "me", Priority: -2.5, Nodes: nodes, Outputs: []string{"b"},
			Extra: map[string]any{"extra_pnginfo": map[string]any{"workflow": "w"}}, Created: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		},
		Attempt: 2, Secrets: map[string]string{"API_KEY_COMFY_ORG": "s3cret"}, Prepared: func() {},
	}
	enc, err := json.Marshal(job)
	require.NoError(t, err)
	var got nodebus.Job
	require.NoError(t, json.Unmarshal(enc, &got))
	job.Prepared = nil
	require.Equal(t, job, got)

	enc, err = json.Marshal(nodebus.Job{Prompt: &nodebus.Prompt{}, Attempt: 1})
	require.NoError(t, err)
	require.JSONEq(t, `{"prompt": {"id": "", "priority": 0, "nodes": {}, "outputs": null, "created": "0001-01-01T00:00:00Z"}, "attempt": 1}`, string(enc))
}

// TestPreparedJobSurvivesJSON checks a prompt that was built in Go and prepared: another
// process can prepare it again.
func TestPreparedJobSurvivesJSON(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, total{}, nodebus.Info{Name: "Total", Output: true})
	g := nodebus.NewGraph()
	first := g.AddAs("first", "Total", nodebus.Inputs{"values": []int{1, 2}, "scale": "3"})
	g.AddAs("second", "Total", nodebus.Inputs{"values": first, "scale": 2})
	job := nodebus.Job{Prompt: &nodebus.Prompt{Nodes: g.Nodes()}, Attempt: 1}
	var err error
	job.Prepared, err = r.Prepare(context.Background(), job.Prompt)
	require.NoError(t, err)
	enc, err := json.Marshal(job)
	require.NoError(t, err)
	var got nodebus.Job
	require.NoError(t, json.Unmarshal(enc, &got))
	_, err = r.Prepare(context.Background(), got.Prompt)
	require.NoError(t, err)
	again, err := json.Marshal(got)
	require.NoError(t, err)
	require.Equal(t, string(enc), string(again))
}

// total adds numbers.
type total struct {
	Values nodebus.List[int]
	Scale  int
}

func (n total) Run(*nodebus.Context) (sum int, err error) {
	for _, v := range n.Values {
		sum += v * n.Scale
	}
	return sum, nil
}
