//go:build e2e

package hosts

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"fmt"
	"image"
	"image/png"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/sse"
	"github.com/stretchr/testify/require"
)

// Steps sends a preview and its progress after each step that the test lets it take.
type Steps struct {
	N    int `default:"3"`
	next chan struct{}
}

// Fingerprint returns a different value each time, so that the node is never cached.
func (Steps) Fingerprint(*nodebus.Context) (string, error) { return rand.Text(), nil }

// Run takes the steps.
func (n Steps) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	var file bytes.Buffer
	if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, 300, 200))); err != nil {
		return nil, err
	}
	for i := range n.N {
		select {
		case <-n.next:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if err := ctx.PreviewFile(file.Bytes()); err != nil {
			return nil, err
		}
		ctx.Progress(float64(i+1), float64(n.N))
	}
	return nodebus.Text("done"), nil
}

// site is a server of package comfy, and the way to it.
type site struct {
	handler http.Handler // with a stream of package sse at /events
	hub     *nodebus.Hub
	next    chan struct{}

	url string       // of the server as clients see it, with the prefix and without a slash at the end
	web *http.Client // knows the way to the host of the URL
}

// newSite returns a server that runs until the test ends. There is no way to it yet.
func newSite(t *testing.T, opts *comfy.Options) *site {
	s := &site{next: make(chan struct{})}
	opts.Input, opts.Temp = t.TempDir(), t.TempDir()
	hub, registry := nodebus.NewHub(nil), flow.NewRegistry()
	flow.Register(registry, Steps{next: s.next}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Parallel: 1})
	server := comfy.New(engine, opts)
	routes := http.NewServeMux()
	routes.Handle("/events", sse.New(hub, &sse.Options{Hosts: opts.Hosts}))
	routes.Handle("/", server)
	s.handler, s.hub = routes, hub
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		require.NoError(t, hub.Close())
		require.NoError(t, server.Close())
	})
	return s
}

// at says that the URL leads to an address. A client may trust a certificate.
func (s *site) at(t *testing.T, url, address string, transport *http.Transport) {
	s.url = url
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	s.web = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(transport.CloseIdleConnections)
}

// host returns the host of the URL.
func (s *site) host() string {
	_, rest, _ := strings.Cut(s.url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}

// page is the origin of a page of the server.
func (s *site) page() string {
	scheme, _, _ := strings.Cut(s.url, "://")
	return scheme + "://" + s.host()
}

// send sends a request and returns the answer. Headers are pairs of a name and a value.
func (s *site) send(t *testing.T, method, path string, body []byte, headers ...string) (status int, text string) {
	t.Helper()
	res := s.request(t, method, path, body, headers...)
	defer func() { _ = res.Body.Close() }()
	all, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(all)
}

func (s *site) request(t *testing.T, method, path string, body []byte, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, bytes.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.web.Do(req)
	require.NoError(t, err)
	return res
}

// check uses a site in all the ways in which something in front of a server may break it.
func (s *site) check(t *testing.T) {
	t.Run("requests", s.checkRequests)
	t.Run("socket", s.checkSocket)
	t.Run("stream", s.checkStream)
	t.Run("events", s.checkEvents)
	t.Run("upload", s.checkUpload)
}

func (s *site) checkRequests(t *testing.T) {
	for path, want := range map[string]int{
		"/system_stats": 200, "/api/system_stats": 200, "/": 200, "/history/none": 200,
		"/nowhere": 404, "/api/nowhere": 404, "/userdata/none": 404, "/ws": 400,
	} {
		status, text := s.send(t, "GET", path, nil)
		require.Equal(t, want, status, "%s: %s", path, text)
	}
	status, text := s.send(t, "POST", "/userdata/a%2Fb.json", []byte(`{"a":1}`), "Origin", s.page())
	require.Equal(t, 200, status, text)
	status, text = s.send(t, "GET", "/api/userdata/a%2Fb.json", nil)
	require.Equal(t, []any{200, `{"a":1}`}, []any{status, text}, "an encoded slash stays encoded")

	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := io.WriteString(w, `{"x":"`+strings.Repeat("x", 1000)+`"}`)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	status, text = s.send(t, "POST", "/settings", packed.Bytes(), "Content-Encoding", "gzip")
	require.Equal(t, 200, status, text)
	status, _ = s.send(t, "POST", "/settings", packed.Bytes(), "Content-Encoding", "br")
	require.Equal(t, 415, status)

	for _, headers := range [][]string{{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}} {
		status, _ = s.send(t, "POST", "/interrupt", nil, headers...)
		require.Equal(t, 403, status, "%v", headers)
	}
}

// graph is a graph with a node that takes some steps.
func graph(n int) []byte {
	return fmt.Appendf(nil, `{"7":{"class_type":"Steps","inputs":{"n":%d}}}`, n)
}

// checkSocket runs a prompt, and reads its events from a socket. Each event must arrive
// before the next is published.
func (s *site) checkSocket(t *testing.T) {
	dial := func(origin string) (*client.Client, error) {
		header := http.Header{"Origin": {origin}}
		return client.Dial(t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+"/ws", &client.Options{ID: "me", HTTPClient: s.web, Header: header})
	}
	var refused *client.RefusedError
	_, err := dial("https://evil.example")
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 403, refused.Status)
	c, err := dial(s.page())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	const n = 5
	nodes, err := nodebus.ParseNodes(graph(n))
	require.NoError(t, err)
	id, err := c.Submit(t.Context(), &nodebus.Prompt{Nodes: nodes})
	require.NoError(t, err)
	s.next <- struct{}{}
	steps := 0
	for ev, err := range c.Follow(t.Context(), id) {
		require.NoError(t, err)
		if p, is := ev.Payload.(nodebus.Preview); is {
			require.NotEmpty(t, p.Image)
			if steps++; steps < n {
				s.next <- struct{}{}
			}
		}
	}
	require.Equal(t, n, steps)
	out, err := c.Wait(t.Context(), id)
	require.NoError(t, err)
	require.NoError(t, out.Err())
}

