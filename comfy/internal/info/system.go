package info

import (
	"bufio"
	"maps"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/nodebus/nodebus/comfy/internal/web"
)

// Features answers GET /features with the feature flags of the server.
func (s *Info) Features(w http.ResponseWriter, _ *http.Request) {
	web.Answer(w, http.StatusOK, s.Flags())
}

// Flags returns the feature flags of the server. Front ends call the routes of a flag that is
// true, so the server announces only what it serves: no assets, no model folders that assets
// have as tags, and no manager of custom nodes, unless the host program serves them and says
// so in its own flags. It does not announce the newer layout of progress text: clients that
// know this flag would expect the newer layout always, and older clients cannot read it.
func (s *Info) Flags() map[string]any {
	flags := maps.Clone(s.Extra)
	if flags == nil {
		flags = map[string]any{}
	}
	if of, is := flags["extension"].(map[string]any); is || flags["extension"] == nil {
		extension := map[string]any{"manager": map[string]any{"supports_v4": false}}
		maps.Copy(extension, of)
		flags["extension"] = extension
	}
	flags["supports_preview_metadata"] = true
	flags["node_replacements"] = true // without it, front ends do not ask for them
	flags["max_upload_size"] = s.MaxBody
	return flags
}

// SystemStats answers GET /system_stats, which clients request when they start. It
// does not show the command line, because that may contain secrets.
func (s *Info) SystemStats(w http.ResponseWriter, _ *http.Request) {
	total, free := memory()
	web.Answer(w, http.StatusOK, web.Object{
		{"system", web.Object{
			{"os", runtime.GOOS},
			{"ram_total", total},
			{"ram_free", free},
			{"comfyui_version", s.Version},
			{"required_frontend_version", nil},
			{"installed_templates_version", nil},
			{"required_templates_version", nil},
			{"comfy_package_versions", []string{}}, // a front end warns of packages that are too old
			{"deploy_environment", "nodebus"},
			{"python_version", runtime.Version()},
			{"pytorch_version", ""},
			{"embedded_python", false},
			{"argv", []string{}},
		}},
		{"devices", []web.Object{{
			{"name", "cpu"},
			{"type", "cpu"},
			{"index", nil},
			{"vram_total", total},
			{"vram_free", free},
			{"torch_vram_total", total},
			{"torch_vram_free", free},
		}}},
	})
}

// memory returns the total and the free memory of the machine in bytes, or 0 on
// systems where it cannot be read.
func memory() (total, free uint64) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseUint(fields[1], 10, 64)
		switch fields[0] {
		case "MemTotal:":
			total = kib << 10
		case "MemAvailable:":
			free = kib << 10
		}
	}
	return total, free
}
