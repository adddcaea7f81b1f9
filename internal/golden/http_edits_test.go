package golden_test

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
)

// The edits for deviations that only a server has.

// created adds the time of submission to each prompt in a listing.
func created(ts *transcript) {
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			if extra, ok := extraOf(v); ok {
				extra["create_time"] = "(time)"
				return
			}
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	for _, a := range ts.answers {
		walk(a.Body)
	}
}

// extraOf returns the extra data of a prompt, if v is a prompt in a listing.
func extraOf(v []any) (extra map[string]any, ok bool) {
	if len(v) != 5 {
		return nil, false
	}
	if _, number := v[0].(float64); !number {
		return nil, false
	}
	extra, ok = v[3].(map[string]any)
	return extra, ok
}

// described calls f for each class that the answers describe.
func (ts *transcript) described(f func(class string, info map[string]any)) {
	for _, a := range ts.answers {
		if class, is := strings.CutPrefix(a.Request, "GET /object_info/"); is {
			if info, ok := a.Body.(map[string]any)[class].(map[string]any); ok {
				f(class, info)
			}
		}
	}
}

// newerFields adds what versions after the recorded one say about each class, in the order in
// which they say it.
func newerFields(ts *transcript) {
	ts.described(func(class string, info map[string]any) {
		info["is_input_list"], info["has_intermediate_output"], info["search_aliases"] = class == "RefListSum", false, []any{}
	})
	for i := range ts.answers {
		a := &ts.answers[i]
		class, is := strings.CutPrefix(a.Request, "GET /object_info")
		if !is || len(a.Keys) == 0 {
			continue
		}
		add := func(name string, at int) { a.Keys = slices.Insert(a.Keys, at, class+"/"+name) }
		add("is_input_list", slices.Index(a.Keys, class+"/output"))
		add("has_intermediate_output", slices.Index(a.Keys, class+"/output_node")+1)
		add("search_aliases", len(a.Keys))
	}
}

// module replaces the Python module of each class with one fixed name.
func module(ts *transcript) {
	ts.described(func(_ string, info map[string]any) { info["python_module"] = "nodes" })
}

// newerFlags adds the feature flags of versions after the recorded one.
func newerFlags(ts *transcript) {
	add := func(flags any) {
		if flags, ok := flags.(map[string]any); ok && flags["max_upload_size"] != nil {
			flags["node_replacements"] = true
			flags["extension"] = map[string]any{"manager": map[string]any{"supports_v4": false}}
		}
	}
	for _, all := range ts.clients {
		for _, m := range all {
			if m.Type == "feature_flags" {
				add(m.Data)
			}
		}
	}
	for _, a := range ts.answers {
		add(a.Body)
	}
}

// inputs calls f for each input of a class, except hidden inputs, and replaces the
// configuration of the input with the result.
func inputs(info map[string]any, f func(name string, config []any) []any) {
	for kind, ports := range info["input"].(map[string]any) {
		for name, config := range ports.(map[string]any) {
			if kind != "hidden" {
				ports.(map[string]any)[name] = f(name, config.([]any))
			}
		}
	}
}

// withOptions gives each input without options an empty options object.
func withOptions(ts *transcript) {
	ts.described(func(_ string, info map[string]any) {
		inputs(info, func(_ string, config []any) []any {
			if len(config) == 1 {
				config = append(config, map[string]any{})
			}
			return config
		})
	})
}

// ownWords fills in our descriptions and tooltips. The recording has a placeholder
// at these places.
func ownWords(ts *transcript) {
	const taken = "(text)"
	words := map[string]string{
		"PreviewImage":               "Shows pictures without keeping them.",
		"SaveImage":                  "Keeps pictures as files.",
		"SaveImage, images":          "What to save.",
		"SaveImage, filename_prefix": "What the names of the files begin with.",
	}
	ts.described(func(class string, info map[string]any) {
		if info["description"] == taken {
			info["description"] = words[class]
		}
		inputs(info, func(name string, config []any) []any {
			if options := config[1].(map[string]any); options["tooltip"] == taken {
				options["tooltip"] = words[class+", "+name]
			}
			return config
		})
	})
}

// answers replaces answer n.
func answers(n, status int, body string) edit {
	return func(ts *transcript) {
		a := &ts.answers[n]
		a.Status, a.Type, a.Body = status, jsonType, parse(body)
	}
}

// refuses replaces answer n with the refusal of a malformed submission.
func refuses(n int, typ, message, details string) edit {
	return answers(n, http.StatusBadRequest, fmt.Sprintf(
		`{"error": {"type": %q, "message": %q, "details": %q, "extra_info": {}}, "node_errors": {}}`, typ, message, details))
}

