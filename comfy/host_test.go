package comfy_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/refpack"
	"github.com/stretchr/testify/require"
)

// host is a program with a server on a real socket.
type host struct {
	t      testing.TB
	url    string
	server *comfy.Server
	hub    *nodebus.Hub
	reg    *flow.Registry
	engine *flow.Engine
	gate   *gate
}

// gate holds channels by name. A Wait node waits until the test opens its name.
type gate struct {
	mu     sync.Mutex
	opened map[string]chan struct{}
}

func (g *gate) named(name string) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened[name] == nil {
		g.opened[name] = make(chan struct{})
	}
	return g.opened[name]
}

func (g *gate) open(name string) { close(g.named(name)) }

// Wait waits until the gate with its name is open, and then shows the name. Before
// that, it publishes a spoken event for each word in Words.
type Wait struct {
	Name  string
	Words string `in:",optional"`
	gate  *gate
}

type spoken struct {
	Node string `json:"node"`
	Text string `json:"text"`
}

func (spoken) EventType() string { return "test.spoken" }

func (n Wait) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	for word := range strings.FieldsSeq(n.Words) {
		if err := ctx.SendSync(spoken{ctx.UniqueID(), word}); err != nil {
			return nil, err
		}
	}
	select {
	case <-n.gate.named(n.Name):
		return nodebus.Text(n.Name), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Secret shows the lengths of the key and of the token that came with the prompt.
type Secret struct {
	Key   string `hidden:"API_KEY_COMFY_ORG"`
	Token string `hidden:"AUTH_TOKEN_COMFY_ORG"`
}

func (n Secret) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(fmt.Sprint(len(n.Key), len(n.Token))), nil
}

// Show shows the value of its input UI, which is JSON.
type Show struct{ UI string }

func (n Show) Run(*nodebus.Context) (ui nodebus.UI, err error) {
	return ui, json.Unmarshal([]byte(n.UI), &ui)
}

// newHost starts a program with a server. It runs until the test ends.
func newHost(t testing.TB, opts *comfy.Options) *host {
	return newHostOf(t, opts, &flow.EngineOptions{Parallel: 4})
}

func newHostOf(t testing.TB, opts *comfy.Options, engineOpts *flow.EngineOptions) *host {
	return newHostThat(t, opts, engineOpts, func(*flow.Engine) {})
}

// newHostThat is newHostOf, and calls first before the engine runs.
func newHostThat(t testing.TB, opts *comfy.Options, engineOpts *flow.EngineOptions, first func(*flow.Engine)) *host {
	return newHostOn(t, nodebus.NewHub(nil), opts, engineOpts, first)
}

// newHostOn is newHostThat for a hub.
func newHostOn(t testing.TB, hub *nodebus.Hub, opts *comfy.Options, engineOpts *flow.EngineOptions, first func(*flow.Engine)) *host {
	reg := flow.NewRegistry()
	h := &host{t: t, reg: reg, hub: hub, gate: &gate{opened: map[string]chan struct{}{}}}
	refpack.Register(reg, &refpack.Options{Temp: t.TempDir(), Output: t.TempDir(), Hub: h.hub})
	flow.Register(reg, Wait{gate: h.gate}, nodebus.Info{Async: true})
	flow.Register(reg, Secret{}, nodebus.Info{NoCache: true})
	flow.Register(reg, Show{}, nodebus.Info{})
	h.engine = flow.NewEngine(reg, h.hub, engineOpts)
	first(h.engine)
	h.server = comfy.New(h.engine, opts)
	srv := httptest.NewServer(h.server)
	h.url = srv.URL
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = h.engine.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		require.NoError(t, h.hub.Close())
		require.NoError(t, h.server.Close())
		srv.Close()
	})
	return h
}

// answered is the answer to a request.
type answered struct {
	status int
	header http.Header
	body   string
}

// json decodes the body.
func (a answered) json(t testing.TB) (v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(a.body), &v), a.body)
	return v
}

