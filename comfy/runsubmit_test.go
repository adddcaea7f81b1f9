package comfy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/fold"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSubmitAndWait: one request submits, waits, and answers with the last state.
func TestSubmitAndWait(t *testing.T) {
	twins(t, runs, func(t *testing.T, path string) {
		h := newHost(t, nil)
		for _, c := range []struct {
			body  string
			state nodebus.State
			text  any
		}{
			{`{"prompt_id":"a/b","prompt":` + quick + `}`, nodebus.Succeeded, "0 0"},
			{`{"client_id":"me","extra_data":{"api_key_comfy_org":"12345"},"prompt":` + quick + `}`, nodebus.Succeeded, "5 0"},
			{`{"prompt":{"1":{"class_type":"Show","inputs":{"ui":"no JSON"}}}}`, nodebus.Failed, nil},
		} {
			a := h.post(path, c.body)
			require.Equal(t, 200, a.status, a.body)
			var run fold.Run
			require.NoError(t, json.Unmarshal([]byte(a.body), &run))
			require.Equal(t, []any{c.state, true, c.state == nodebus.Failed}, []any{run.State, run.Closed, run.Error != nil})
			if c.text != nil {
				require.Equal(t, nodebus.UI{"text": {c.text}}, run.Nodes["1"].Output)
			}
			location, err := http.NewRequest("GET", h.url+path, nil)
			require.NoError(t, err)
			at, err := location.URL.Parse(a.header.Get("Location"))
			require.NoError(t, err)
			require.JSONEq(t, a.body, h.send("GET", strings.TrimPrefix(at.String(), h.url), "").body)
		}
	})
}

// TestSubmitRunRefused: a refusal is the same as for POST /prompt.
func TestSubmitRunRefused(t *testing.T) {
	h := newHost(t, nil)
	h.submit("me", quick, `"prompt_id":"taken"`)
	h.ended("taken")
	for _, body := range []string{
		`{"prompt":{}}`, `{}`, `no JSON`, `{"prompt":{"1":{"class_type":"None","inputs":{}}}}`, `{"prompt_id":"taken","prompt":` + quick + `}`,
	} {
		want := h.post("/prompt", body)
		require.GreaterOrEqual(t, want.status, 400)
		for _, accept := range []string{"application/json", "text/event-stream"} {
			a := h.post(runs, body, "Accept", accept)
			require.Equal(t, []any{want.status, want.body, ""}, []any{a.status, a.body, a.header.Get("Location")})
		}
	}
}

// TestSubmitRunInPart: the answer says which outputs were not valid.
func TestSubmitRunInPart(t *testing.T) {
	h := newHost(t, nil)
	a := h.post(runs, `{"prompt":{"1":{"class_type":"Secret","inputs":{}},"2":{"class_type":"Show","inputs":{}}}}`)
	require.Equal(t, 200, a.status, a.body)
	require.Equal(t, "success", at(t, a.json(t), "state"))
	require.Equal(t, "required_input_missing", at(t, a.json(t), "node_errors", "2", "errors", 0, "type"))
}

// TestSubmitStream: one request submits and streams, from the first event on.
func TestSubmitStream(t *testing.T) {
	h := newHost(t, nil)
	s, res := h.follow("POST", runs, `{"prompt_id":"p","prompt":`+waitFor("a")+`}`)
	require.Equal(t, "runs/p", res.header.Get("Location"))
	s.begun()
	h.gate.open("a")
	s.until("executing <nil>")
	require.Empty(t, s.next())
	want := h.state("p")
	same(t, &want, &s.run)
}

// TestSubmitterGone: the run goes on.
func TestSubmitterGone(t *testing.T) {
	h := newHost(t, nil)
	s, _ := h.follow("POST", runs, `{"prompt_id":"streamed","prompt":`+waitFor("a")+`}`)
	s.begun()
	s.close()
	ctx, gone := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", h.url+runs, strings.NewReader(`{"client_id":"w","prompt_id":"waited","prompt":`+waitFor("b")+`}`))
	require.NoError(t, err)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if res, err := http.DefaultTransport.RoundTrip(req); err == nil {
			_ = res.Body.Close()
		}
	})
	boss := h.dial("watch=waited", nil)
	boss.until("executing 1")
	gone()
	waiting.Wait()
	for id, gate := range map[string]string{"streamed": "a", "waited": "b"} {
		require.Equal(t, fold.Running, func() nodebus.State { r := h.state(id); return r.State }())
		h.gate.open(gate)
		h.ended(id)
		require.Equal(t, nodebus.Succeeded, func() nodebus.State { r := h.state(id); return r.State }())
	}
}

