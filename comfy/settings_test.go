package comfy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

func TestSettings(t *testing.T) {
	kept(t, false, func(t *testing.T, h *host) {
		for _, c := range []struct {
			method, path, body string
			status             int
			want               string
		}{
			{"GET", "/settings", "", 200, `{}`},
			{"GET", "/settings/Comfy.A", "", 200, `null`},
			{"POST", "/settings/Comfy.A", `{"x": [1, 2.50, "é"]}`, 200, ``},
			{"GET", "/settings/Comfy.A", "", 200, `{"x":[1,2.50,"é"]}`},
			{"POST", "/api/settings", `{"Comfy.B":false,"Comfy.C":null}`, 200, ``},
			{"GET", "/api/settings", "", 200, `{"Comfy.A":{"x":[1,2.50,"é"]},"Comfy.B":false,"Comfy.C":null}`},
			{"POST", "/settings", `{"Comfy.A":12345678901234567890}`, 200, ``}, // the new value replaces the whole old value
			{"GET", "/settings/Comfy.A", "", 200, `12345678901234567890`},
			{"POST", "/settings/Comfy.A", `null`, 200, ``},
			{"GET", "/settings/Comfy.A", "", 200, `null`},
			{"POST", "/settings/a%2Fb%20c", `"odd"`, 200, ``},
			{"GET", "/settings/a%2Fb%20c", "", 200, `"odd"`},
			{"POST", "/settings", `{}`, 200, ``},
			{"POST", "/settings", ``, 400, ``},
			{"POST", "/settings", `{`, 400, ``},
			{"POST", "/settings", `null`, 400, ``},
			{"POST", "/settings", `[]`, 400, ``},
			{"POST", "/settings", `"x"`, 400, ``},
			{"POST", "/settings/x", ``, 400, ``},
			{"POST", "/settings/x", `nope`, 400, ``},
			{"POST", "/settings/x", `1 2`, 400, ``},
			{"POST", "/settings/x", `NaN`, 400, ``},
			{"GET", "/settings", "", 200, `{"Comfy.A":null,"Comfy.B":false,"Comfy.C":null,"a/b c":"odd"}`},
		} {
			a := h.send(c.method, c.path, c.body)
			require.Equal(t, c.status, a.status, "%s %s %s: %s", c.method, c.path, c.body, a.body)
			if c.status == 200 {
				require.Equal(t, c.want, a.body, "%s %s", c.method, c.path)
			}
		}
	})
}

// TestSettingsAreKept: settings are in a file that people can read, and the next
// program reads them again.
func TestSettingsAreKept(t *testing.T) {
	dir := t.TempDir()
	first := newHost(t, &comfy.Options{Data: dir})
	require.Equal(t, map[string]any{"storage": "server", "migrated": false}, first.get("/users"))
	require.Equal(t, 200, first.post("/settings", `{"b":null,"Comfy.A":{"x": 1}}`).status)
	require.Equal(t, map[string]any{"storage": "server", "migrated": true}, first.get("/users"))
	require.Equal(t, map[string]string{"default/comfy.settings.json": "{\n    \"Comfy.A\":{\"x\":1},\n    \"b\":null\n}\n"}, tree(t, dir))
	require.Equal(t, map[string]any{"x": 1.0}, newHost(t, &comfy.Options{Data: dir}).get("/settings/Comfy.A"))

	file := filepath.Join(dir, "default", "comfy.settings.json")
	require.NoError(t, os.WriteFile(file, []byte("null"), 0o600))
	require.Equal(t, map[string]any{}, first.get("/settings"))
	require.NoError(t, os.WriteFile(file, []byte("{half"), 0o600))
	require.Equal(t, 503, first.send("GET", "/settings", "").status)
	require.Equal(t, 503, first.post("/settings/a", "1").status)
	require.Equal(t, "{half", tree(t, dir)["default/comfy.settings.json"], "what somebody may yet mend is not replaced")
}

func TestSettingsAreBounded(t *testing.T) {
	dir := t.TempDir()
	large := func(n int) string { return `"` + strings.Repeat("x", n) + `"` }
	put(t, dir, "default/comfy.settings.json", []byte(`{"a":`+large(5<<20)+`}`))
	h := newHost(t, &comfy.Options{Data: dir})
	require.Equal(t, 413, h.post("/settings/b", large(3<<20)).status)
	require.Equal(t, 200, h.post("/settings/a", `1`).status, "there is room again")
	require.Equal(t, map[string]any{"a": 1.0}, h.get("/settings"))

	var list strings.Builder
	for i := range 50 {
		fmt.Fprintf(&list, `%q:%s,`, fmt.Sprint("n", i), nested(990))
	}
	require.Equal(t, 200, h.post("/settings", `{`+list.String()+`"a":1}`).status)
	require.Less(t, len(tree(t, dir)["default/comfy.settings.json"]), 200_000, "no more than it was")
}

// TestSettingsAtOnce: no setting is lost when several requests set settings at the
// same time.
func TestSettingsAtOnce(t *testing.T) {
	kept(t, false, func(t *testing.T, h *host) {
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() { h.post(fmt.Sprintf("/settings/s%d", i), fmt.Sprint(i)) })
		}
		all.Wait()
		require.Len(t, h.get("/settings"), 16)
	})
}
