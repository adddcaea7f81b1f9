package comfy_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/fold"
	"github.com/stretchr/testify/require"
)

// runs is the route of runs.
const runs = "/nodebus/runs"

// stream is an open stream of a run.
type stream struct {
	t    testing.TB
	body io.ReadCloser
	in   *bufio.Scanner
	id   string // of the last event
	run  fold.Run
}

// follow opens a stream. It returns no stream if the status is not 200.
func (h *host) follow(method, path, body string, headers ...string) (*stream, answered) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(body))
	require.NoError(h.t, err)
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = res.Body.Close() })
	a := answered{status: res.StatusCode, header: res.Header}
	if a.status != http.StatusOK {
		return nil, a
	}
	require.Equal(h.t, "text/event-stream; charset=utf-8", res.Header.Get("Content-Type"))
	s := &stream{t: h.t, body: res.Body, in: bufio.NewScanner(res.Body)}
	s.in.Buffer(nil, 1<<24)
	return s, a
}

// next returns the short form of the next event, and applies the event to the run. It
// returns "" at the end of the stream.
func (s *stream) next() string {
	s.t.Helper()
	for s.in.Scan() {
		line := s.in.Text()
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			s.id = id
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		ev, err := nodebus.JSON.Decode(nodebus.Frame{Data: []byte(data)})
		require.NoError(s.t, err)
		s.run.Apply(ev)
		var m message
		require.NoError(s.t, json.Unmarshal([]byte(data), &m))
		return m.short()
	}
	return ""
}

// until reads up to the event last.
func (s *stream) until(last string) (all []string) {
	s.t.Helper()
	for {
		short := s.next()
		all = append(all, short)
		if short == last {
			return all
		}
		require.NotEmpty(s.t, short, "the stream has ended after %v", all)
	}
}

// begun reads until node 1 runs.
func (s *stream) begun() {
	for s.run.Nodes["1"] == nil {
		require.NotEmpty(s.t, s.next())
	}
}

func (s *stream) close() { _ = s.body.Close() }

// state returns the state of a run.
func (h *host) state(id string, headers ...string) (run fold.Run) {
	h.t.Helper()
	a := h.send("GET", runs+"/"+id, "", headers...)
	require.Equal(h.t, 200, a.status, a.body)
	require.NoError(h.t, json.Unmarshal([]byte(a.body), &run))
	return run
}

// same checks that two runs are equal.
func same(t testing.TB, want, got *fold.Run) {
	t.Helper()
	texts := [2]string{}
	for i, run := range []*fold.Run{want, got} {
		text, err := json.Marshal(run)
		require.NoError(t, err)
		texts[i] = string(text)
	}
	require.JSONEq(t, texts[0], texts[1])
}

// TestRunState: a run that waits, runs and has ended.
func TestRunState(t *testing.T) {
	twins(t, runs, func(t *testing.T, path string) {
		h := newHostOf(t, nil, &flow.EngineOptions{Parallel: 1})
		s := h.connect("me")
		h.submit("me", waitFor("a"), `"prompt_id":"one"`)
		s.until("executing 1")
		h.submit("", waitFor("b"), `"prompt_id":"a/b c"`) // without a client
		a := h.send("GET", path+"/one", "")
		require.Equal(t, []string{"application/json; charset=utf-8", "no-store", "Accept"},
			[]string{a.header.Get("Content-Type"), a.header.Get("Cache-Control"), a.header.Get("Vary")})
		require.Equal(t, "running", at(t, a.json(t), "nodes", "1", "state"))
		require.NotEmpty(t, at(t, a.json(t), "cursor"))
		require.JSONEq(t, `{"prompt_id":"a/b c","state":"","nodes":{},"order":[],"waiting":[]}`, h.send("GET", path+"/a%2Fb%20c", "").body)
		require.JSONEq(t, `{"error":"no run with this id is known"}`, h.send("GET", path+"/none", "").body)
		require.Equal(t, 404, h.send("GET", path+"/none", "").status)
		a = h.send("GET", path, "")
		require.Equal(t, []any{405, "POST"}, []any{a.status, a.header.Get("Allow")})
		require.Contains(t, a.body, "the address needs the id of a run")

		h.gate.open("a")
		s.until("executing <nil>")
		h.gate.open("b")
		h.ended("a/b c")
		run := h.state("one")
		require.Equal(t, []any{nodebus.Succeeded, 1, true, []string{"1"}, nodebus.Text("a")},
			[]any{run.State, run.Attempt, run.Closed, run.Order, run.Nodes["1"].Output})
		require.Equal(t, nodebus.Succeeded, func() nodebus.State { r := h.state("a%2Fb%20c"); return r.State }())
		head := h.send("HEAD", path+"/one", "", "Accept", "text/event-stream")
		require.Equal(t, []any{200, ""}, []any{head.status, head.body})
	})
}

