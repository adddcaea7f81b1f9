package comfy_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// routes reads all patterns of the server from its source. The result includes the
// routes with the prefix /api, and each variable in a path has a value.
func routes(t *testing.T) (all []string) {
	source, err := os.ReadFile("routes.go")
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`"([A-Z]+) (/[^"]*)"`).FindAllStringSubmatch(string(source), -1) {
		path := strings.NewReplacer("{file}", "real.png", "{dest}", "moved.png", "{path...}", "real.png", "{folder}", "models", "{pack}", "models", "{id}", "x").
			Replace(m[2])
		all = append(all, m[1]+" "+path)
		if !strings.HasPrefix(path, "/api/") && !strings.HasPrefix(path, "/internal/") {
			all = append(all, m[1]+" /api"+path)
		}
	}
	require.Greater(t, len(all), 80)
	return all
}

// effective returns a body that would change something on the route.
func effective(path string) (body, typ string) {
	switch {
	case strings.HasSuffix(path, "/prompt"):
		return `{"prompt":` + waitFor("busy") + `}`, ""
	case strings.Contains(path, "/upload/"):
		return form("new.png", "x", "original_ref", `{"filename":"real.png"}`)
	case strings.HasSuffix(path, "/nodebus/queue"):
		return `{"paused":true,"first":"waits"}`, ""
	case strings.HasSuffix(path, "/users"):
		return `{"username":"Eve"}`, ""
	}
	return `{"clear":true,"free_memory":true,"enabled":true,"clientId":"me","job_ids":["runs","waits"]}`, ""
}

// TestAuthorizeRefuses: on every route and on the socket, a refused request
// receives the reason, and changes nothing.
func TestAuthorizeRefuses(t *testing.T) {
	around, opts := folders(t)
	asked := ""
	opts.Authorize = func(r *http.Request) (nodebus.Grant, error) {
		asked = r.URL.Path
		if r.Header.Get("Pass") == "" {
			return nodebus.Grant{WatchAll: true}, errors.New("not you")
		}
		return nodebus.Grant{}, nil
	}
	opts.MultiUser = true
	h := newHost(t, opts)
	put(t, opts.Output, "real.png", pngOf(t, glass(2, 2)))
	pass := []string{"Pass", "yes"}
	submit := func(id, graph string) {
		require.Equal(t, 200, h.post("/prompt", fmt.Sprintf(`{"client_id":"me","prompt_id":%q,"prompt":%s}`, id, graph), pass...).status)
	}
	s := h.dial("clientId=me", http.Header{"Pass": pass[1:]})
	submit("ended", `{"1":{"class_type":"RefOutput","inputs":{"value":1}}}`)
	s.until("executing <nil>")
	submit("runs", waitFor("runs"))
	submit("waits", quick)
	s.until("executing 1")
	state := func() (all []any) {
		for _, path := range []string{"/queue", "/nodebus/queue", "/history", "/users", "/internal/logs/raw"} {
			all = append(all, h.get(path, pass...))
		}
		return append(all, tree(t, around))
	}
	before := state()
	for _, route := range routes(t) {
		method, path, _ := strings.Cut(route, " ")
		body, typ := effective(path)
		a := h.send(method, path, body, "Content-Type", typ, "Upgrade", "websocket", "Connection", "Upgrade")
		require.Equal(t, 403, a.status, route)
		require.JSONEq(t, `{"error":"not you"}`, a.body, route)
		require.Equal(t, path, asked)
	}
	_, res, err := websocket.Dial(t.Context(), h.url+"/ws?clientId=me", nil)
	require.Error(t, err)
	require.Equal(t, 403, res.StatusCode)
	require.Equal(t, 200, h.send("OPTIONS", "/prompt", "").status, "browsers ask without saying who they are")
	require.Equal(t, before, state())
	require.NoError(t, h.hub.Broadcast(spoken{Text: "over"}))
	require.NotContains(t, s.until("spoken over"), "execution_interrupted", "and the socket is the same")
	h.gate.open("runs")
	for _, route := range routes(t) { // the same requests, from a client that is allowed
		method, path, _ := strings.Cut(route, " ")
		a := h.send(method, path, "{}", pass...)
		require.NotContains(t, a.body, "not you", route)
		if strings.HasSuffix(route, "GET /nodebus/runs") || strings.HasSuffix(route, "GET /api/nodebus/runs") {
			require.Contains(t, a.body, "needs the id of a run", route) // the handler has refused it
			continue
		}
		require.NotEqual(t, 405, a.status, "%s is no route", route)
	}
}

// TestAuthorizeAsksToSignIn: a request without credentials receives 401, on a route and
// on the socket.
func TestAuthorizeAsksToSignIn(t *testing.T) {
	h := newHost(t, &comfy.Options{Authorize: func(*http.Request) (nodebus.Grant, error) {
		return nodebus.Grant{}, fmt.Errorf("no cookie: %w", nodebus.ErrUnauthenticated)
	}})
	a := h.send("GET", "/queue", "")
	require.Equal(t, 401, a.status)
	require.JSONEq(t, `{"error":"no cookie: nodebus: sign in first"}`, a.body)
	_, res, err := websocket.Dial(t.Context(), h.url+"/ws", nil)
	require.Error(t, err)
	require.Equal(t, 401, res.StatusCode)
}

// TestAuthorizeSeesCredentials: Authorize can read cookies, headers and the query
// of a request and of a socket.
func TestAuthorizeSeesCredentials(t *testing.T) {
	h := newHost(t, &comfy.Options{Authorize: func(r *http.Request) (nodebus.Grant, error) {
		cookie, err := r.Cookie("token")
		if err == nil && cookie.Value == "x" || r.Header.Get("Authorization") == "Bearer x" || r.URL.Query().Get("token") == "x;y" {
			return nodebus.Grant{Client: "me"}, nil
		}
		return nodebus.Grant{}, errors.New("who are you?")
	}})
	for name, c := range map[string]struct {
		query  string
		header http.Header
	}{
		"cookie": {"", http.Header{"Cookie": {"token=x"}}},
		"header": {"", http.Header{"Authorization": {"Bearer x"}}},
		"query":  {"token=x;y", nil},
	} {
		s := h.dial(c.query+"&clientId=somebody+else", c.header)
		require.Equal(t, "me", s.next().Data["sid"], name)
		var pairs []string
		for k, v := range c.header {
			pairs = append(pairs, k, v[0])
		}
		require.Equal(t, 200, h.send("GET", "/queue?"+c.query, "", pairs...).status, name)
	}
	require.Equal(t, 403, h.send("GET", "/queue", "").status)
}
