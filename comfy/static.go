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

// frontend returns the files of the front end from the options, or the built-in
// page.
func (s *Server) frontend() fs.FS {
	if s.opts.Frontend != nil {
		return s.opts.Frontend
	}
	own, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // cannot happen: the name is valid
	}
	return own
}

// static answers each GET request that no other route matches, with a file of the
// front end.
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
		case name == "user.css": // the page of the front end always requests it
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

// serveHost answers with a file of the host program, or with status 404. Browsers
// may cache a picture for a day, and a missing picture for an hour.
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
		_, _ = io.WriteString(w, "404: Not Found") // the text that ComfyUI sends
		return
	}
	s.serveFile(w, r, from, name, hostType(name))
}