// checkStream follows a run with Server-Sent Events. Each event must arrive before the next
// is published, so nothing on the way may buffer.
func (s *site) checkStream(t *testing.T) {
	const n = 5
	body := fmt.Appendf(nil, `{"prompt":%s}`, graph(n))
	res := s.request(t, "POST", "/nodebus/runs", body, "Accept", "text/event-stream", "Origin", s.page())
	defer func() { _ = res.Body.Close() }()
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, "text/event-stream; charset=utf-8", res.Header.Get("Content-Type"))
	events := newEvents(res.Body)
	require.Contains(t, events.next(t), `"nodebus.run"`, "the state comes first")
	for i := range n {
		s.next <- struct{}{}
		var shown string
		for ev := ""; !strings.Contains(ev, fmt.Sprintf(`"value":%d,`, i+1)); {
			ev = events.next(t)
			if _, after, is := strings.Cut(ev, `"url":"`); is {
				shown, _, _ = strings.Cut(after, `"`)
			}
		}
		require.NotEmpty(t, shown)
		status, file := s.send(t, "GET", "/nodebus/runs"+shown, nil)
		require.Equal(t, 200, status)
		require.Contains(t, file, "PNG")
	}
	for ev := events.next(t); ev != ""; ev = events.next(t) { // until the stream ends
	}
	status, text := s.send(t, "POST", "/nodebus/runs", []byte(`{"prompt":{"1":{"class_type":"Steps","inputs":{"n":0}}}}`))
	require.Equal(t, 200, status, text)
	require.Contains(t, text, `"closed":true`)
}

// checkEvents reads the stream of a client. Each event must arrive before the next is
// published.
func (s *site) checkEvents(t *testing.T) {
	status, _ := s.send(t, "GET", "/events", nil, "Origin", "https://evil.example")
	require.Equal(t, 403, status)
	res := s.request(t, "GET", "/events?clientId=you", nil, "Origin", s.page())
	defer func() { _ = res.Body.Close() }()
	require.Equal(t, 200, res.StatusCode)
	events := newEvents(res.Body)
	require.Contains(t, events.next(t), `"status"`)
	for i := range 10 {
		require.NoError(t, s.hub.SendSync(nodebus.Custom{Type: "note", Data: i}, "you"))
		require.Contains(t, events.next(t), fmt.Sprintf(`"data":%d`, i))
	}
}

// checkUpload sends a file that is larger than what proxies and routers let through or
// keep in memory by default, and reads it back.
func (s *site) checkUpload(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("image", "large.bin")
	require.NoError(t, err)
	_, err = part.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	status, text := s.send(t, "POST", "/upload/image", form.Bytes(), "Content-Type", w.FormDataContentType())
	require.Equal(t, 200, status, text)
	require.Contains(t, text, `"large.bin"`)
	status, text = s.send(t, "GET", "/view?type=input&filename=large.bin", nil)
	require.Equal(t, 200, status)
	require.True(t, bytes.Equal(content, []byte(text)), "%d bytes came back", len(text))
	status, text = s.send(t, "GET", "/view?type=input&filename=large.bin", nil, "Range", "bytes=16-19")
	require.Equal(t, []any{206, "0123"}, []any{status, text})
}
