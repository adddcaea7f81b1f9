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

// user adds a user and returns the id.
func (h *host) user(name string) string {
	h.t.Helper()
	a := h.post("/users", fmt.Sprintf(`{"username":%q}`, name))
	require.Equal(h.t, 200, a.status, a.body)
	return a.json(h.t).(string)
}

func TestUsers(t *testing.T) {
	kept(t, true, func(t *testing.T, h *host) {
		require.Equal(t, `{"storage":"server","users":{}}`, h.send("GET", "/users", "").body)
		ann, odd := h.user("  Ann  "), h.user("../é \\ /")
		require.Regexp(t, `^Ann_[A-Z2-7]{26}$`, ann)
		require.Regexp(t, `^-{8}_[A-Z2-7]{26}$`, odd)
		want := map[string]any{"storage": "server", "users": map[string]any{ann: "Ann", odd: "../é \\ /"}}
		require.Equal(t, want, h.get("/users"))
		require.Equal(t, want, h.get("/api/users"))
		for _, name := range []string{"Ann", "Ann "} {
			a := h.post("/api/users", fmt.Sprintf(`{"username":%q}`, name))
			require.Equal(t, 400, a.status)
			require.JSONEq(t, `{"error":"Duplicate username."}`, a.body)
		}
		for _, body := range []string{
			``, `{`, `[]`, `{}`, `null`, `{"username":""}`, `{"username":"  "}`, `{"username":5}`,
			`{"username":"a\u0000b"}`, `{"username":"a\nb"}`, `{"username":"` + strings.Repeat("x", 129) + `"}`,
		} {
			require.Equal(t, 400, h.post("/users", body).status, body)
		}
		require.Equal(t, want, h.get("/users"))
	})
}

func TestOneUser(t *testing.T) {
	h := newHost(t, nil)
	a := h.post("/users", `{"username":"Ann"}`)
	require.Equal(t, 400, a.status)
	require.Equal(t, 200, h.post("/settings/a", `1`, "Comfy-User", "whoever").status, "the header means nothing")
	require.Equal(t, map[string]any{"a": 1.0}, h.get("/settings"))
	require.Equal(t, `{"storage":"server","migrated":true}`, h.send("GET", "/users", "").body)
}

// TestUsersAreApart: each user has separate settings and files. A request of an
// unknown user is refused with the status that clients expect of each route.
func TestUsersAreApart(t *testing.T) {
	kept(t, true, func(t *testing.T, h *host) {
		ann, bob := h.user("Ann"), h.user("Bob")
		require.Equal(t, 200, h.post("/settings/a", `"ann's"`, "Comfy-User", ann).status)
		require.Equal(t, 200, h.post("/userdata/a.txt", "ann's", "Comfy-User", ann).status)
		require.Equal(t, map[string]any{}, h.get("/settings", "Comfy-User", bob))
		require.Equal(t, "ann's", h.get("/settings/a", "Comfy-User", ann))
		require.Equal(t, []any{}, h.get("/v2/userdata", "Comfy-User", bob))
		require.Equal(t, 404, h.send("GET", "/userdata/a.txt", "", "Comfy-User", bob).status)
		require.Equal(t, "ann's", h.send("GET", "/userdata/a.txt", "", "Comfy-User", ann).body)
		for _, path := range []string{"/userdata/..%2F" + ann + "%2Fa.txt", "/userdata?dir=../" + ann, "/v2/userdata?path=../" + ann} {
			require.Equal(t, 403, h.send("GET", path, "", "Comfy-User", bob).status, path)
		}
		for _, who := range []string{"", "nobody", "default", "..", ann + "/", strings.ToLower(ann), "users.json", "."} {
			for _, c := range []struct {
				method, path string
				status       int
			}{
				{"GET", "/settings", 401},
				{"GET", "/settings/a", 401},
				{"POST", "/settings", 401},
				{"POST", "/settings/a", 401},
				{"GET", "/userdata?dir=.", 401},
				{"GET", "/userdata/a.txt", 401},
				{"POST", "/userdata/a.txt", 401},
				{"DELETE", "/userdata/a.txt", 401},
				{"POST", "/userdata/a.txt/move/b.txt", 401},
				{"GET", "/v2/userdata", 403},
			} {
				a := h.send(c.method, c.path, `{}`, "Comfy-User", who)
				require.Equal(t, c.status, a.status, "%q: %s %s", who, c.method, c.path)
				require.JSONEq(t, `{"error":"unknown user"}`, a.body)
			}
		}
	})
}

func TestUsersAreKept(t *testing.T) {
	dir := t.TempDir()
	h := newHost(t, &comfy.Options{Data: dir, MultiUser: true})
	ann := h.user("Ann")
	require.Equal(t, 200, h.post("/settings/a", `1`, "Comfy-User", ann).status)
	again := newHost(t, &comfy.Options{Data: dir, MultiUser: true})
	require.Equal(t, 1.0, again.get("/settings/a", "Comfy-User", ann))

	require.NoError(t, os.WriteFile(filepath.Join(dir, "users.json"), []byte("{half"), 0o600))
	require.Equal(t, 503, h.send("GET", "/users", "").status)
	require.Equal(t, 503, h.post("/users", `{"username":"Bob"}`).status)
	require.Equal(t, 503, h.send("GET", "/settings", "", "Comfy-User", ann).status)
	require.Equal(t, "{half", tree(t, dir)["users.json"])
}

// TestUsersAreBounded: a server accepts at most 1000 users, and each name once.
func TestUsersAreBounded(t *testing.T) {
	dir := t.TempDir()
	var list strings.Builder
	for i := range 998 {
		fmt.Fprintf(&list, `"id%d":"user %d",`, i, i)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "users.json"), []byte(`{`+list.String()+`"a":"a"}`), 0o600))
	h := newHost(t, &comfy.Options{Data: dir, MultiUser: true})
	statuses := make([]int, 8)
	var all sync.WaitGroup
	for i := range statuses {
		all.Go(func() { statuses[i] = h.post("/users", `{"username":"last"}`).status })
	}
	all.Wait()
	require.ElementsMatch(t, []int{200, 400, 400, 400, 400, 400, 400, 400}, statuses)
	require.Equal(t, 507, h.post("/users", `{"username":"one too many"}`).status)
}
