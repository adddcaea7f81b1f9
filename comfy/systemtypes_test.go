package comfy_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNewest10_SystemStats: each member that a client of ComfyUI 0.38 reads has its type.
func TestNewest10_SystemStats(t *testing.T) {
	twins(t, "/system_stats", func(t *testing.T, path string) {
		stats := newHost(t, nil).get(path).(map[string]any)
		require.Equal(t, []string{"devices", "system"}, sortedNames(stats))
		system := stats["system"].(map[string]any)
		require.Equal(t, strings.Fields(`argv comfy_package_versions comfyui_version deploy_environment embedded_python installed_templates_version os
			python_version pytorch_version ram_free ram_total required_frontend_version required_templates_version`), sortedNames(system))
		require.Equal(t, []any{}, system["comfy_package_versions"])
		require.Equal(t, []any{}, system["argv"], "a list, or the front end fails")
		require.Regexp(t, `^\d+\.\d+\.\d+$`, system["comfyui_version"])
		require.NotEmpty(t, system["deploy_environment"])
		require.Nil(t, system["required_frontend_version"], "no front end is too old")
		devices := stats["devices"].([]any)
		require.Len(t, devices, 1)
		for _, name := range []string{"vram_total", "vram_free", "torch_vram_total", "torch_vram_free"} {
			require.IsType(t, 0.0, at(t, devices[0], name))
		}
		require.Equal(t, "cpu", at(t, devices[0], "type"))
	})
}
