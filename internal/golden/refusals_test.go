package golden_test

import (
	"net/http"
	"slices"
	"strings"
)

// More edits for deviations: refused prompts, and records.

// ringFails makes a prompt fail that contains a ring of nodes. The last snapshot may
// blame any node of the ring; here it blames node now instead of node was.
func ringFails(was, now string) edit {
	return func(ts *transcript) {
		at := ts.index("A", "execution_error", 0)
		nodes := ts.clients["A"][at-1].Data["nodes"].(map[string]any)
		nodes[now] = nodes[was]
		nodes[now].(map[string]any)["node_id"] = now
		delete(nodes, was)
		ts.end(ts.clients["A"][at])
	}
}

// ringErrors gives each node of a ring of RefAdd nodes an error about the ring.
func ringErrors(ring ...string) edit {
	return func(ts *transcript) {
		nodes := map[string]any{}
		for k, id := range ring {
			var ids []any
			var path []string
			for j := range ring {
				next := ring[(k+j)%len(ring)]
				ids = append(ids, next)
				path = append(path, next+" (RefAdd)")
			}
			nodes[id] = map[string]any{
				"class_type": "RefAdd", "dependent_outputs": []any{"3"},
				"errors": []any{map[string]any{
					"type": "dependency_cycle", "message": "Dependency cycle detected",
					"details":    strings.Join(append(path, path[0]), " -> "),
					"extra_info": map[string]any{"node_id": id, "cycle_nodes": ids},
				}},
			}
		}
		ts.answers[0].Body.(map[string]any)["node_errors"] = nodes
	}
}

// brokenLink replaces the description of a broken link everywhere in an answer.
func brokenLink(answer int, was, now string) edit {
	const introduction = "Exception when validating node: "
	var walk func(v any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case string:
			if head := strings.TrimSuffix(v, was); head+was == v && (head == "" || head == introduction) {
				return head + now
			}
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
		case map[string]any:
			for k := range v {
				v[k] = walk(v[k])
			}
		}
		return v
	}
	return func(ts *transcript) { walk(ts.answers[answer].Body) }
}

const linkRefused = `{
	"error": {
		"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation", "extra_info": {},
		"details": "Exception when validating node: input extra links to node '99', which does not exist"
	},
	"node_errors": {"1": {"class_type": "RefOutput", "dependent_outputs": ["1"], "errors": [{
		"type": "exception_during_validation", "message": "Exception when validating node",
		"details": "input extra links to node '99', which does not exist",
		"extra_info": {"exception_type": "(type)", "traceback": "(lines)"}
	}]}}
}`

const choiceRefused = `{
	"error": {
		"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation", "extra_info": {},
		"details": ""
	},
	"node_errors": {"1": {"class_type": "RefTypes", "dependent_outputs": ["2"], "errors": [{
		"type": "value_not_in_list", "message": "Value not in list", "details": "io_combo: 'z' not in ['x', 'y']",
		"extra_info": {"input_name": "io_combo", "input_config": ["COMBO", {"options": ["x", "y"]}], "received_value": "z"}
	}]}}
}`

const noClass = `{
	"type": "missing_node_type", "details": "Node ID '#1'",
	"message": "Node 'ID #1' has no class_type. The workflow may be corrupted or a custom node is missing.",
	"extra_info": {"node_id": "1", "class_type": null, "node_title": null}
}`

const noSuchClass = `{
	"type": "missing_node_type", "details": "Node ID '#1'",
	"message": "Node 'NoSuchNode' not found. The custom node may not be installed.",
	"extra_info": {"node_id": "1", "class_type": "NoSuchNode", "node_title": "NoSuchNode"}
}`

// missingType replaces the error of a node whose class is not known.
func missingType(now map[string]any) edit {
	return func(ts *transcript) { ts.answers[0].Body.(map[string]any)["error"] = now }
}

