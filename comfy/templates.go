package comfy

import (
	"net/http"
	"path"
	"strings"
)

// templateList answers GET /workflow_templates: the names of the workflows of
// each pack.
func (s *Server) templateList(w http.ResponseWriter, _ *http.Request) {
	packs := map[string][]string{}
	for pack, from := range s.opts.Templates {
		for _, f := range packFiles(from) {
			if name, is := strings.CutSuffix(f.path, ".json"); is {
				packs[pack] = append(packs[pack], name)
			}
		}
	}
	answer(w, http.StatusOK, packs)
}

// templateFile answers GET /workflow_templates/{pack}/{path}: a workflow, or the
// picture beside it.
func (s *Server) templateFile(w http.ResponseWriter, r *http.Request) {
	pack, name, _ := strings.Cut(r.PathValue("path"), "/")
	s.serveHost(w, r, s.opts.Templates[pack], name)
}

// noTemplates is what answers for a list of the front end's own templates, in
// some language, or of their makers' logos, if there is none: the front end asks
// whether it has any or not. It is nil for other paths.
func noTemplates(name string) any {
	if name == "templates/index_logo.json" {
		return map[string]string{}
	}
	if is, _ := path.Match("templates/index*.json", name); is && !strings.Contains(name, "index_") {
		return []string{}
	}
	return nil
}

// i18n answers GET /i18n.
func (s *Server) i18n(w http.ResponseWriter, _ *http.Request) {
	if s.opts.I18n == nil {
		empty(w, nil)
		return
	}
	answer(w, http.StatusOK, s.opts.I18n)
}
