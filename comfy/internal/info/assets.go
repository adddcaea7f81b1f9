package info

import (
	"net/http"

	"github.com/nodebus/nodebus/comfy/internal/web"
)

// Assets answers every route of assets with status 503, as ComfyUI does where assets are
// disabled. Clients then use the folders of files and the list of jobs.
func (s *Info) Assets(w http.ResponseWriter, _ *http.Request) {
	web.Answer(w, http.StatusServiceUnavailable, web.Object{{"error", web.Object{
		{"code", "SERVICE_DISABLED"}, {"message", "This server has no assets: list files with /internal/files/output, and outputs with /api/jobs"}, {"details", web.Object{}},
	}}})
}
