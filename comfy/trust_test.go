package comfy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// TestPackedBodies checks that every route that reads a body unpacks it.
func TestPackedBodies(t *testing.T) {
	_, opts := folders(t)
	h := newHost(t, opts)
	form := "--b\r\nContent-Disposition: form-data; name=image; filename=%s.png\r\n\r\nhello\r\n--b--\r\n"
	for name, c := range map[string]struct{ path, body, want string }{
		"a prompt":    {"/prompt", `{"prompt":` + quick + `}`, `"prompt_id"`},
		"a run":       {"/api/nodebus/runs", `{"prompt":` + quick + `}`, `"closed":true`},
		"a queue":     {"/queue", `{"clear":true}`, ""},
		"an answer":   {"/interrupt", `{}`, ""},
		"settings":    {"/settings", `{"a":1}`, ""},
		"a setting":   {"/settings/b", `"x"`, ""},
		"a user file": {"/userdata/c", "hello", `"c"`},
		"an upload":   {"/upload/image", fmt.Sprintf(form, "d"), `{"name":"d.png","subfolder":"","type":"input"}`},
	} {
		t.Run(name, func(t *testing.T) {
			a := h.post(c.path, gzipped(c.body), "Content-Encoding", "gzip", "Content-Type", "multipart/form-data; boundary=b")
			require.Equal(t, 200, a.status, a.body)
			require.Contains(t, a.body, c.want)
		})
	}
	require.Equal(t, "hello", h.send("GET", "/userdata/c", "").body)
	require.Equal(t, "hello", h.send("GET", "/view?type=input&filename=d.png", "").body)
	require.JSONEq(t, `{"a":1,"b":"x"}`, h.send("GET", "/settings", "").body)

	a := h.post("/prompt", "x", "Content-Encoding", "br")
	require.Equal(t, 415, a.status)
	require.Equal(t, "gzip, deflate", a.header.Get("Accept-Encoding"))
	require.Contains(t, a.body, `Content-Encoding \"br\" cannot be unpacked`)
}

// TestTooManyConnections checks that the sockets of a client and its requests that follow
// runs are counted together, that a refusal says why, and that others are not concerned.
func TestTooManyConnections(t *testing.T) {
	h := newHost(t, &comfy.Options{MaxPerClient: 3, MaxConnections: 5})
	id := h.submit("me", waitFor("gate"))
	follow := func(query string) (status int) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", h.url+"/nodebus/runs/"+id+query, nil)
		require.NoError(t, err)
		req.Header.Set("Accept", "text/event-stream")
		res, err := http.DefaultTransport.RoundTrip(req)
		require.NoError(t, err)
		t.Cleanup(func() { _ = res.Body.Close() })
		return res.StatusCode
	}
	socket := func(client string) int {
		c, res, err := websocket.Dial(t.Context(), h.url+"/ws?clientId="+client, nil)
		if err != nil {
			text, _ := io.ReadAll(res.Body)
			require.Contains(t, string(text), `{"error":"the `)
			require.Contains(t, string(text), "Options.Max")
			return res.StatusCode
		}
		t.Cleanup(func() { _ = c.CloseNow() })
		return 101
	}
	first := h.connect("me")
	require.Equal(t, 101, socket("me"))
	require.Equal(t, 200, follow("?clientId=me"))
	require.Equal(t, 429, socket("me"))
	require.Equal(t, 429, follow("?clientId=me"))
	require.Equal(t, 429, h.post("/nodebus/runs?clientId=me", `{"prompt":`+quick+`}`).status)
	require.Equal(t, 200, follow(""), "nobody in particular")
	require.Equal(t, 101, socket("you"))
	require.Equal(t, 503, socket("they"))
	require.Equal(t, 503, follow(""))
	queue := h.get("/queue").(map[string]any) // the prompt may still wait
	require.Len(t, append(queue["queue_running"].([]any), queue["queue_pending"].([]any)...), 1, "other routes still work, and no run was submitted")
	first.close()
	for status := 0; status != 101; { // until the server has noticed
		status = socket("me")
		require.Contains(t, []int{101, 429, 503}, status)
	}
	h.gate.open("gate")
}

