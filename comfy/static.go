package comfy

import (
	"embed"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/nodebus/nodebus/internal/files"
)

//go:embed page
var page embed.FS

// frontend are the files of the front end: the host's, or a page of our own.
func (s *Server) frontend() fs.FS {
	if s.opts.Frontend != nil {
		return s.opts.Frontend
	}
	own, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // the name is not valid
	}
	return own
}

// static answers whatever is no other route, from the front end's files.
func (s *Server) static(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" || name == "index.html" {
		name = "index.html"
		if s.opts.Frontend == nil {
			w.Header().Set("Content-Security-Policy", "default-src 'self'; img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		}
	}
	front := s.frontend()
	if !exists(front, name) {
		switch none := noTemplates(name); {
		case none != nil:
			answer(w, http.StatusOK, none)
			return
		case name == "user.css": // the front end's page asks for it
			w.Header().Set("Content-Type", active[".css"])
			done(w)
			return
		}
	}
	s.serveHost(w, r, front, name)
}

func exists(from fs.FS, name string) bool {
	if !fs.ValidPath(name) {
		return false
	}
	info, err := fs.Stat(from, name)
	return err == nil && info.Mode().IsRegular()
}

// serveHost answers with a file that the host gives. Browsers keep pictures.
func (s *Server) serveHost(w http.ResponseWriter, r *http.Request, from fs.FS, name string) {
	clean, err := files.Clean(name)
	found := err == nil && clean == name && from != nil && exists(from, name)
	if strings.HasPrefix(hostType(path.Base(name)), "image/") && w.Header().Get("Cache-Control") == "" {
		age := "max-age=3600"
		if found {
			age = "max-age=86400"
		}
		w.Header().Set("Cache-Control", "public, "+age)
	}
	if !found {
		w.Header().Set("Content-Type", inert[".txt"])
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "404: Not Found") // in the reference's words
		return
	}
	s.serveFile(w, r, from, name, hostType(name))
}