// TestSubmitAndWaitLong: the WriteTimeout of the http.Server does not end a long wait. The
// test acts as a server whose timeout is over at once.
func TestSubmitAndWaitLong(t *testing.T) {
	h := newHost(t, nil)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0)))
		h.server.ServeHTTP(w, r)
	}))
	defer srv.Close()
	res, err := http.Post(srv.URL+runs, "", strings.NewReader(`{"prompt":`+quick+`}`))
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	require.Equal(t, 200, res.StatusCode)
}

// TestRunDeleted: a stream of a prompt that is deleted from the queue ends, and then there
// is no such run.
func TestRunDeleted(t *testing.T) {
	h := newHostOf(t, nil, &flow.EngineOptions{Parallel: 1})
	s := h.connect("me")
	h.submit("me", waitFor("a"))
	s.until("executing 1")
	stream, _ := h.follow("POST", runs, `{"prompt_id":"p","prompt":`+quick+`}`)
	require.Equal(t, "nodebus.run", stream.next())
	answers := make(chan answered)
	go func() { answers <- h.post(runs, `{"prompt_id":"q","prompt":`+quick+`}`) }()
	s.until("status 3")
	require.Equal(t, 200, h.post("/queue", `{"clear":true}`).status)
	require.Empty(t, stream.next())
	require.Empty(t, stream.id, "an EventSource comes back")
	require.Equal(t, 404, h.send("GET", runs+"/p", "").status)
	a := <-answers
	require.Equal(t, 404, a.status)
	require.JSONEq(t, `{"error":"the prompt was deleted from the queue"}`, a.body)
	h.gate.open("a")
}

// TestRunsAndClose: Close ends streams and waits, and lets no further begin.
func TestRunsAndClose(t *testing.T) {
	h := newHost(t, nil)
	s, _ := h.follow("POST", runs, `{"prompt_id":"p","prompt":`+waitFor("a")+`}`)
	s.begun()
	answers := make(chan answered)
	go func() { answers <- h.post(runs, `{"client_id":"w","prompt_id":"q","prompt":`+waitFor("b")+`}`) }()
	w, _ := h.follow("GET", runs+"/q", "")
	for w == nil { // until it is submitted
		w, _ = h.follow("GET", runs+"/q", "")
	}
	w.begun()
	require.NoError(t, h.server.Close())
	for _, s := range []*stream{s, w} {
		for s.next() != "" {
		}
		require.False(t, s.run.Closed)
		require.NotContains(t, s.id, "end-", "an EventSource comes back")
	}
	require.Equal(t, 503, (<-answers).status)
	_, res := h.follow("GET", runs+"/p", "")
	require.Equal(t, 503, res.status)
	require.Equal(t, 503, h.post(runs, `{"prompt":`+quick+`}`).status)
	run := h.state("p")
	require.Equal(t, fold.Running, run.State, "other requests are still answered")
	h.gate.open("a")
	h.gate.open("b")
}

