package flow

import (
	"runtime"
	"sync"
	"weak"

	"github.com/nodebus/nodebus"
)

// positions has the place of each node id of the prompts that calls of [Class.Call] have
// looked up. The first node stands for its prompt. An entry lives as long as the nodes.
var positions sync.Map // of weak.Pointer[nodebus.NodeSpec] to map[string]int

// scanMost is the largest number of nodes where a search needs no map.
const scanMost = 64

// positionOf returns the number of the node with this id; -1 if there is none. Many calls may
// ask about the same large prompt, so the search for all of them takes one pass.
func positionOf(nodes nodebus.Nodes, id string) int {
	if len(nodes) <= scanMost {
		return scan(nodes, id)
	}
	key := weak.Make(&nodes[0])
	known, ok := positions.Load(key)
	if !ok {
		all := make(map[string]int, len(nodes))
		for i := range nodes {
			if _, twice := all[nodes[i].ID]; !twice {
				all[nodes[i].ID] = i
			}
		}
		if known, ok = positions.LoadOrStore(key, all); !ok {
			runtime.AddCleanup(&nodes[0], func(key weak.Pointer[nodebus.NodeSpec]) { positions.Delete(key) }, key)
		}
	}
	if i, ok := known.(map[string]int)[id]; ok && i < len(nodes) && nodes[i].ID == id {
		return i
	}
	return scan(nodes, id) // the owner has changed the nodes
}

func scan(nodes nodebus.Nodes, id string) int {
	for i := range nodes {
		if nodes[i].ID == id {
			return i
		}
	}
	return -1
}
