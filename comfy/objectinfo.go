package comfy

import (
	"net/http"
	"strings"

	"github.com/nodebus/nodebus/flow"
)

// objectInfo answers GET /object_info with the descriptions of all classes, and
// GET /object_info/{class} with the description of one class. If the class is not
// known, the answer is an empty object and not an error.
func (s *Server) objectInfo(w http.ResponseWriter, r *http.Request) {
	classes := object{}
	_, name, _ := strings.Cut(r.URL.Path, "/object_info")
	if name = strings.Trim(name, "/"); name != "" {
		if c, ok := s.reg.Class(name); ok {
			s.describe(&classes, c)
		}
	} else {
		for c := range s.reg.Classes() {
			s.describe(&classes, c)
		}
	}
	answer(w, http.StatusOK, classes)
}

// nodeReplacements answers GET /node_replacements with what becomes of the nodes of old
// classes. ComfyUI can have several replacements for a class, but uses only the first.
func (s *Server) nodeReplacements(w http.ResponseWriter, _ *http.Request) {
	all := object{}
	for rep := range s.reg.Replacements() {
		all.add(rep.Old, []any{rep})
	}
	answer(w, http.StatusOK, all)
}

// describe adds the description of a class. If the choices of an input cannot be
// read, or if the description cannot be encoded as JSON, describe logs the error
// and leaves the class out.
func (s *Server) describe(to *object, c *flow.Class) {
	text, err := c.Schema().MarshalJSON()
	if err != nil {
		s.opts.Logger.Error("class not described", "class", c.Name(), "error", err)
		return
	}
	to.add(c.Name(), rawJSON(text))
}