// TestRunQuestion: the state has the open questions.
func TestRunQuestion(t *testing.T) {
	h, s := withQuestion(t, nil)
	run := h.state("p")
	require.Len(t, run.Waiting, 1)
	require.Equal(t, "ok", run.Waiting[0].Name)
	stream, _ := h.follow("GET", runs+"/p", "")
	require.Equal(t, "nodebus.run", stream.next())
	same(t, &run, &stream.run)
	require.Equal(t, 200, h.post("/nodebus/answer", `{"prompt_id":"p","node_id":"1","name":"ok","value":true}`).status)
	stream.until("executing <nil>")
	require.Empty(t, stream.next(), "the stream ends")
	require.Empty(t, stream.run.Waiting)
	s.until("executing <nil>")
	run = h.state("p")
	same(t, &run, &stream.run)
}

// TestRunStream: the stream of a prompt that waits, to its end, and after it.
func TestRunStream(t *testing.T) {
	h := newHostOf(t, nil, &flow.EngineOptions{Parallel: 1})
	before, _ := h.follow("POST", runs, `{"client_id":"me","prompt":`+waitFor("a")+`}`)
	before.begun()
	h.submit("other", `{"1":{"class_type":"Wait","inputs":{"name":"b","words":"one two"}}}`, `"prompt_id":"p"`)
	s, res := h.follow("GET", "/api"+runs+"/p", "")
	require.Equal(t, "Accept", res.header.Get("Vary"))
	require.Equal(t, "nodebus.run", s.next())
	require.Equal(t, []any{"p", nodebus.State("")}, []any{s.run.PromptID, s.run.State})
	h.gate.open("a")
	first := without(s.until("spoken two"), "progress")
	require.Equal(t, []string{"execution_start", "execution_cached", "executing 1", "spoken one", "spoken two"}, first, "only events of the run")

	late, _ := h.follow("GET", runs+"/p", "") // joins in the middle
	require.Equal(t, "nodebus.run", late.next())
	require.Equal(t, fold.Running, late.run.State)
	h.gate.open("b")
	for _, s := range []*stream{s, late} {
		require.Equal(t, []string{"executed 1", "execution_success", "executing <nil>"}, without(s.until("executing <nil>"), "progress"))
		require.Empty(t, s.next(), "the stream ends")
	}
	run := h.state("p")
	same(t, &run, &s.run)
	same(t, &run, &late.run)

	for _, id := range []string{"", "life-7"} { // a new reader, and one that has missed the end
		again, _ := h.follow("GET", runs+"/p", "", "Last-Event-ID", id)
		require.Equal(t, []string{"nodebus.run", ""}, []string{again.next(), again.next()})
		same(t, &run, &again.run)
		require.Equal(t, s.id, again.id)
	}
	for path, status := range map[string]int{"/p": 204, "/none": 404} {
		none, res := h.follow("GET", runs+path, "", "Last-Event-ID", s.id)
		require.Nil(t, none)
		require.Equal(t, status, res.status, "an EventSource stops")
	}
}

// TestRunReconnects: a reader whose connections break again and again has the whole state
// in the end, without a cursor.
func TestRunReconnects(t *testing.T) {
	h := newHost(t, nil)
	h.submit("me", waitFor("a"), `"prompt_id":"p"`)
	text := ""
	say := func(n int) {
		for range n {
			piece := fmt.Sprint(len(text), " ")
			require.NoError(t, h.hub.Publish(nodebus.Event{PromptID: "p", To: "me", Attempt: 1, Payload: nodebus.TextPiece{
				Place: nodebus.Place{UniqueID: "1"}, PromptID: "p", Offset: len(text), Piece: piece,
			}}))
			text += piece
		}
	}
	first, _ := h.follow("GET", runs+"/p", "")
	first.begun()
	last := ""
	for i := range 10 {
		s, _ := h.follow("GET", runs+"/p", "", "Last-Event-ID", last)
		require.Equal(t, "nodebus.run", s.next())
		say(i)
		for s.run.Nodes["1"] == nil || s.run.Nodes["1"].Texts[""] != text { // pieces that waited come as one
			s.next()
		}
		last = s.id
		s.close()
		say(3)
	}
	s, _ := h.follow("GET", runs+"/p", "", "Last-Event-ID", last)
	s.next()
	h.gate.open("a")
	s.until("executing <nil>")
	require.Equal(t, text, s.run.Nodes["1"].Texts[""])
	require.False(t, s.run.Incomplete)
	want := h.state("p")
	same(t, &want, &s.run)
}

