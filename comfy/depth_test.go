package comfy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// nested returns JSON with this number of levels.
func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

// TestDepth: the server refuses JSON with very many levels, so that it can put all
// accepted JSON into answers.
func TestDepth(t *testing.T) {
	h := newHost(t, nil)
	for levels, status := range map[int]int{990: 200, 1001: 400, 9_990: 400, 10_000: 400, 10_001: 400, 1_000_000: 400} {
		id := fmt.Sprint(levels)
		for part, body := range map[string]string{
			"extra":  `"prompt":` + quick + `,"extra_data":{"x":` + nested(levels) + `}`,
			"inputs": `"prompt":{"1":{"class_type":"RefOutput","inputs":{"value":{"__value__":` + nested(levels) + `}}}}`,
			"meta":   `"prompt":{"1":{"class_type":"Secret","inputs":{},"_meta":` + nested(levels) + `}}`,
		} {
			a := h.post("/prompt", fmt.Sprintf(`{"prompt_id":"%s %s",%s}`, id, part, body))
			require.Equal(t, status, a.status, "%d %s", levels, part)
			if status == 200 {
				require.Contains(t, h.ended(id+" "+part), "execution_success", part)
			}
		}
		require.Equal(t, status, h.post("/settings/a", nested(levels)).status)
		require.Equal(t, status, h.post("/settings", `{"b":`+nested(levels)+`}`).status)
	}
	for _, path := range []string{"/queue", "/history", "/api/jobs", "/settings", "/api/jobs/990%20extra"} {
		require.Equal(t, 200, h.send("GET", path, "").status, path)
	}
	require.Len(t, h.get("/history"), 3)
	quoted := `"` + strings.Repeat(`[{\"\\`, 2000) + `"`
	require.Equal(t, 200, h.post("/settings/a", quoted).status, "what is in a text does not count")
	require.Equal(t, quoted, h.send("GET", "/settings/a", "").body)
	wide := "[" + strings.Repeat("[],", 2000) + "[]]"
	require.Equal(t, 200, h.post("/settings/a", wide).status, "nor what stands side by side")
}
