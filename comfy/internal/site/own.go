package site

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"

	"github.com/nodebus/nodebus/comfy/internal/web"
)

// ownPack is the name of the pack with the server's own scripts for the official front end.
// A pack of this name in Extensions takes its place.
const ownPack = "nodebus"

// The server's own scripts. firstFile is not a script: firstScript asks for it.
const (
	totalScript = "total.js"
	firstScript = "first.js"
	firstFile   = "first.json"
)

//go:embed scripts
var scriptFiles embed.FS

// own returns the server's own scripts for the official front end.
func own() fs.FS {
	scripts, err := fs.Sub(scriptFiles, "scripts")
	if err != nil {
		panic(err) // cannot happen: the name is valid
	}
	return scripts
}

// ownScripts lists the server's own scripts that the front end imports.
func (s *Site) ownScripts() []string {
	if _, replaced := s.Extensions[ownPack]; replaced || !s.Official {
		return nil
	}
	scripts := []string{}
	if s.First != nil {
		scripts = append(scripts, firstScript)
	}
	return append(scripts, totalScript)
}

// ownFile answers GET /extensions/nodebus/{name} with a file of the server's own. served is
// false if there is none of this name; then ownFile has not answered.
func (s *Site) ownFile(w http.ResponseWriter, r *http.Request, pack, name string) (served bool) {
	if pack != ownPack {
		return false
	}
	for _, script := range s.ownScripts() {
		switch {
		case name == script:
			s.serveHost(w, r, own(), name)
			return true
		case name == firstFile && script == firstScript:
			w.Header().Set("Cache-Control", "no-cache")
			web.Answer(w, http.StatusOK, s.First)
			return true
		}
	}
	return false
}

// IsWorkflow reports whether text is a workflow in the format of the official front end: a
// JSON object with a list of nodes.
func IsWorkflow(text json.RawMessage) bool {
	var workflow struct {
		Nodes []json.RawMessage `json:"nodes"`
	}
	return json.Unmarshal(text, &workflow) == nil && workflow.Nodes != nil
}
