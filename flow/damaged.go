package flow

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// invalidNode returns the error for a node that is damaged although it has a class. ComfyUI
// has no error of its own for such nodes: it answers with status 500, or its run fails.
func invalidNode(s *nodebus.NodeSpec, message, hint string) *nodebus.ValidationError {
	return promptError("invalid_node", message, aboutNode(s)+hint)
}

// damaged returns the error for a node that cannot be read; nil if it can. twice is true if
// an earlier node has the same id.
func damaged(s *nodebus.NodeSpec, twice bool, all nodebus.Nodes) *nodebus.ValidationError {
	problem := s.Malformed
	switch {
	case s.Class == "" && (problem == "" || !twice):
		hint := notAPrompt(all)
		if hint == "" && problem != "" {
			hint = "; the node " + problem
		}
		return missingClass(s, hint)
	case problem != "":
	case s.ID == "":
		problem = "has an empty id"
	case twice:
		problem = "appears twice"
	default:
		return nil
	}
	return invalidNode(s, "Cannot execute because a node "+problem+".", notAPrompt(all))
}

// missingNodeType is the type of the error for a node whose class is not known. The front
// end marks the node by its extra data.
const missingNodeType = "missing_node_type"

// missingClass returns the error for a node that does not name a class.
func missingClass(s *nodebus.NodeSpec, hint string) *nodebus.ValidationError {
	var title any
	if text := titleOf(s); text != "" {
		title = text
	}
	shown := cmp.Or(titleOf(s), "ID #"+value.Shorten(s.ID))
	e := promptError(missingNodeType, fmt.Sprintf("Node '%s' has no class_type. The workflow may be corrupted or a custom node is missing.", shown), aboutNode(s)+hint)
	e.Extra = map[string]any{"node_id": value.Shorten(s.ID), "class_type": nil, "node_title": title}
	return e
}

// unknownClass returns the error for a node of a class that the registry does not have.
func unknownClass(s *nodebus.NodeSpec) *nodebus.ValidationError {
	class := value.Shorten(s.Class)
	title := cmp.Or(titleOf(s), class)
	e := promptError(missingNodeType, fmt.Sprintf("Node '%s' not found. The custom node may not be installed.", title), aboutNode(s))
	e.Extra = map[string]any{"node_id": value.Shorten(s.ID), "class_type": class, "node_title": title}
	return e
}

// titleOf returns the title that the user has given to a node; "" if there is none.
func titleOf(s *nodebus.NodeSpec) string {
	var meta map[string]any
	if json.Unmarshal(s.Meta, &meta) != nil {
		return ""
	}
	title, _ := meta["title"].(string)
	return value.Shorten(title)
}

// aboutNode is the text by which clients find the node of an error.
func aboutNode(s *nodebus.NodeSpec) string { return "Node ID '#" + value.Shorten(s.ID) + "'" }