// send sends a request. Headers are pairs of a name and a value.
func (h *host) send(method, path, body string, headers ...string) answered {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(body))
	require.NoError(h.t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(h.t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(h.t, err)
	return answered{res.StatusCode, res.Header, string(text)}
}

func (h *host) get(path string, headers ...string) any {
	h.t.Helper()
	a := h.send(http.MethodGet, path, "", headers...)
	require.Equal(h.t, http.StatusOK, a.status, a.body)
	return a.json(h.t)
}

func (h *host) post(path, body string, headers ...string) answered {
	h.t.Helper()
	return h.send(http.MethodPost, path, body, headers...)
}

// waitFor returns a graph of one node that waits for the gate with this name.
func waitFor(name string) string {
	return fmt.Sprintf(`{"1":{"class_type":"Wait","inputs":{"name":%q}}}`, name)
}

// submit posts a prompt and returns its id. more holds more members of the body.
func (h *host) submit(client, graph string, more ...string) string {
	h.t.Helper()
	body := fmt.Sprintf(`{"client_id":%q,"prompt":%s%s}`, client, graph, strings.Join(append([]string{""}, more...), ","))
	a := h.post("/prompt", body)
	require.Equal(h.t, http.StatusOK, a.status, a.body)
	id := a.json(h.t).(map[string]any)["prompt_id"].(string)
	require.NotEmpty(h.t, id)
	return id
}

// socket is a client's WebSocket.
type socket struct {
	t testing.TB
	c *websocket.Conn
}

// dial connects a socket. query is the part of the URL after the question mark.
func (h *host) dial(query string, header http.Header) *socket {
	h.t.Helper()
	c, res, err := websocket.Dial(h.t.Context(), h.url+"/ws?"+query, &websocket.DialOptions{HTTPHeader: header})
	require.NoError(h.t, err)
	if res != nil && res.Body != nil {
		_ = res.Body.Close()
	}
	c.SetReadLimit(-1)
	h.t.Cleanup(func() { _ = c.CloseNow() })
	return &socket{h.t, c}
}

// tryDial is connect for any goroutine.
func (h *host) tryDial(client string) (*socket, error) {
	c, _, err := websocket.Dial(h.t.Context(), h.url+"/ws?clientId="+url.QueryEscape(client), nil)
	return &socket{h.t, c}, err
}

func (h *host) connect(client string) *socket {
	return h.dial("clientId="+url.QueryEscape(client), nil)
}

// message is one WebSocket message.
type message struct {
	Type   string         `json:"type"`
	Data   map[string]any `json:"data"`
	binary []byte

	// Only with since.
	Cursor   string `json:"cursor"`
	PromptID string `json:"prompt_id"`
	Time     int64  `json:"time"`
	Attempt  int    `json:"attempt"`
}

// short returns the type and, for some types, the node, the word or the count.
func (m message) short() string {
	if m.binary != nil {
		return fmt.Sprintf("binary %d", m.binary[3])
	}
	switch m.Type {
	case "status":
		n := m.Data["status"].(map[string]any)["exec_info"].(map[string]any)["queue_remaining"]
		return fmt.Sprint("status ", n)
	case "executing", "executed":
		return fmt.Sprint(m.Type, " ", m.Data["node"])
	case "test.spoken":
		return fmt.Sprint("spoken ", m.Data["text"])
	}
	return m.Type
}

// next waits for a message.
func (s *socket) next() message {
	s.t.Helper()
	m, err := s.read()
	require.NoError(s.t, err)
	return m
}

func (s *socket) read() (m message, err error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	typ, data, err := s.c.Read(ctx)
	if err != nil {
		return m, err
	}
	if typ == websocket.MessageBinary {
		m.binary = data
		if binary.BigEndian.Uint32(data) != 20034 { // no envelope
			return m, nil
		}
		end := 8 + binary.BigEndian.Uint32(data[4:])
		m.binary, data = data[end:], data[8:end]
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	return m, dec.Decode(&m)
}

// until reads messages up to the message last. It returns the short forms of all.
func (s *socket) until(last string) (all []string) {
	s.t.Helper()
	for {
		m := s.next()
		all = append(all, m.short())
		if m.short() == last {
			return all
		}
	}
}

// without leaves out the messages that begin with one of the prefixes.
func without(all []string, prefixes ...string) (rest []string) {
	for _, m := range all {
		keep := true
		for _, p := range prefixes {
			keep = keep && !strings.HasPrefix(m, p)
		}
		if keep {
			rest = append(rest, m)
		}
	}
	return rest
}

func (s *socket) say(text string) {
	s.t.Helper()
	require.NoError(s.t, s.c.Write(s.t.Context(), websocket.MessageText, []byte(text)))
}

func (s *socket) close() { _ = s.c.Close(websocket.StatusNormalClosure, "") }

// closed waits for the end of the connection and returns the close code.
func (s *socket) closed() websocket.StatusCode {
	s.t.Helper()
	for {
		if _, err := s.read(); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

// quick is a graph of one node that ends at once.
const quick = `{"1":{"class_type":"Secret","inputs":{}}}`

// ended waits until a prompt has ended and its last event has been sent. It returns
// the short forms of its events.
func (h *host) ended(id string) []string {
	h.t.Helper()
	s := h.dial("watch="+url.QueryEscape(id), nil)
	defer s.close()
	return s.until("executing <nil>")
}

// at returns the value at a path of names and indexes in decoded JSON.
func at(t testing.TB, v any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch p := p.(type) {
		case string:
			require.Contains(t, v, p)
			v = v.(map[string]any)[p]
		case int:
			require.Greater(t, len(v.([]any)), p)
			v = v.([]any)[p]
		}
	}
	return v
}

// twins runs a test on a path with and without /api.
func twins(t *testing.T, path string, test func(t *testing.T, path string)) {
	for _, p := range []string{path, "/api" + path} {
		t.Run(p, func(t *testing.T) { test(t, p) })
	}
}

// sortedNames returns the sorted names of the members of an object.
func sortedNames(object map[string]any) []string { return slices.Sorted(maps.Keys(object)) }
