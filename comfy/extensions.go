package comfy

import (
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// extensions answers GET /extensions with the paths of the scripts that the front
// end imports.
func (s *Server) extensions(w http.ResponseWriter, _ *http.Request) {
	scripts := []string{}
	for _, pack := range sortedKeys(s.opts.Extensions) {
		for _, f := range packFiles(s.opts.Extensions[pack]) {
			if strings.EqualFold(path.Ext(f.path), ".js") {
				u := url.URL{Path: "/extensions/" + pack + "/" + f.path}
				scripts = append(scripts, u.EscapedPath())
			}
		}
	}
	answer(w, http.StatusOK, scripts)
}

// packFiles returns the files of a pack. A nil pack has no files.
func packFiles(pack fs.FS) []hostFile {
	if pack == nil {
		return nil
	}
	return hostFiles(pack)
}

// extensionFile answers GET /extensions/{pack}/{path}. If the pack is not in the
// options, it serves the file from the front end, which has its own packs. Where there is no
// file, it serves the help of a class of the pack.
func (s *Server) extensionFile(w http.ResponseWriter, r *http.Request) {
	name, path := r.PathValue("pack"), r.PathValue("path")
	pack, ok := s.opts.Extensions[name]
	from, file := pack, path
	if !ok {
		from, file = s.frontend(), strings.TrimPrefix(r.URL.Path, "/")
	}
	if (from == nil || !exists(from, file)) && s.packHelp(w, name, path) {
		return
	}
	s.serveHost(w, r, from, file)
}
