package info

import (
	"net/http"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/flow"
)

// Classes answers GET /object_info with the descriptions of all classes, and
// GET /object_info/{class} with the description of one class. If the class is not
// known, the answer is an empty object and not an error.
func (s *Info) Classes(w http.ResponseWriter, r *http.Request) {
	classes := web.Object{}
	_, name, _ := strings.Cut(r.URL.Path, "/object_info")
	if name = strings.Trim(name, "/"); name != "" {
		if c, ok := s.Registry.Class(name); ok {
			s.describe(&classes, c)
		}
	} else {
		for c := range s.Registry.Classes() {
			s.describe(&classes, c)
		}
	}
	web.Answer(w, http.StatusOK, classes)
}

// Replacements answers GET /node_replacements with what becomes of the nodes of old
// classes. ComfyUI can have several replacements for a class, but uses only the first.
func (s *Info) Replacements(w http.ResponseWriter, _ *http.Request) {
	all := web.Object{}
	for rep := range s.Registry.Replacements() {
		replaced, err := web.Encode([]any{rep})
		if err != nil {
			s.Logger.Error("replacement not described", "class", rep.Old, "error", err)
			continue
		}
		all.Add(rep.Old, replaced)
	}
	web.Answer(w, http.StatusOK, all)
}

// describe adds the description of a class. If the choices of an input cannot be
// read, or if the description cannot be encoded as JSON, describe logs the error
// and leaves the class out.
func (s *Info) describe(to *web.Object, c *flow.Class) {
	var text []byte
	err := nodebus.Protect(func() (err error) { text, err = c.Schema().MarshalJSON(); return err })
	if err != nil {
		s.Logger.Error("class not described", "class", c.Name(), "error", err)
		return
	}
	to.Add(c.Name(), web.Raw(text))
}
