package comfy

import (
	"net/http"

	"github.com/nodebus/nodebus/js"
)

// routes registers every route. The routes of the first map exist twice, with and
// without the prefix /api.
func (s *Server) routes() {
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /ws": s.socket,

		"GET /prompt":            s.promptInfo,
		"POST /prompt":           s.promptSubmit,
		"GET /queue":             s.queueList,
		"POST /queue":            s.queueChange,
		"GET /history":           s.historyList,
		"GET /history/{id}":      s.historyOne,
		"POST /history":          s.historyChange,
		"POST /interrupt":        s.interrupt,
		"POST /nodebus/answer":   s.answerQuestion,
		"GET /nodebus/queue":     s.queueState,
		"POST /nodebus/queue":    s.queueOrderChange,
		"GET /nodebus/runs":      s.runPreview,
		"POST /nodebus/runs":     s.runSubmit,
		"GET /nodebus/runs/{id}": s.runShow,
		"POST /free":             s.free,
		"GET /features":          s.features,
		"GET /system_stats":      s.systemStats,
		"GET /object_info":       s.objectInfo,
		"GET /object_info/":      s.objectInfo, // one class, or all classes if nothing follows the slash
		"GET /extensions":        s.extensions,
		"GET /i18n":              s.i18n,
		"GET /userdata":          s.userdataList,
		"GET /users":             s.usersList,
		"POST /users":            s.usersAdd,
		"GET /settings":          s.settingsAll,
		"POST /settings":         s.settingsMerge,
		"GET /settings/{id}":     s.settingGet,
		"POST /settings/{id}":    s.settingSet,

		"GET /v2/userdata":                  s.userdataTree,
		"GET /userdata/{file}":              s.userdataGet,
		"POST /userdata/{file}":             s.userdataPut,
		"DELETE /userdata/{file}":           s.userdataDelete,
		"POST /userdata/{file}/move/{dest}": s.userdataMove,
		"GET /view":                         s.view,
		"POST /upload/image":                s.uploadImage,
		"POST /upload/mask":                 s.uploadMask,
		"GET /embeddings":                   s.embeddings,
		"GET /models":                       s.modelFolders,
		"GET /models/{folder}":              s.modelFiles,
		"GET /experiment/models":            s.experimentFolders,
		"GET /experiment/models/{folder}":   s.experimentFiles,
		"GET /view_metadata/{folder}":       s.modelMetadata,
		"GET /workflow_templates":           s.templateList,
		"GET /workflow_templates/{path...}": s.templateFile,
		"GET /global_subgraphs":             empty,
		"GET /global_subgraphs/{id}":        empty,
		"GET /node_replacements":            s.nodeReplacements,
	} {
		s.mux.HandleFunc(pattern, h)
		s.mux.HandleFunc(twin(pattern), h)
	}
	for _, name := range []string{"nodebus.js", "nodebus.d.ts"} { // the client for pages
		s.mux.Handle("GET /nodebus/"+name, js.Handler())
		s.mux.Handle("GET /api/nodebus/"+name, js.Handler())
	}
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /api/jobs":              s.jobList,
		"GET /api/jobs/{id}":         s.jobOne,
		"POST /api/jobs/{id}/cancel": s.jobCancel,
		"POST /api/jobs/cancel":      s.jobsCancel,

		"GET /internal/logs":             s.logText,
		"GET /internal/logs/raw":         s.logEntries,
		"PATCH /internal/logs/subscribe": s.logSubscribe,
		"GET /internal/folder_paths":     s.folderPaths,
		"GET /internal/files/{folder}":   s.folderFiles,

		"GET /extensions/{pack}":           s.extensionFile, // without this the mux would redirect to the path with a slash
		"GET /extensions/{pack}/{path...}": s.extensionFile,
		"GET /docs/{path...}":              s.coreHelp,
		"GET /":                            s.static,
	} {
		s.mux.HandleFunc(pattern, h)
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

// empty answers with an empty JSON object.
func empty(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, struct{}{}) }