// TestPrivateAddress checks under which names all routes can be addressed where only this
// network can reach the server, and that the refusal says what to do.
func TestPrivateAddress(t *testing.T) {
	h := newHost(t, nil)
	named := newHost(t, &comfy.Options{Hosts: []string{"nodes.example.com"}})
	machine, err := os.Hostname()
	require.NoError(t, err)
	at := func(h *host, address, name, path string, headers ...string) answered {
		local, err := net.ResolveTCPAddr("tcp", address)
		require.NoError(t, err)
		r := httptest.NewRequest("GET", path, nil)
		r.Host = name
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		h.server.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(local))))
		return answered{w.Code, w.Header(), w.Body.String()}
	}
	for _, address := range []string{"127.0.0.1:8188", "192.168.1.20:8188", "10.0.0.7:8188", "172.17.0.2:8188", "100.64.0.1:8188", "169.254.0.1:8188", "[fe80::1]:8188", "[fd00::1]:8188"} {
		for _, path := range []string{"/history", "/", "/api/prompt", "/nodebus/runs/x", "/nodebus/nodebus.js", "/nowhere"} {
			for _, headers := range [][]string{nil, {"Origin", "http://evil.example:8188"}, {"X-Forwarded-Host", "localhost"}, {"Sec-Fetch-Site", "same-origin"}} {
				a := at(h, address, "evil.example:8188", path, headers...)
				require.Equal(t, 403, a.status, "%s %s %v", address, path, headers)
				var problem struct{ Error string }
				require.NoError(t, json.Unmarshal([]byte(a.body), &problem))
				require.Equal(t, `host "evil.example" is not a name that this server knows; if it is a name of the server, add it to Options.Hosts, without a port`, problem.Error)
			}
		}
		for _, name := range []string{"localhost:8188", address, machine, strings.ToUpper(machine) + ":8188"} {
			require.Equal(t, 200, at(h, address, name, "/history").status, "%s at %s", name, address)
			require.Equal(t, 200, at(h, address, name, "/history", "Origin", "http://"+name).status, "the page of %s at %s", name, address)
		}
		require.Equal(t, 200, at(named, address, "nodes.example.com", "/history", "Origin", "https://nodes.example.com").status)
		require.Equal(t, 403, at(named, address, "evil.example", "/history").status)
	}
	require.Equal(t, 200, at(h, "203.0.113.9:80", "nodes.example.com", "/history").status, "a public address")
}

// TestPagesWithoutAHost checks that null and file:// can be allowed by name, on all kinds of
// requests, and that the page may read the answer.
func TestPagesWithoutAHost(t *testing.T) {
	for _, from := range []string{"null", "file://"} {
		for _, allowed := range [][]string{nil, {"*"}, {"*://*", "null*", "file://*"}, {from}} {
			h := newHost(t, &comfy.Options{Origins: allowed})
			yes := len(allowed) == 1 && allowed[0] == from
			a := h.send("GET", "/history", "", "Origin", from)
			require.Equal(t, map[bool]int{true: 200, false: 403}[yes], a.status, "%s with %q", from, allowed)
			require.Equal(t, yes, a.header.Get("Access-Control-Allow-Origin") == from)
			c, res, err := websocket.Dial(t.Context(), h.url+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {from}}})
			if yes {
				require.NoError(t, err)
				require.NoError(t, c.CloseNow())
				continue
			}
			require.Error(t, err)
			require.Equal(t, 403, res.StatusCode)
		}
	}
}

// TestRefusalsInTheLog: the operator reads why a proxy's requests are refused, each reason
// once, however many requests come, and whatever names strangers invent.
func TestRefusalsInTheLog(t *testing.T) {
	var log strings.Builder
	h := newHost(t, &comfy.Options{Hosts: []string{"nodes.example.com", "127.0.0.1"}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	ask := func(host, path string) int {
		r := httptest.NewRequest("GET", path, nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.server.ServeHTTP(w, r)
		return w.Code
	}
	for range 3 {
		require.Equal(t, 403, ask("wrong.example", "/extensions/a.js"))
		require.Equal(t, 400, ask("nodes.example.com", "/ws"))
		require.Equal(t, 200, ask("nodes.example.com", "/history"))
	}
	require.Equal(t, 2, strings.Count(log.String(), "\n"), log.String())
	require.Contains(t, log.String(), `host \"wrong.example\"`)
	require.Contains(t, log.String(), "Upgrade")
	for i := range 300 {
		require.Equal(t, 403, ask(fmt.Sprintf("evil%d.example", i), "/"))
	}
	require.Equal(t, 100, strings.Count(log.String(), "\n"))
}
