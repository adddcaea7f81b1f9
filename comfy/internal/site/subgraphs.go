package site

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/nodebus/nodebus/comfy/internal/web"
)

// blueprint is a file of a pack of subgraphs. It is a workflow whose first node is a subgraph,
// and the front end offers it as a node.
type blueprint struct {
	pack, path string
}

// id returns what the front end calls the blueprint. It is the same after a restart, because
// the bookmarks of users have it.
func (b blueprint) id() string {
	sum := sha256.Sum256([]byte(b.pack + "/" + b.path))
	return hex.EncodeToString(sum[:])
}

// blueprints returns all files that may be blueprints.
func (s *Site) blueprints() (all []blueprint) {
	for _, pack := range slices.Sorted(maps.Keys(s.Subgraphs)) {
		for _, file := range filesIn(s.Subgraphs[pack]) {
			if path.Ext(file) == ".json" {
				all = append(all, blueprint{pack, file})
			}
		}
	}
	return all
}

// SubgraphList answers GET /global_subgraphs with what the blueprints are called, by id.
// A file that is no blueprint is logged and left out: the front end would show an error to
// every user.
func (s *Site) SubgraphList(w http.ResponseWriter, _ *http.Request) {
	list := web.Object{}
	for _, b := range s.blueprints() {
		entry, _, err := s.readBlueprint(b)
		if err != nil {
			s.Sender.Logger.Warn("subgraph not offered", "pack", b.pack, "file", b.path, "error", err)
			continue
		}
		list.Add(b.id(), entry)
	}
	web.Answer(w, http.StatusOK, list)
}

// Subgraph answers GET /global_subgraphs/{id} with a blueprint and its workflow, which is JSON in
// a string; or with null, if there is none of this id.
func (s *Site) Subgraph(w http.ResponseWriter, r *http.Request) {
	for _, b := range s.blueprints() {
		if b.id() != r.PathValue("id") {
			continue
		}
		if entry, text, err := s.readBlueprint(b); err == nil {
			entry.Add("data", text)
			web.Answer(w, http.StatusOK, entry)
			return
		}
	}
	web.Answer(w, http.StatusOK, nil)
}

// workflow is what readBlueprint needs of a workflow, as the front end saves it.
type workflow struct {
	Nodes []struct {
		Type string `json:"type"`
	} `json:"nodes"`
	Definitions struct {
		Subgraphs []subgraph `json:"subgraphs"`
	} `json:"definitions"`
	Extra struct {
		Aliases []string `json:"BlueprintSearchAliases"`
	} `json:"extra"`
}

type subgraph struct {
	ID         string `json:"id"`
	Category   string `json:"category"`
	Essentials string `json:"essentials_category"`
}

// readBlueprint returns what the front end learns of a blueprint, and its workflow. Where to
// show it and by which words to find it is in the workflow; the front end reads it there only
// for the blueprints of the user.
func (s *Site) readBlueprint(b blueprint) (entry web.Object, text string, err error) {
	data, err := fs.ReadFile(s.Subgraphs[b.pack], b.path)
	if err != nil {
		return nil, "", err
	}
	var all workflow
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, "", err
	}
	subgraphs := all.Definitions.Subgraphs
	if len(all.Nodes) == 0 || !slices.ContainsFunc(subgraphs, func(s subgraph) bool { return s.ID == all.Nodes[0].Type }) {
		return nil, "", errors.New("the file is no workflow whose first node is a subgraph that the file defines")
	}
	info := web.Object{{"node_pack", b.pack}}
	if category := subgraphs[0].Category; category != "" {
		info.Add("category", category)
	}
	if all.Extra.Aliases != nil {
		info.Add("search_aliases", all.Extra.Aliases)
	}
	entry = web.Object{{"source", "custom_node"}, {"name", strings.TrimSuffix(path.Base(b.path), ".json")}, {"info", info}}
	if essentials := subgraphs[0].Essentials; essentials != "" {
		entry.Add("essentials_category", essentials)
	}
	return entry, string(data), nil
}
