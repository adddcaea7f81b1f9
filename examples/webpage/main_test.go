package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus/internal/leak"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// browser is a client with cookies of its own.
type browser struct {
	t    *testing.T
	url  string
	http *http.Client
}

// start starts the program. It returns a function that opens a browser.
func start(t *testing.T) func() *browser {
	engine, handler := program(0)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		stop()
		running.Wait()
		require.NoError(t, engine.Hub().Close())
		server.CloseClientConnections()
		server.Close()
	})
	return func() *browser {
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		return &browser{t, server.URL, &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}}
	}
}

// answer is what the program answers.
type answer struct {
	status int
	path   string // after redirections
	body   io.Reader
}

// do sends a request. The header lines are names and values in turn.
func (b *browser) do(method, path, body string, header ...string) answer {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	require.NoError(b.t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := b.http.Do(req)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = res.Body.Close() })
	return answer{res.StatusCode, res.Request.URL.Path, res.Body}
}

// get returns what do receives, and checks the status.
func (b *browser) get(want int, method, path, body string) string {
	b.t.Helper()
	res := b.do(method, path, body)
	text, err := io.ReadAll(res.body)
	require.NoError(b.t, err)
	require.Equal(b.t, want, res.status, "%s", text)
	return string(text)
}

func (b *browser) login(user, password string) answer {
	form := url.Values{"user": {user}, "password": {password}}
	return b.do(http.MethodPost, "/login", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// state is the part of the state of a run that the test reads.
type state struct {
	State  string
	Closed bool
	Nodes  map[string]struct {
		State  string
		Texts  map[string]string
		Output map[string][]string
	}
	Waiting []map[string]any
	Error   map[string]any
}

func (b *browser) state(id string) (s state) {
	b.t.Helper()
	require.NoError(b.t, json.Unmarshal([]byte(b.get(200, http.MethodGet, "/bus/nodebus/runs/"+id, "")), &s))
	return s
}

// submit submits the graph of the page.
func (b *browser) submit() (id string) {
	b.t.Helper()
	var taken struct {
		PromptID string `json:"prompt_id"`
	}
	graph := b.get(200, http.MethodGet, "/page/graph.json", "")
	require.NoError(b.t, json.Unmarshal([]byte(b.get(200, http.MethodPost, "/bus/prompt", `{"prompt":`+graph+`}`)), &taken))
	return taken.PromptID
}

// follow reads the stream of a run until an event of this type.
func (b *browser) follow(id, typ string) *bufio.Scanner {
	b.t.Helper()
	res := b.do(http.MethodGet, "/bus/nodebus/runs/"+id, "", "Accept", "text/event-stream")
	require.Equal(b.t, 200, res.status)
	lines := bufio.NewScanner(res.body)
	lines.Buffer(nil, 1<<20)
	until(b.t, lines, typ)
	return lines
}

// until reads a stream until an event that contains a text.
func until(t *testing.T, lines *bufio.Scanner, text string) {
	t.Helper()
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data:") && strings.Contains(lines.Text(), text) {
			return
		}
	}
	require.Fail(t, "the stream has ended", "%v", lines.Err())
}

// TestRun: a user logs in, runs the graph, loads its state in the middle, and answers the
// question.
func TestRun(t *testing.T) {
	ada := start(t)()
	require.Contains(t, ada.get(200, http.MethodGet, "/", ""), `<form method="post" action="../login"`)
	require.Equal(t, 403, ada.login("ada", "hopper").status)
	require.Equal(t, 403, ada.login("", "").status)
	require.Equal(t, "/page/run.html", ada.login("ada", "lovelace").path)
	require.Contains(t, ada.get(200, http.MethodGet, "/bus/nodebus/nodebus.js", ""), "export class Client")

	id := ada.submit()
	stream := ada.follow(id, `"last line"`)
	s := ada.state(id) // as after a reload
	require.Equal(t, "running", s.State)
	require.Len(t, s.Waiting, 1)
	require.Equal(t, "publish", s.Waiting[0]["node_id"])
	require.Equal(t, "An Ode to rivers", s.Nodes["title"].Texts[""])
	require.Equal(t, "finished", s.Nodes["title"].State)

	answer := `{"prompt_id":"` + id + `","node_id":"publish","name":"last line","value":"The end."}`
	ada.get(200, http.MethodPost, "/bus/nodebus/answer", answer)
	until(t, stream, `"node":null`)
	s = ada.state(id)
	require.Equal(t, "success", s.State)
	require.True(t, s.Closed)
	require.Empty(t, s.Waiting)
	require.Equal(t, []string{"An Ode to rivers", s.Nodes["verse"].Texts[""], s.Nodes["moral"].Texts[""], "The end."}, s.Nodes["publish"].Output["text"])
}

// TestStranger: whoever has not logged in gets nothing, and another user gets nothing of a
// user's prompt.
func TestStranger(t *testing.T) {
	open := start(t)
	ada, grace, stranger := open(), open(), open()
	ada.login("ada", "lovelace")
	grace.login("grace", "hopper")
	id := ada.submit()
	stream := ada.follow(id, `"last line"`)
	answer := `{"prompt_id":"` + id + `","node_id":"publish","name":"last line","value":"Not ada's."}`

	for path, method := range map[string]string{
		"/bus/nodebus/nodebus.js": http.MethodGet, "/bus/nodebus/runs/" + id: http.MethodGet, "/bus/events": http.MethodGet,
		"/bus/nodebus/answer": http.MethodPost, "/bus/prompt": http.MethodPost,
	} {
		stranger.get(401, method, path, answer)
	}
	_, res, err := websocket.Dial(t.Context(), stranger.url+"/bus/ws", nil)
	require.Error(t, err)
	require.Equal(t, 401, res.StatusCode)

	grace.get(404, http.MethodGet, "/bus/nodebus/runs/"+id, "")
	grace.get(404, http.MethodPost, "/bus/nodebus/answer", answer)
	grace.get(404, http.MethodGet, "/bus/history", "") // the program does not serve it, because it shows the prompts of all
	grace.get(404, http.MethodGet, "/bus/nodebus/queue", "")
	socket, _, err := websocket.Dial(t.Context(), grace.url+"/bus/ws?clientId=ada&since=", &websocket.DialOptions{HTTPClient: grace.http})
	require.NoError(t, err)
	defer func() { _ = socket.CloseNow() }()
	require.NoError(t, socket.Write(t.Context(), websocket.MessageText, []byte(`{"type":"nodebus.watch","data":{"prompt_id":"`+id+`"}}`)))
	for {
		_, message, err := socket.Read(t.Context())
		require.NoError(t, err)
		require.NotContains(t, string(message), "publish")
		if strings.Contains(string(message), "nodebus.watching") {
			require.Contains(t, string(message), "watching\":false")
			break
		}
	}

	ada.get(200, http.MethodPost, "/bus/nodebus/answer", `{"prompt_id":"`+id+`","node_id":"publish","name":"last line","refuse":"not now"}`)
	until(t, stream, `"node":null`)
	require.Contains(t, ada.state(id).Error["exception_message"], "not now")
}
