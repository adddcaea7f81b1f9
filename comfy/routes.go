package comfy

import (
	"net/http"

	"github.com/nodebus/nodebus/comfy/internal/content"
	"github.com/nodebus/nodebus/comfy/internal/jobs"
	"github.com/nodebus/nodebus/comfy/internal/media"
	"github.com/nodebus/nodebus/comfy/internal/runs"
	"github.com/nodebus/nodebus/comfy/internal/site"
	"github.com/nodebus/nodebus/comfy/internal/users"
	"github.com/nodebus/nodebus/js"
	"github.com/nodebus/nodebus/sse"
)

// routes registers every route.
func (s *Server) routes() {
	sender := content.Sender{Logger: s.opts.Logger}
	s.routesOfPrompts()
	s.routesOfRuns()
	s.routesOfFiles(sender)
	s.routesOfUsers(sender)
	s.routesOfSite(sender)
}

// twins registers routes that exist twice, with and without the prefix /api.
func (s *Server) twins(routes map[string]http.HandlerFunc) {
	for pattern, h := range routes {
		s.mux.HandleFunc(pattern, h)
		s.mux.HandleFunc(twin(pattern), h)
	}
}

// plain registers routes that exist once.
func (s *Server) plain(routes map[string]http.HandlerFunc) {
	for pattern, h := range routes {
		s.mux.HandleFunc(pattern, h)
	}
}

// routesOfPrompts registers the routes that submit prompts, and show and change them.
func (s *Server) routesOfPrompts() {
	j := &jobs.Jobs{
		Engine: s.engine, Hub: s.hub, Logger: s.opts.Logger, Authorized: s.opts.Authorize != nil, TellRemoved: s.opts.TellRemoved,
	}
	s.twins(map[string]http.HandlerFunc{
		"GET /ws":              s.socket,
		"GET /prompt":          s.submit.Remaining,
		"POST /prompt":         s.submit.Prompt,
		"GET /queue":           j.QueueList,
		"POST /queue":          j.QueueChange,
		"GET /history":         j.HistoryList,
		"GET /history/{id}":    j.HistoryOne,
		"POST /history":        j.HistoryChange,
		"POST /interrupt":      j.Interrupt,
		"POST /free":           j.Free,
		"POST /nodebus/answer": j.Answer,
		"GET /nodebus/queue":   j.Order,
		"POST /nodebus/queue":  j.Reorder,
	})
	s.plain(map[string]http.HandlerFunc{
		"GET /api/jobs":              j.List,
		"GET /api/jobs/{id}":         j.One,
		"POST /api/jobs/{id}/cancel": j.Cancel,
		"POST /api/jobs/cancel":      j.CancelAll,
	})
}

// routesOfRuns registers the routes that follow one run.
func (s *Server) routesOfRuns() {
	all := &runs.Runs{
		Engine: s.engine, Hub: s.hub, Logger: s.opts.Logger, Authorized: s.opts.Authorize != nil,
		Streams: sse.New(s.hub, &sse.Options{Origins: s.opts.Origins, Hosts: s.opts.Hosts}),
		Accept:  s.submit.Submit, HeadStart: s.headStart,
		Enter: s.clients.follow, Leave: s.clients.unfollow, Closed: s.clients.ctx,
	}
	s.twins(map[string]http.HandlerFunc{
		"GET /nodebus/runs":      all.Preview,
		"POST /nodebus/runs":     all.Submit,
		"GET /nodebus/runs/{id}": all.Show,
	})
}

// routesOfFiles registers the routes of the input, output and temp folders.
func (s *Server) routesOfFiles(sender content.Sender) {
	m := media.New(media.Folders{Input: s.opts.Input, Output: s.opts.Output, Temp: s.opts.Temp}, s.opts.MaxBody, sender)
	s.twins(map[string]http.HandlerFunc{
		"GET /view":          m.View,
		"POST /upload/image": m.UploadImage,
		"POST /upload/mask":  m.UploadMask,
	})
	s.plain(map[string]http.HandlerFunc{
		"GET /internal/files/{folder}": m.Listing,
	})
}

