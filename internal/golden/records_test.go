package golden_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// viaJSON returns v after encoding to JSON and decoding, as a client sees it.
func viaJSON(t *testing.T, v any) (read any) {
	data, err := json.Marshal(v)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &read))
	return read
}

// inOrderOfOutputs puts the output nodes of a graph into the order in which the
// reference ran them. The reference uses the order of a set, which has no meaning;
// this project uses the order of the graph.
func (tr *trace) inOrderOfOutputs(promptID string, nodes nodebus.Nodes) nodebus.Nodes {
	order := tr.outputs(promptID)
	if len(order) < 2 {
		return nodes
	}
	spec := map[string]nodebus.NodeSpec{}
	for _, n := range nodes {
		spec[n.ID] = n
	}
	nodes = slices.Clone(nodes)
	next := 0
	for i := range nodes {
		if slices.Contains(order, nodes[i].ID) {
			nodes[i] = spec[order[next]]
			next++
		}
	}
	return nodes
}

// outputs returns the outputs of a prompt in the order of the recorded history.
func (tr *trace) outputs(promptID string) (ids []string) {
	for i := range tr.Log {
		var body map[string]struct{ Prompt []json.RawMessage }
		if !strings.HasPrefix(tr.Log[i].Path, "/history") || json.Unmarshal(tr.Log[i].Response, &body) != nil {
			continue
		}
		if item := body[promptID].Prompt; len(item) == 5 {
			_ = json.Unmarshal(item[4], &ids)
			return ids
		}
	}
	return nil
}

// queue returns the response to GET /queue.
func (r *inside) queue() any {
	running, pending := []any{}, []any{}
	for p, err := range r.engine.Queued(r.t.Context()) {
		require.NoError(r.t, err)
		if p.Leased {
			running = append(running, listed(p.Prompt))
		} else {
			pending = append(pending, listed(p.Prompt))
		}
	}
	return map[string]any{"queue_running": running, "queue_pending": pending}
}

// running returns the prompts that run.
func (r *inside) running() (ps []*nodebus.Prompt) {
	for p, err := range r.engine.Queued(r.t.Context()) {
		require.NoError(r.t, err)
		if p.Leased {
			ps = append(ps, p.Prompt)
		}
	}
	return ps
}

// waiting returns the ids of the waiting prompts.
func (r *inside) waiting() (ids []string) {
	for p, err := range r.engine.Queue().List(r.t.Context()) {
		require.NoError(r.t, err)
		if !p.Leased {
			ids = append(ids, p.Prompt.ID)
		}
	}
	return ids
}

// listed returns a prompt in the form of a listing.
func listed(p *nodebus.Prompt) []any {
	return []any{p.Priority, p.ID, p.Nodes, p.Extra, p.Outputs}
}

// history returns the response to GET /history for the records that want selects.
func (r *inside) history(want func(flow.Record) bool) any {
	entries := map[string]any{}
	for rec, err := range r.engine.Store().List(r.t.Context()) {
		require.NoError(r.t, err)
		if want(rec) {
			entries[rec.Prompt.ID] = history(rec)
		}
	}
	return entries
}

// history returns a record as a history entry.
func history(rec flow.Record) any {
	outputs, meta := map[string]any{}, map[string]any{}
	for _, o := range rec.Outputs {
		var parent any
		if o.ParentID != "" {
			parent = o.ParentID
		}
		outputs[o.UniqueID] = o.UI
		meta[o.UniqueID] = map[string]any{
			"node_id": o.UniqueID, "display_node": o.DisplayID, "parent_node": parent, "real_node_id": o.RealID,
		}
	}
	status := map[string]any{"status_str": "error", "completed": false, "messages": lastWords(rec)}
	if rec.State == nodebus.Succeeded {
		status["status_str"], status["completed"] = "success", true
	}
	return map[string]any{"prompt": listed(rec.Prompt), "outputs": outputs, "meta": meta, "status": status}
}

// lastWords returns the events in a record.
func lastWords(rec flow.Record) (messages [][]any) {
	add := func(p nodebus.Payload, kept bool) {
		if kept {
			messages = append(messages, []any{p.EventType(), p})
		}
	}
	add(rec.Start, rec.Start != nil)
	add(rec.Cached, rec.Cached != nil)
	add(rec.Success, rec.Success != nil)
	add(rec.Error, rec.Error != nil)
	add(rec.Interrupted, rec.Interrupted != nil)
	return messages
}
