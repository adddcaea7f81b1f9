package site

import (
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/nodebus/nodebus/comfy/internal/content"
	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/internal/files"
)

// Static answers each GET request that no other route matches, with a file of the
// front end.
func (s *Site) Static(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" || name == "index.html" {
		name = "index.html"
		if s.Policy != "" {
			w.Header().Set("Content-Security-Policy", s.Policy)
		}
	}
	front := s.Frontend
	if !exists(front, name) {
		switch none := noTemplates(name); {
		case none != nil:
			web.Answer(w, http.StatusOK, none)
			return
		case name == "user.css": // the page of the front end always requests it
			w.Header().Set("Content-Type", content.HostType("user.css"))
			web.Done(w)
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

// servePack is serveHost for a file of a pack, whose hidden files are not served.
func (s *Site) servePack(w http.ResponseWriter, r *http.Request, pack fs.FS, name string) {
	if isHidden(name) {
		pack = nil
	}
	s.serveHost(w, r, pack, name)
}

// serveHost answers with a file of the host program, or with status 404. Browsers
// may cache a picture for a day, and a missing picture for an hour.
func (s *Site) serveHost(w http.ResponseWriter, r *http.Request, from fs.FS, name string) {
	clean, err := files.Clean(name)
	found := err == nil && clean == name && from != nil && exists(from, name)
	if strings.HasPrefix(content.HostType(path.Base(name)), "image/") && w.Header().Get("Cache-Control") == "" {
		age := "max-age=3600"
		if found {
			age = "max-age=86400"
		}
		w.Header().Set("Cache-Control", "public, "+age)
	}
	if !found {
		w.Header().Set("Content-Type", content.ClientType("404.txt"))
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "404: Not Found") // the text that ComfyUI sends
		return
	}
	s.Sender.Send(w, r, from, name, content.HostType(name))
}