// TestRunRecord: if the events of a run are gone, the record tells its state.
func TestRunRecord(t *testing.T) {
	log := nodebus.NewMemoryLog(nil)
	h := newHostOn(t, nodebus.NewHub(&nodebus.HubOptions{Log: log}), nil, &flow.EngineOptions{
		Parallel: 1,
	}, func(*flow.Engine) {})
	for id, graph := range map[string]string{
		"success":     `{"1":{"class_type":"Show","inputs":{"ui":"{\"n\":[1,2.5,\"x\"]}"}},"2":{"class_type":"Secret","inputs":{}}}`,
		"error":       `{"1":{"class_type":"Show","inputs":{"ui":"no JSON"}}}`,
		"interrupted": waitFor("never"),
	} {
		h.submit("me", graph, fmt.Sprintf(`"prompt_id":%q`, id))
		if id == "interrupted" {
			s, _ := h.follow("GET", runs+"/"+id, "")
			s.begun()
			require.Equal(t, 200, h.post("/interrupt", `{"prompt_id":"interrupted"}`).status)
		}
		h.ended(id)
		want := h.state(id)
		require.Equal(t, id, string(want.State))
		require.NoError(t, log.Drop(id))
		got := h.state(id)
		require.Empty(t, got.Cursor)
		require.ElementsMatch(t, want.Order, got.Order) // nodes that run side by side begin and end in any order
		got.Order = want.Order
		for node := range want.All() {
			require.InDelta(t, 0, got.Nodes[node.UniqueID].Duration.Seconds(), 60)
			got.Nodes[node.UniqueID].Duration = 0
		}
		got.Cursor, got.Incomplete = want.Cursor, want.Incomplete
		same(t, &want, &got)
		s, _ := h.follow("GET", runs+"/"+id, "")
		require.Equal(t, []string{"nodebus.run", ""}, []string{s.next(), s.next()})
		require.Equal(t, "end-0", s.id)
		_, res := h.follow("GET", runs+"/"+id, "", "Last-Event-ID", s.id)
		require.Equal(t, 204, res.status)
		require.Equal(t, 200, h.post("/history", fmt.Sprintf(`{"delete":[%q]}`, id)).status)
		require.Equal(t, 404, h.send("GET", runs+"/"+id, "").status)
	}
}

// deafLog loses the closing events of prompts.
type deafLog struct{ nodebus.Log }

func (l deafLog) Append(ev nodebus.Event) error {
	if e, ok := ev.Payload.(nodebus.Executing); ok && e.UniqueID == "" {
		return errors.New("the disk is full")
	}
	return l.Log.Append(ev)
}

// TestRunClosingLost: a stream ends also if the closing event is lost.
func TestRunClosingLost(t *testing.T) {
	h := newHostOn(t, nodebus.NewHub(&nodebus.HubOptions{Log: deafLog{nodebus.NewMemoryLog(nil)}}), nil, &flow.EngineOptions{Parallel: 1}, func(*flow.Engine) {})
	s, _ := h.follow("POST", runs, `{"prompt_id":"p","prompt":`+waitFor("a")+`}`)
	s.begun()
	h.gate.open("a")
	for s.next() != "" {
	}
	require.Equal(t, []any{nodebus.Succeeded, true}, []any{s.run.State, s.run.Closed})
	require.True(t, strings.HasPrefix(s.id, "end-"), s.id)
	require.Equal(t, nodebus.Text("a"), s.run.Nodes["1"].Output)
}

// TestRunWithFailingParts: a queue or a store that fails is not the same as an unknown run.
func TestRunWithFailingParts(t *testing.T) {
	store := &failingStore{Store: flow.NewStore(nil)}
	h := newHostOf(t, nil, &flow.EngineOptions{Store: store})
	store.fails.Store(true)
	a := h.send("GET", runs+"/p", "")
	require.Equal(t, 503, a.status)
	_, res := h.follow("GET", runs+"/p", "")
	require.Equal(t, 503, res.status)
}

// TestSubmitSlowlyAndClose: Close does not wait for a client that is slow with the body of
// its submission.
func TestSubmitSlowlyAndClose(t *testing.T) {
	h := newHost(t, nil)
	c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	const rest = `"prompt":` + quick + `}`
	_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", runs, 1+len(rest))
	require.NoError(t, err)
	in := bufio.NewReader(c)
	line, err := in.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100 Continue\r\n", line, "the server reads the body")
	require.NoError(t, h.server.Close())
	_, err = fmt.Fprint(c, "{"+rest)
	require.NoError(t, err)
	_, err = in.ReadString('\n')
	require.NoError(t, err)
	line, err = in.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 503 Service Unavailable\r\n", line)
	require.Empty(t, h.get("/queue").(map[string]any)["queue_pending"], "the run goes on")
}
