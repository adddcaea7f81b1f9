package flow

import (
	"github.com/nodebus/nodebus"
)

// notAPrompt returns what to do if the nodes are the members of something else that people
// take for a prompt; otherwise "".
func notAPrompt(nodes nodebus.Nodes) string {
	const (
		hasNodes = 1 << iota
		hasLinks
		hasPrompt
		hasOutput
		hasWorkflow
	)
	found := 0
	for i := range nodes {
		s := &nodes[i]
		noNode := s.Malformed != ""        // not an object
		object := !noNode && s.Class == "" // an object, but no node
		switch {
		case s.ID == "nodes" && noNode:
			found |= hasNodes
		case s.ID == "links" && noNode:
			found |= hasLinks
		case s.ID == "prompt" && object:
			found |= hasPrompt
		case s.ID == "output" && object:
			found |= hasOutput
		case s.ID == "workflow" && object:
			found |= hasWorkflow
		}
	}
	switch {
	case found&hasNodes != 0 && found&hasLinks != 0:
		return "; this is a workflow in the format of the front end, with nodes and links: export it in the API format"
	case found&hasPrompt != 0:
		return "; this is the body of a request: the nodes are what it has under prompt"
	case found&hasOutput != 0 && found&hasWorkflow != 0:
		return "; this is an object of two formats: the nodes are what it has under output"
	}
	return ""
}
