package site

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
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
// the bookmarks of users have it. The quotes keep the files of a pack "a/b" and of a folder b of
// a pack "a" apart.
func (b blueprint) id() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q/%q", b.pack, b.path))
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

// object is a JSON object.
type object map[string]json.RawMessage

// member returns a member of an object. It returns the zero value if there is none, or if it has
// another type.
func member[T any](o object, name string) (v T) {
	var read T
	if json.Unmarshal(o[name], &read) != nil {
		return v
	}
	return read
}

// readBlueprint returns what the front end learns of a blueprint, and its workflow. Where to
// show it and by which words to find it is in the workflow; the front end reads it there only
// for the blueprints of the user. An optional member of another type is as if it were not there.
func (s *Site) readBlueprint(b blueprint) (entry web.Object, text string, err error) {
	data, err := fs.ReadFile(s.Subgraphs[b.pack], b.path)
	if err != nil {
		return nil, "", err
	}
	var all object
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, "", err
	}
	nodes := member[[]object](all, "nodes")
	subgraphs := member[[]object](member[object](all, "definitions"), "subgraphs")
	isFirst := func(s object) bool {
		id := member[string](s, "id")
		return id != "" && id == member[string](nodes[0], "type")
	}
	if len(nodes) == 0 || !slices.ContainsFunc(subgraphs, isFirst) {
		return nil, "", errors.New("the file is no workflow whose first node is a subgraph that the file defines")
	}
	info := web.Object{{"node_pack", b.pack}}
	if category := member[string](subgraphs[0], "category"); category != "" {
		info.Add("category", category)
	}
	if aliases := member[[]string](member[object](all, "extra"), "BlueprintSearchAliases"); aliases != nil {
		info.Add("search_aliases", aliases)
	}
	entry = web.Object{{"source", "custom_node"}, {"name", strings.TrimSuffix(path.Base(b.path), ".json")}, {"info", info}}
	if essentials := member[string](subgraphs[0], "essentials_category"); essentials != "" {
		entry.Add("essentials_category", essentials)
	}
	return entry, string(data), nil
}