// rejected refuses the only accepted prompt: there are no messages about the prompt,
// and no list contains it.
func rejected(answer int, because string) edit {
	return func(ts *transcript) {
		ts.answers[answer].Status, ts.answers[answer].Body = http.StatusBadRequest, parse(because)
		ts.clients["A"] = slices.DeleteFunc(ts.clients["A"], func(m message) bool { return !m.ofConnection() })
		for i, a := range ts.answers {
			switch {
			case strings.Contains(a.Request, "/history"):
				ts.answers[i].Body, ts.answers[i].Keys = map[string]any{}, nil
			case strings.Contains(a.Request, "/queue"):
				ts.answers[i].Body = parse(`{"queue_running": [], "queue_pending": []}`)
			}
		}
	}
}

// conflict replaces the response to a prompt whose id is in use.
func conflict(typ string, body any) edit {
	return func(ts *transcript) {
		a := &ts.answers[2]
		a.Status, a.Type, a.Body = http.StatusConflict, typ, body
	}
}

// refuseDuplicate refuses the second prompt with the same id. So one prompt fewer
// waits from then on, and the record of the first prompt is kept.
func refuseDuplicate(ts *transcript) {
	queue := ts.answers[3].Body.(map[string]any)
	queue["queue_pending"] = queue["queue_pending"].([]any)[:1]
	first := queue["queue_pending"].([]any)[0].([]any)

	messages := ts.clients["A"]
	again := ts.index("A", "execution_start", ts.index("A", "execution_start", ts.index("A", "execution_start", 0)+1)+1)
	end := len(messages)
	for messages[end-1].ofConnection() {
		end--
	}
	messages = slices.Delete(messages, again-1, end) // with the status message before it
	for i := ts.index("A", "execution_success", 0); i < len(messages); i++ {
		if status, ok := messages[i].Data["status"].(map[string]any); ok {
			info := status["exec_info"].(map[string]any)
			info["queue_remaining"] = info["queue_remaining"].(float64) - 1
		}
	}
	ts.clients["A"] = messages

	ts.records(func(id string, entry map[string]any) {
		if id == first[1] {
			entry["prompt"] = first
			entry["outputs"].(map[string]any)["3"] = map[string]any{"text": []any{"4"}}
			cached := entry["status"].(map[string]any)["messages"].([]any)[1].([]any)
			cached[1].(map[string]any)["nodes"] = []any{"1"}
		}
	})
}

// ownMeta records the output of a node under the node's own name.
func ownMeta(node string) edit {
	return func(ts *transcript) {
		ts.records(func(_ string, entry map[string]any) {
			if meta := entry["meta"].(map[string]any); meta[node] != nil {
				meta[node] = map[string]any{"node_id": node, "display_node": node, "real_node_id": node, "parent_node": nil}
			}
		})
	}
}

// notRecorded removes the output of a node from the records of prompts that did not
// request it.
func notRecorded(node string) edit {
	return func(ts *transcript) {
		ts.records(func(_ string, entry map[string]any) {
			if asked := entry["prompt"].([]any)[4].([]any); !slices.Contains(asked, any(node)) {
				delete(entry["meta"].(map[string]any), node)
				delete(entry["outputs"].(map[string]any), node)
			}
		})
	}
}

// previewAfterStep moves each preview after the progress message of the same step.
func previewAfterStep(ts *transcript) {
	messages := ts.clients["A"]
	for i := 1; i < len(messages); i++ {
		if messages[i-1].Type == "binary 4" && messages[i].Type == "progress" {
			messages[i-1], messages[i] = messages[i], messages[i-1]
		}
	}
}

// barePreviews adds a preview after each snapshot that reports a step.
func barePreviews(ts *transcript) {
	preview := message{Type: "binary 1", Data: parse(`{"image_type": 1, "format": "jpeg", "size": "(512,256)"}`)}
	for i := len(ts.clients["A"]) - 1; i >= 0; i-- {
		nodes, _ := ts.clients["A"][i].Data["nodes"].(map[string]any)
		if s, ok := nodes["2"].(map[string]any); ok && s["state"] == "running" && s["value"].(float64) > 0 {
			ts.replace("A", i+1, 0, preview)
		}
	}
}
