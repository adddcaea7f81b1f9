package site

import (
	"io"
	"net/http"
	"strings"

	"github.com/nodebus/nodebus/flow"
)

// Help answers GET /docs/{class}/{locale}.md with the help of a class. A file of the
// front end comes before it. The name of the class may contain slashes.
func (s *Site) Help(w http.ResponseWriter, r *http.Request) {
	if exists(s.Frontend, strings.TrimPrefix(r.URL.Path, "/")) {
		s.Static(w, r)
		return
	}
	name, page := cutLast(r.PathValue("path"))
	if c, ok := s.Registry.Class(name); ok && strings.HasSuffix(page, ".md") && writeHelp(w, c) {
		return
	}
	s.Static(w, r)
}

// packHelp writes the help of a class that belongs to a pack, if path is the address of help:
// docs/{class}/{locale}.md or docs/{class}.md. The front end asks for the first and then for
// the second, so a file of the pack at the second address also comes before the help at the
// first. packHelp returns false if there is no help; the caller must have looked for a file at
// path.
func (s *Site) packHelp(w http.ResponseWriter, pack, path string) bool {
	name, inDocs := strings.CutPrefix(path, "docs/")
	name, isMarkdown := strings.CutSuffix(name, ".md")
	if !inDocs || !isMarkdown {
		return false
	}
	c, ok := s.Registry.Class(name)
	if !ok || packOf(c) != pack {
		name, _ = cutLast(name)
		if files := s.Extensions[pack]; files != nil && exists(files, "docs/"+name+".md") {
			return false
		}
		c, ok = s.Registry.Class(name)
	}
	return ok && packOf(c) == pack && writeHelp(w, c)
}

// packOf returns the name of the pack that a class belongs to, as the front end takes it from
// the module; "" if the class belongs to no pack.
func packOf(c *flow.Class) string {
	name, is := strings.CutPrefix(c.Schema().Module, "custom_nodes.")
	if !is {
		return ""
	}
	name, _, _ = strings.Cut(name, ".")
	name, _, _ = strings.Cut(name, "@") // a version
	return name
}

// writeHelp answers with the help of a class. It returns false if there is none.
func writeHelp(w http.ResponseWriter, c *flow.Class) bool {
	help := c.Schema().Help
	if help == "" {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", "text/markdown; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusOK) // routers may have noted another status
	_, _ = io.WriteString(w, help)
	return true
}

// cutLast cuts a path at its last slash. Without a slash, before is empty.
func cutLast(path string) (before, after string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}
