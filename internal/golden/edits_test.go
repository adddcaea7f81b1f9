package golden_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// The edits for the table deviations. All edits work on transcripts after plain.

func parse(text string) (v map[string]any) {
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		panic(err)
	}
	return v
}

// index returns the position of the first message of a type at or after from, or -1.
func (ts *transcript) index(client, typ string, from int) int {
	for i := from; i < len(ts.clients[client]); i++ {
		if ts.clients[client][i].Type == typ {
			return i
		}
	}
	return -1
}

// replace replaces n messages, beginning at position at, with other messages.
func (ts *transcript) replace(client string, at, n int, by ...message) {
	ts.clients[client] = slices.Replace(ts.clients[client], at, at+n, by...)
}

// with returns a copy of a snapshot in which node has this state. An empty state
// removes the node from the snapshot.
func (m message) with(node, state string) message {
	nodes := maps.Clone(m.Data["nodes"].(map[string]any))
	s, ok := nodes[node].(map[string]any)
	if s = maps.Clone(s); !ok {
		s = map[string]any{
			"node_id": node, "display_node_id": node, "real_node_id": node, "parent_node_id": nil,
			"prompt_id": m.Data["prompt_id"], "value": 0.0, "max": 1.0,
		}
	}
	if s["state"] = state; state == "finished" {
		s["value"] = s["max"]
	}
	if nodes[node] = s; state == "" {
		delete(nodes, node)
	}
	return message{Type: m.Type, Data: map[string]any{"prompt_id": m.Data["prompt_id"], "nodes": nodes}}
}

// records calls f for each history entry in the answers. f may change the entry.
func (ts *transcript) records(f func(promptID string, entry map[string]any)) {
	for _, a := range ts.answers {
		if body, ok := a.Body.(map[string]any); ok && strings.Contains(a.Request, "/history") {
			for id, entry := range body {
				f(id, entry.(map[string]any))
			}
		}
	}
}

// lastWord returns the message that ended a prompt, from the prompt's history entry.
func lastWord(entry map[string]any) []any {
	words := entry["status"].(map[string]any)["messages"].([]any)
	return words[len(words)-1].([]any)
}

// end changes the history entry of m's prompt: m becomes the message that ended it.
func (ts *transcript) end(m message) {
	ts.records(func(id string, entry map[string]any) {
		if id != m.Data["prompt_id"] {
			return
		}
		word := lastWord(entry)
		word[0], word[1] = m.Type, m.Data
		status := entry["status"].(map[string]any)
		status["completed"], status["status_str"] = false, "error"
		if m.Type == "execution_success" {
			status["completed"], status["status_str"] = true, "success"
		}
	})
}

// toWatchers removes all messages about a prompt without a client from every client.
// It gives the messages to the watcher, as the last of these clients received them.
func toWatchers(ts *transcript) {
	nobodys := map[any]bool{}
	ts.records(func(id string, entry map[string]any) {
		_, has := entry["prompt"].([]any)[3].(map[string]any)["client_id"]
		nobodys[id] = !has
	})
	for _, client := range slices.Sorted(maps.Keys(ts.clients)) {
		var about []message
		ts.clients[client] = slices.DeleteFunc(ts.clients[client], func(m message) bool {
			id, names := m.Data["prompt_id"]
			of := nobodys[id] || !names && m.Type == "binary 1" && len(about) > 0
			if of {
				about = append(about, m)
			}
			return of
		})
		if len(about) > 0 {
			ts.clients[watcher] = about
		}
	}
}

// isBroadcast reports whether the reference sends such a message to everyone if the
// prompt has no client.
func (m message) isBroadcast() bool {
	switch m.Type {
	case "progress_state", "progress", "binary 1", "execution_interrupted":
		return true
	case "execution_error":
		return m.Data["exception_type"] == "ExecutionBlocked"
	}
	return false
}

// interruptedAtOnce ends the prompt at node 2: before any message says that node 2
// has finished or that node 3 runs.
func interruptedAtOnce(ts *transcript) {
	at := ts.index("A", "execution_interrupted", 0)
	m := ts.clients["A"][at]
	m.Data["node_id"], m.Data["node_type"], m.Data["executed"] = "2", "RefAsyncSleep", []any{"1"}
	ts.replace("A", at-3, 4, m)
	ts.end(m)
}

// noCalls changes a prompt that failed at the first of these nodes. Now each node
// finishes without a call, one after the other, and the prompt succeeds.
func noCalls(nodes ...string) edit {
	return func(ts *transcript) {
		at := ts.index("A", "execution_error", 0)
		state := ts.clients["A"][at-2]
		id := state.Data["prompt_id"]
		var now []message
		for i, node := range nodes {
			if i > 0 {
				state = state.with(node, "running")
				now = append(now, state, message{Type: "executing", Data: map[string]any{
					"node": node, "display_node": node, "prompt_id": id,
				}})
			}
			state = state.with(node, "finished")
			now = append(now, state)
		}
		success := message{Type: "execution_success", Data: map[string]any{"prompt_id": id, "timestamp": "(time)"}}
		ts.replace("A", at, 1, append(now, success)...)
		ts.end(success)
	}
}

// lastSnapshots adds one more snapshot before the message that ends a prompt, if the
// prompt did not succeed. The snapshot shows the last executing node as failed.
func lastSnapshots(ts *transcript) {
	ts.records(func(id string, entry map[string]any) {
		terminal := lastWord(entry)[0].(string)
		if terminal == "execution_success" {
			return
		}
		for client := range ts.clients {
			if at, last := ts.beforeEnd(client, id, terminal); at >= 0 {
				ts.replace(client, at, 0, last)
			}
		}
	})
}

// beforeEnd returns the position of the message that ended a prompt at a client, and
// the last snapshot that must come before it. If the client did not receive the last
// message, at is the position after all messages about the prompt. If the client
// received nothing about the prompt, at is -1.
func (ts *transcript) beforeEnd(client, promptID, terminal string) (at int, last message) {
	blamed, interrupted := "", terminal == "execution_interrupted"
	at = -1
	for i, m := range ts.clients[client] {
		switch {
		case m.Data["prompt_id"] != promptID:
			continue
		case m.Type == terminal:
			return i, last.blaming(blamed, interrupted)
		case m.Type == "progress_state":
			last = m
		case m.Type == "executing" && m.Data["node"] != nil:
			blamed = m.Data["node"].(string)
		}
		at = i + 1
	}
	if at < 0 {
		return at, last
	}
	return at, last.blaming(blamed, interrupted)
}

// blaming returns a snapshot after a failure: node has failed, and no node runs. If
// node is "", the running node has failed. After an interrupt no node has failed.
func (m message) blaming(node string, interrupted bool) message {
	for id, s := range m.Data["nodes"].(map[string]any) {
		switch {
		case s.(map[string]any)["state"] != "running":
		case !interrupted && (id == node || node == ""):
			m = m.with(id, "error")
		default:
			m = m.with(id, "")
		}
	}
	return m
}

// stepsToo adds the progress event to each step of a node. For such a node the
// reference sends only the snapshot.
func stepsToo(ts *transcript) {
	for i := len(ts.clients["A"]) - 1; i >= 0; i-- {
		data := ts.clients["A"][i].Data
		nodes, _ := data["nodes"].(map[string]any)
		s, ok := nodes["2"].(map[string]any)
		if !ok || s["state"] != "running" || s["value"].(float64) == 0 {
			continue
		}
		ts.replace("A", i+1, 0, message{Type: "progress", Data: map[string]any{
			"value": s["value"], "max": s["max"], "prompt_id": data["prompt_id"], "node": "2",
		}})
	}
}
