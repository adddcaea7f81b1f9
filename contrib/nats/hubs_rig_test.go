package nats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"image"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// spoken is an event of a type that only the program knows.
type spoken struct {
	Word string `json:"word"`
}

func (spoken) EventType() string { return "test.spoken" }

// speak is a node that sends an event of each kind. If it holds, it then waits until the test
// lets it go.
type speak struct {
	Words string
	Hold  bool
	gates *sync.Map
}

func (n speak) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	words := strings.Fields(n.Words)
	text := ctx.Text("")
	for i, word := range words {
		if err := ctx.SendSync(spoken{word}); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(text, word); err != nil {
			return nil, err
		}
		ctx.Progress(float64(i+1), float64(len(words)))
	}
	if err := ctx.Preview(image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		return nil, err
	}
	if n.Hold {
		select {
		case <-gateOf(n.gates, ctx.PromptID()):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return nodebus.Text(n.Words), nil
}

func gateOf(gates *sync.Map, id string) chan struct{} {
	c, _ := gates.LoadOrStore(id, make(chan struct{}))
	return c.(chan struct{})
}

// site is a process that serves a page as ComfyUI does.
type site struct {
	t      *testing.T
	hub    *nodebus.Hub
	engine *flow.Engine
	url    string
}

// newSite starts a process with the parts of a bus; without a bus, it shares nothing.
func newSite(t *testing.T, bus *nats.Bus, gates *sync.Map, runs bool) *site {
	hubOpts, opts := &nodebus.HubOptions{}, &flow.EngineOptions{Logger: quiet, Parallel: 4}
	if bus != nil {
		hubOpts.Log, opts.Queue, opts.Store, opts.Signals = bus.Log(), bus.Queue(), bus.Store(), bus.Signals()
	}
	s := &site{t: t, hub: nodebus.NewHub(hubOpts)}
	r := flow.NewRegistry()
	flow.Register(r, speak{gates: gates}, nodebus.Info{Name: "Speak", Output: true, NoCache: true, Async: true})
	s.engine = flow.NewEngine(r, s.hub, opts)
	page := comfy.New(s.engine, &comfy.Options{Logger: quiet, TellRemoved: true})
	web := httptest.NewServer(page)
	s.url = web.URL
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	if runs {
		running.Go(func() { _ = s.engine.Run(ctx) })
	}
	t.Cleanup(func() {
		stop()
		running.Wait()
		_ = s.hub.Close()
		_ = page.Close()
		web.Close()
	})
	return s
}

// send sends a request, and returns the answer, which must be JSON or empty.
func (s *site) send(method, path, body string) (answer any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	res, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(s.t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, res.StatusCode, "%s", text)
	if len(text) > 0 {
		require.NoError(s.t, json.Unmarshal(text, &answer), "%s", text)
	}
	return answer
}

// submit posts a prompt of one node.
func (s *site) submit(client, id, words string, hold bool) {
	s.t.Helper()
	s.send("POST", "/prompt", fmt.Sprintf(
		`{"client_id":%q,"prompt_id":%q,"prompt":{"1":{"class_type":"Speak","inputs":{"words":%q,"hold":%v}}}}`, client, id, words, hold))
}

// socket is a socket of a ComfyUI client, which knows no cursors.
type socket struct {
	t *testing.T
	c *websocket.Conn
}

// dial connects a client. more is added to the query.
func (s *site) dial(client, more string) *socket {
	s.t.Helper()
	c, _, err := websocket.Dial(s.t.Context(), s.url+"/ws?clientId="+url.QueryEscape(client)+more, nil)
	require.NoError(s.t, err)
	c.SetReadLimit(-1)
	s.t.Cleanup(func() { _ = c.CloseNow() })
	return &socket{s.t, c}
}

// next returns the next frame: JSON without times, or the first bytes of a binary frame.
func (k *socket) next() string {
	k.t.Helper()
	ctx, stop := context.WithTimeout(k.t.Context(), patience)
	defer stop()
	typ, data, err := k.c.Read(ctx)
	require.NoError(k.t, err)
	if typ == websocket.MessageBinary {
		return fmt.Sprintf("binary %x, %d bytes", data[:8], len(data))
	}
	return times.ReplaceAllString(string(data), `"timestamp":0`)
}

var times = regexp.MustCompile(`"timestamp":\d+`)

// until returns the frames up to one that contains a text.
func (k *socket) until(text string) (all []string) {
	k.t.Helper()
	for {
		all = append(all, k.next())
		if strings.Contains(all[len(all)-1], text) {
			return all
		}
	}
}

// leave ends the connection as a client does that goes.
func (k *socket) leave() { _ = k.c.Close(websocket.StatusNormalClosure, "") }

// without returns the frames that do not contain a text.
func without(all []string, texts ...string) (rest []string) {
	for _, frame := range all {
		keep := true
		for _, text := range texts {
			keep = keep && !strings.Contains(frame, text)
		}
		if keep {
			rest = append(rest, frame)
		}
	}
	return rest
}

// endOfPrompt is the last frame of a prompt.
func endOfPrompt(id string) string {
	return fmt.Sprintf(`{"type":"executing","data":{"node":null,"prompt_id":%q}}`, id)
}
