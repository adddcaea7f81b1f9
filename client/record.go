package client

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nodebus/nodebus"
)

// entry is an entry of the server's history.
type entry struct {
	Outputs json.RawMessage `json:"outputs"`
	Status  *struct {
		Text     string               `json:"status_str"`
		Messages [][2]json.RawMessage `json:"messages"`
	} `json:"status"`
	Meta   map[string]json.RawMessage `json:"meta"`
	Detail *detail                    `json:"nodebus"` // nil if the server is ComfyUI
}

// detail is what an entry of package comfy says beside what ComfyUI says.
type detail struct {
	State        nodebus.State        `json:"state"`
	Attempt      int                  `json:"attempt"`
	Errors       []nodebus.NodeFailed `json:"errors"`
	Rejected     json.RawMessage      `json:"rejected"`
	Nodes        []nodebus.NodeRun    `json:"nodes"`
	NodesLeftOut int                  `json:"nodes_left_out"`
}

// readEntry makes an outcome from an entry of the history. A part whose form is unknown is
// left out, because nodes of ComfyUI may put anything there; but an error always has its
// text.
func readEntry(promptID string, data json.RawMessage) (*nodebus.Outcome, error) {
	var e entry
	if err := json.Unmarshal(data, &e); err != nil || data[0] != '{' {
		if e, err = readParts(data); err != nil {
			return nil, fmt.Errorf("the record of prompt %s: %w", promptID, err)
		}
	}
	o := &nodebus.Outcome{PromptID: promptID, State: nodebus.Succeeded, Attempt: 1, Outputs: readOutputs(&e)}
	if e.Status != nil {
		if e.Status.Text == "error" {
			o.State = nodebus.Failed
		}
		for _, m := range e.Status.Messages {
			readMessage(o, m)
		}
	}
	if d := e.Detail; d != nil {
		o.State, o.Attempt = cmp.Or(d.State, o.State), max(d.Attempt, 1)
		o.Errors, o.Nodes, o.NodesLeftOut = d.Errors, d.Nodes, d.NodesLeftOut
		o.Rejected = invalidPrompt(d.Rejected)
	}
	return o, nil
}

// readParts reads an entry if one of its parts has an unknown form.
func readParts(data json.RawMessage) (e entry, err error) {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil {
		return e, err
	}
	if parts == nil {
		return e, errors.New("not an object")
	}
	e.Outputs = parts["outputs"]
	for name, to := range map[string]any{"status": &e.Status, "meta": &e.Meta, "nodebus": &e.Detail} {
		_ = json.Unmarshal(parts[name], to)
	}
	return e, nil
}

// readMessage takes from a message of the record what belongs to the outcome.
func readMessage(o *nodebus.Outcome, m [2]json.RawMessage) {
	var typ string
	_ = json.Unmarshal(m[0], &typ)
	switch typ {
	case "execution_start":
		var start nodebus.ExecutionStart
		if json.Unmarshal(m[1], &start) == nil {
			o.Attempt = max(start.Attempt, 1)
		}
	case "execution_error": // ComfyUI says success after it has found a cycle at run time
		o.State, o.Error = nodebus.Failed, readError(m[1])
	case "execution_interrupted":
		o.State, o.Error = nodebus.Interrupted, nil
	}
}

// readError reads an execution_error. If its form is unknown, its texts are still there.
func readError(data json.RawMessage) *nodebus.ExecutionError {
	e := new(nodebus.ExecutionError)
	if json.Unmarshal(data, e) == nil {
		return e
	}
	var parts map[string]any
	if json.Unmarshal(data, &parts) != nil {
		return &nodebus.ExecutionError{ExceptionMessage: string(data)}
	}
	text := func(name string) string {
		switch v := parts[name].(type) {
		case nil:
			return ""
		case string:
			return v
		default:
			return fmt.Sprint(v)
		}
	}
	return &nodebus.ExecutionError{
		PromptID: text("prompt_id"), NodeID: text("node_id"), Class: text("node_type"),
		ExceptionType: text("exception_type"), ExceptionMessage: text("exception_message"),
	}
}

// readOutputs reads what the nodes showed, in the order of the record.
func readOutputs(e *entry) (outputs []nodebus.NodeOutput) {
	_ = eachMember(e.Outputs, func(id string, data json.RawMessage) {
		ui := readUI(data)
		if ui == nil {
			return
		}
		outputs = append(outputs, nodebus.NodeOutput{Place: placeOf(id, e.Meta[id]), UI: ui})
	})
	return outputs
}

// readUI reads what a node showed. A value that should be a list and is none becomes a list
// with this value.
func readUI(data json.RawMessage) (ui nodebus.UI) {
	if json.Unmarshal(data, &ui) == nil {
		return ui
	}
	var parts map[string]json.RawMessage
	if json.Unmarshal(data, &parts) != nil {
		return nil
	}
	ui = make(nodebus.UI, len(parts))
	for name, part := range parts {
		var list nodebus.UI
		if wrapped := fmt.Appendf(nil, `{"v":%s}`, part); json.Unmarshal(wrapped, &list) != nil {
			_ = json.Unmarshal(fmt.Appendf(nil, `{"v":[%s]}`, part), &list)
		}
		ui[name] = list["v"]
	}
	return ui
}

// placeOf reads the place of a node that showed something. If two equal nodes of ComfyUI
// share a result, the place of one of them names the other; such a place is not used.
func placeOf(id string, meta json.RawMessage) nodebus.Place {
	var m struct {
		NodeID   string `json:"node_id"`
		Display  string `json:"display_node"`
		ParentID string `json:"parent_node"`
		RealID   string `json:"real_node_id"`
	}
	place := nodebus.Place{UniqueID: id}
	if json.Unmarshal(meta, &m) == nil && m.NodeID == id {
		place.DisplayID, place.ParentID, place.RealID = m.Display, m.ParentID, m.RealID
	}
	return place.WithDefaults()
}

// eachMember calls f for each member of a JSON object, in order.
func eachMember(object []byte, f func(name string, value json.RawMessage)) error {
	dec := json.NewDecoder(bytes.NewReader(object))
	if t, err := dec.Token(); err != nil {
		return err
	} else if t != json.Delim('{') {
		return errors.New("not an object")
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
		f(name.(string), value)
	}
	_, err := dec.Token()
	return err
}
