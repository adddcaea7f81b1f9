// Package site serves what the host program hands out: the front end, packs of extensions, of
// templates and of subgraphs, the help of classes, translations, and the lists and
// the previews of models.
package site

import (
	"encoding/json"
	"io/fs"

	"github.com/nodebus/nodebus/comfy/internal/content"
	"github.com/nodebus/nodebus/flow"
)

// Site serves the files of the host program. Its fields must not change once it serves. A
// nil map has no packs and no folders.
type Site struct {
	Frontend   fs.FS  // must not be nil
	Policy     string // the Content-Security-Policy of the page of Frontend; "" for none
	Official   bool   // Frontend is one that imports extensions
	Extensions map[string]fs.FS
	Templates  map[string]fs.FS
	Subgraphs  map[string]fs.FS
	Models     map[string]fs.FS
	First      json.RawMessage // the workflow that Frontend shows in place of its default, see IsWorkflow; nil for none
	I18n       map[string]any  // must have a JSON form
	Registry   *flow.Registry  // its classes have help
	Sender     content.Sender
}
