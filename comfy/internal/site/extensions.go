package site

import (
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/nodebus/nodebus/comfy/internal/web"
)

// ExtensionList answers GET /extensions with the paths of the scripts that the front
// end imports: first the server's own.
func (s *Site) ExtensionList(w http.ResponseWriter, _ *http.Request) {
	scripts := []string{}
	for _, name := range s.ownScripts() {
		scripts = append(scripts, "/extensions/"+ownPack+"/"+name)
	}
	for _, pack := range slices.Sorted(maps.Keys(s.Extensions)) {
		for _, file := range filesIn(s.Extensions[pack]) {
			if strings.EqualFold(path.Ext(file), ".js") {
				u := url.URL{Path: "/extensions/" + pack + "/" + file}
				scripts = append(scripts, u.EscapedPath())
			}
		}
	}
	web.Answer(w, http.StatusOK, scripts)
}

// ExtensionFile answers GET /extensions/{pack}/{path}. If the pack is not in the
// options, it serves the file from the front end, which has its own packs. Where there is no
// file, it serves the help of a class of the pack.
func (s *Site) ExtensionFile(w http.ResponseWriter, r *http.Request) {
	name, path := r.PathValue("pack"), r.PathValue("path")
	if s.ownFile(w, r, name, path) {
		return
	}
	pack, ok := s.Extensions[name]
	from, file := pack, path
	if !ok {
		from, file = s.Frontend, strings.TrimPrefix(r.URL.Path, "/")
	}
	if (from == nil || !exists(from, file)) && s.packHelp(w, name, path) {
		return
	}
	s.serveHost(w, r, from, file)
}
