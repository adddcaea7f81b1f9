package comfy

import (
	"bufio"
	"maps"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// features answers GET /features with the feature flags of the server.
func (s *Server) features(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, s.flags())
}

// flags returns the feature flags of the server. It does not announce the newer
// layout of progress text: clients that know this flag would expect the newer
// layout always, and older clients cannot read it.
func (s *Server) flags() map[string]any {
	flags := map[string]any{}
	maps.Copy(flags, s.opts.Features)
	flags["supports_preview_metadata"] = true
	flags["node_replacements"] = true // without it, front ends do not ask for them
	flags["max_upload_size"] = s.opts.MaxBody
	return flags
}

// systemStats answers GET /system_stats, which clients request when they start. It
// does not show the command line, because that may contain secrets.
func (s *Server) systemStats(w http.ResponseWriter, _ *http.Request) {
	total, free := memory()
	answer(w, http.StatusOK, object{
		{"system", object{
			{"os", runtime.GOOS},
			{"ram_total", total},
			{"ram_free", free},
			{"comfyui_version", s.opts.Version},
			{"required_frontend_version", nil},
			{"installed_templates_version", nil},
			{"required_templates_version", nil},
			{"python_version", runtime.Version()},
			{"pytorch_version", ""},
			{"embedded_python", false},
			{"argv", []string{}},
		}},
		{"devices", []object{{
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