// TestRunPreview: the address of a preview is relative to the stream.
func TestRunPreview(t *testing.T) {
	h := newHost(t, nil)
	h.submit("me", waitFor("a"), `"prompt_id":"p"`)
	s, _ := h.follow("GET", runs+"/p", "")
	s.begun()
	image := "\x89PNG\r\n\x1a\n"
	require.NoError(t, h.hub.Publish(nodebus.Event{PromptID: "p", Payload: nodebus.Preview{
		Place: nodebus.Place{UniqueID: "1"}, PromptID: "p", ImageType: "image/png", Image: []byte(image),
	}}))
	require.NoError(t, h.hub.Publish(nodebus.Event{PromptID: "p", Payload: nodebus.ProgressText{PromptID: "p", UniqueID: "1", Text: "soon"}}))
	url := ""
	for s.in.Scan() && url == "" {
		if _, after, ok := strings.Cut(s.in.Text(), `"url":"`); ok {
			url, _, _ = strings.Cut(after, `"`)
		}
	}
	for _, path := range []string{runs + "/p", runs, "/api" + runs} {
		a := h.send("GET", path+url, "")
		require.Equal(t, []any{200, image, "image/png"}, []any{a.status, a.body, a.header.Get("Content-Type")})
	}
	s.until("progress_text")
	require.Equal(t, "soon", s.run.Nodes["1"].Text)
	run := h.state("p")
	require.Equal(t, "soon", run.Nodes["1"].Text)
	h.gate.open("a")
}

// TestRunRights: a request sees the runs that a socket with the same grant may watch.
func TestRunRights(t *testing.T) {
	h := shared(t)
	for _, c := range []struct {
		id, who, friend, query string
		sees                   bool
	}{
		{"ann", "ann", "", "", true},
		{"ann", "bob", "", "", false},
		{"ann", "boss", "", "", true},
		{"ann", "bob", "ann", "", true},
		{"ann", "guest", "", "", false},
		{"ann", "guest", "", "?clientId=ann", true},
		{"ann", "bob", "", "?clientId=ann", false},
		{"none", "boss", "", "", false},
		{"none", "ann", "", "", false},
	} {
		for _, state := range []string{"ended", "runs", "waits"} {
			id := c.id + "-" + state
			headers := []string{"Who", c.who}
			if c.friend != "" {
				headers = append(headers, "Friend", c.friend+"-"+state)
			}
			want := map[bool]int{true: 200, false: 404}[c.sees]
			a := h.send("GET", runs+"/"+id+c.query, "", headers...)
			require.Equal(t, want, a.status, "%+v %s", c, id)
			s, res := h.follow("GET", runs+"/"+id+c.query, "", headers...)
			require.Equal(t, want, res.status, "%+v %s", c, id)
			if c.sees {
				require.Equal(t, "nodebus.run", s.next())
				s.close()
			}
			if !c.sees {
				require.JSONEq(t, `{"error":"no run with this id is known"}`, a.body)
			}
		}
	}
	h.gate.open("gate of ann")
	h.gate.open("gate of bob")
}

// TestRunAccept: only a request that names the type receives a stream.
func TestRunAccept(t *testing.T) {
	h := newHost(t, &comfy.Options{Origins: []string{"https://app.example.com"}})
	h.submit("me", quick, `"prompt_id":"p"`)
	h.ended("p")
	for accept, stream := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "text/event-streams": false,
		"text/event-stream": true, "Text/Event-Stream;q=0.5": true, "application/json, text/event-stream": true,
	} {
		a := h.send("GET", runs+"/p", "", "Accept", accept, "Origin", "https://app.example.com")
		require.Equal(t, 200, a.status)
		require.Equal(t, stream, strings.HasPrefix(a.body, "retry: "), accept)
		require.Equal(t, "https://app.example.com", a.header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, "Location", a.header.Get("Access-Control-Expose-Headers"))
	}
}
