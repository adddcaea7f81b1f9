package comfy

import (
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// extensions answers GET /extensions: the scripts that the front end is to
// import.
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

// packFiles are the files of a pack, which may be nil.
func packFiles(pack fs.FS) []hostFile {
	if pack == nil {
		return nil
	}
	return hostFiles(pack)
}

// extensionFile answers GET /extensions/{pack}/{path}. The front end has packs
// of its own.
func (s *Server) extensionFile(w http.ResponseWriter, r *http.Request) {
	pack, ok := s.opts.Extensions[r.PathValue("pack")]
	if !ok {
		s.static(w, r)
		return
	}
	s.serveHost(w, r, pack, r.PathValue("path"))
}