// ownSystem fills in the facts about this program and this machine.
func ownSystem(ts *transcript) {
	system := ts.answers[7].Body.(map[string]any)["system"].(map[string]any)
	system["os"] = runtime.GOOS
	system["python_version"], system["pytorch_version"] = runtime.Version(), ""
	system["comfyui_version"] = "0.38.1"
	system["required_frontend_version"], system["required_templates_version"] = nil, nil
}

// newerSystem adds what versions after the recorded one say about the system.
func newerSystem(ts *transcript) {
	system := ts.answers[7].Body.(map[string]any)["system"].(map[string]any)
	system["comfy_package_versions"], system["deploy_environment"] = []any{}, "nodebus"
}

// noCommandLine removes the command line.
func noCommandLine(ts *transcript) {
	ts.answers[7].Body.(map[string]any)["system"].(map[string]any)["argv"] = []any{}
}

// sortedModels sorts the model folders by name.
func sortedModels(ts *transcript) { sortStrings(ts.answers[12].Body) }

// bothHear sends to the first connection of a client the newer events that the second
// connection receives while both are open.
func bothHear(ts *transcript) {
	second := ts.clients["A2"]
	end := len(second) - 1
	ts.replace("A", len(ts.clients["A"])-1, 0, second[end-3:end]...)
}

// ofPrompt adds the running prompt to the first messages of a connection.
func ofPrompt(ts *transcript) {
	at := ts.clients["A2"][1].Data
	at["display_node"], at["prompt_id"] = at["node"], ts.prompt(0)
}

// prompt returns the id of the nth accepted prompt, counted from 0.
func (ts *transcript) prompt(n int) any {
	var ids []any
	for _, a := range ts.answers {
		if body, ok := a.Body.(map[string]any); ok && a.Request == "POST /prompt" {
			ids = append(ids, body["prompt_id"])
		}
	}
	return ids[n]
}

// soFar sends to the second connection all messages about the prompt that the first
// connection received before. From the snapshots it sends only the last.
func soFar(ts *transcript) {
	var told []message
	for _, m := range slices.Backward(ts.clients["A"]) {
		again := m.Type == "progress_state" && slices.ContainsFunc(told, func(o message) bool { return o.Type == m.Type })
		if m.Data["prompt_id"] == ts.prompt(0) && !again {
			told = append(told, m)
		}
	}
	slices.Reverse(told)
	ts.replace("A2", 2, 0, told...)
}

// goesOn sends all later messages to the second connection, until the end.
func goesOn(ts *transcript) {
	end := len(ts.clients["A2"]) - 1
	state := ts.clients["A2"][end-2].with("3", "finished")
	rest := append([]message{state}, state.visited("4", "1")...)
	rest = append(rest, ended(ts.prompt(0))...)

	waits := message{Type: "status", Data: parse(`{"status": {"exec_info": {"queue_remaining": 1}}}`)}
	id := ts.prompt(1)
	rest = append(rest, waits, waits,
		message{Type: "execution_start", Data: map[string]any{"prompt_id": id, "timestamp": "(time)"}},
		message{Type: "execution_cached", Data: map[string]any{"prompt_id": id, "timestamp": "(time)", "nodes": []any{}}})
	state = message{Type: "progress_state", Data: map[string]any{"prompt_id": id, "nodes": map[string]any{}}}
	for _, visit := range [][]any{{"1"}, {"2"}, {"3", "5"}} {
		told := state.visited(visit[0].(string), visit[1:]...)
		rest, state = append(rest, told...), told[len(told)-1]
	}
	ts.replace("A2", end, 0, append(rest, ended(id)...)...)
}

// visited returns the messages about a node that runs after the snapshot m, and about
// the text that the node shows.
func (m message) visited(node string, text ...any) []message {
	about := func(more map[string]any) map[string]any {
		more["node"], more["display_node"], more["prompt_id"] = node, node, m.Data["prompt_id"]
		return more
	}
	running := m.with(node, "running")
	told := []message{running, {Type: "executing", Data: about(map[string]any{})}}
	if len(text) > 0 {
		told = append(told, message{Type: "executed", Data: about(map[string]any{"output": map[string]any{"text": text}})})
	}
	return append(told, running.with(node, "finished"))
}

// ended returns the messages about the end of a prompt when no other prompt waits.
func ended(id any) []message {
	return []message{
		{Type: "execution_success", Data: map[string]any{"prompt_id": id, "timestamp": "(time)"}},
		{Type: "status", Data: parse(`{"status": {"exec_info": {"queue_remaining": 0}}}`)},
		{Type: "executing", Data: map[string]any{"prompt_id": id, "node": nil}},
	}
}
