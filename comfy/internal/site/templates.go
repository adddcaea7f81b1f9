package site

import (
	"net/http"
	"path"
	"strings"

	"github.com/nodebus/nodebus/comfy/internal/web"
)

// TemplateList answers GET /workflow_templates with the names of the workflows in
// each pack.
func (s *Site) TemplateList(w http.ResponseWriter, _ *http.Request) {
	packs := map[string][]string{}
	for pack, from := range s.Templates {
		for _, file := range filesIn(from) {
			if name, is := strings.CutSuffix(file, ".json"); is {
				packs[pack] = append(packs[pack], name)
			}
		}
	}
	web.Answer(w, http.StatusOK, packs)
}

// TemplateFile answers GET /workflow_templates/{pack}/{path} with a workflow or
// the picture beside it.
func (s *Site) TemplateFile(w http.ResponseWriter, r *http.Request) {
	pack, name, _ := strings.Cut(r.PathValue("path"), "/")
	s.serveHost(w, r, s.Templates[pack], name)
}

// noTemplates returns the empty list that the server sends if the front end has no
// templates of its own. The front end always requests these lists: one list of
// templates for each language, and a list of logos. For other paths noTemplates
// returns nil.
func noTemplates(name string) any {
	if name == "templates/index_logo.json" {
		return map[string]string{}
	}
	if is, _ := path.Match("templates/index*.json", name); is && !strings.Contains(name, "index_") {
		return []string{}
	}
	return nil
}

// Translations answers GET /i18n with the translations from the options.
func (s *Site) Translations(w http.ResponseWriter, _ *http.Request) {
	if s.I18n == nil {
		web.Answer(w, http.StatusOK, struct{}{})
		return
	}
	web.Answer(w, http.StatusOK, s.I18n)
}