// routesOfUsers registers the routes of users, their settings and their files.
func (s *Server) routesOfUsers(sender content.Sender) {
	u := users.New(s.opts.Data, s.opts.MultiUser, sender)
	s.twins(map[string]http.HandlerFunc{
		"GET /users":          u.List,
		"POST /users":         u.Add,
		"GET /settings":       u.SettingsAll,
		"POST /settings":      u.SettingsMerge,
		"GET /settings/{id}":  u.SettingGet,
		"POST /settings/{id}": u.SettingSet,

		"GET /userdata":                     u.FileList,
		"GET /v2/userdata":                  u.FileTree,
		"GET /userdata/{file}":              u.FileGet,
		"POST /userdata/{file}":             u.FilePut,
		"DELETE /userdata/{file}":           u.FileDelete,
		"POST /userdata/{file}/move/{dest}": u.FileMove,
	})
}

// routesOfSite registers the routes that describe the server, and the routes of the files of
// the host program.
func (s *Server) routesOfSite(sender content.Sender) {
	frontend, policy := s.opts.frontend()
	h := &site.Site{
		Official: s.opts.Frontend != nil, First: s.opts.first(),
		Frontend: frontend, Policy: policy, Extensions: s.opts.Extensions, Templates: s.opts.Templates, Models: s.opts.Models,
		Subgraphs: s.opts.Subgraphs, I18n: s.opts.I18n, Registry: s.engine.Registry(), Sender: sender,
	}
	s.twins(map[string]http.HandlerFunc{
		"GET /features":          s.info.Features,
		"GET /system_stats":      s.info.SystemStats,
		"GET /object_info":       s.info.Classes,
		"GET /object_info/":      s.info.Classes, // one class, or all classes if nothing follows the slash
		"GET /node_replacements": s.info.Replacements,

		"GET /i18n":                         h.Translations,
		"GET /extensions":                   h.ExtensionList,
		"GET /embeddings":                   h.Embeddings,
		"GET /models":                       h.ModelFolders,
		"GET /models/{folder}":              h.ModelFiles,
		"GET /experiment/models":            h.ExperimentFolders,
		"GET /experiment/models/{folder}":   h.ExperimentFiles,
		"GET /view_metadata/{folder}":       h.ModelMetadata,
		"GET /workflow_templates":           h.TemplateList,
		"GET /workflow_templates/{path...}": h.TemplateFile,
		"GET /global_subgraphs":             h.SubgraphList,
		"GET /global_subgraphs/{id}":        h.Subgraph,

		"GET /experiment/models/preview/{folder}/{index}/{file...}": h.ModelPreview,

		"GET /nodebus/nodebus.js":   js.Handler().ServeHTTP, // the client for pages
		"GET /nodebus/nodebus.d.ts": js.Handler().ServeHTTP,
	})
	s.plain(map[string]http.HandlerFunc{
		"GET /internal/logs":             s.terminal.Text,
		"GET /internal/logs/raw":         s.terminal.Entries,
		"PATCH /internal/logs/subscribe": s.terminal.Subscribe,
		"GET /internal/folder_paths":     h.FolderPaths,

		"GET /extensions/{pack}":           h.ExtensionFile, // without this the mux would redirect to the path with a slash
		"GET /extensions/{pack}/{path...}": h.ExtensionFile,
		"GET /docs/{path...}":              h.Help,
		"GET /":                            h.Static,
	})
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} { // without a method, they would conflict with GET /
		for _, path := range []string{"/api/assets", "/api/assets/{path...}", "/api/tags"} {
			s.mux.HandleFunc(method+" "+path, s.info.Assets)
		}
	}
}

// twin returns the pattern with the prefix /api in its path.
func twin(pattern string) string {
	for i := range pattern {
		if pattern[i] == '/' {
			return pattern[:i] + "/api" + pattern[i:]
		}
	}
	return pattern
}
