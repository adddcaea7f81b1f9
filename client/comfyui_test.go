package client_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
)

// comfyUI does what ComfyUI's own server does with prompts, sockets, queue and history:
// there are no cursors, no routes of nodebus, one prompt at a time, and a record of a prompt
// is there before the executing that closes the prompt. Its nodes have the classes Say (shows
// the text of its input text), Fail, Rest (runs until the test calls wake, or an interrupt)
// and Bad (its prompt is not valid).
type comfyUI struct {
	*httptest.Server
	t testing.TB

	mu      sync.Mutex
	sockets map[string]*websocket.Conn
	queue   []*queued // the first runs, if running
	running bool
	next    int
	history []string // ids in the order of their ends
	records map[string]string
	changed *sync.Cond

	lists  atomic.Int32 // number of requests for the queue
	failed atomic.Int32 // number of further requests for the queue that fail
	oldIDs bool         // gives each prompt an id of its own, as old servers do
}

type queued struct {
	number    float64
	id        string
	client    string
	nodes     map[string]fakeNode
	graph     json.RawMessage
	extra     json.RawMessage
	targets   []string
	woken     chan struct{}
	interrupt chan struct{}
}

type fakeNode struct {
	Class  string `json:"class_type"`
	Inputs struct {
		Text string `json:"text"`
	} `json:"inputs"`
}

func newComfyUI(t testing.TB) *comfyUI {
	s := &comfyUI{t: t, sockets: map[string]*websocket.Conn{}, records: map[string]string{}}
	s.changed = sync.NewCond(&s.mu)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws", s.socket)
	mux.HandleFunc("POST /prompt", s.submit)
	mux.HandleFunc("GET /queue", s.list)
	mux.HandleFunc("POST /queue", s.change)
	mux.HandleFunc("POST /interrupt", s.stop)
	mux.HandleFunc("GET /history", s.recordList)
	mux.HandleFunc("GET /history/{id}", s.record)
	mux.HandleFunc("GET /view", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.URL.Query().Get("type"), "/", r.URL.Query().Get("subfolder"), "/", r.URL.Query().Get("filename"))
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (s *comfyUI) socket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.next++
	sid := fmt.Sprintf("sid%d", s.next)
	if id := r.URL.Query().Get("clientId"); id != "" {
		sid = id
	}
	s.sockets[sid] = conn
	s.write(conn, "status", fmt.Sprintf(`{"status":{"exec_info":{"queue_remaining":%d}},"sid":%q}`, len(s.queue), sid))
	s.mu.Unlock()
	for err == nil {
		_, _, err = conn.Read(r.Context())
	}
	s.mu.Lock()
	if s.sockets[sid] == conn {
		delete(s.sockets, sid)
	}
	s.mu.Unlock()
}

// cut breaks all connections.
func (s *comfyUI) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sid, conn := range s.sockets {
		_ = conn.CloseNow()
		delete(s.sockets, sid)
	}
}

// restart breaks all connections and forgets everything.
func (s *comfyUI) restart() {
	s.cut()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.queue {
		close(q.interrupt)
	}
	s.queue, s.history, s.records = nil, nil, map[string]string{}
}

// write sends a message. s.mu is held, so that the messages stay in order.
func (s *comfyUI) write(conn *websocket.Conn, typ, data string) {
	_ = conn.Write(s.t.Context(), websocket.MessageText, fmt.Appendf(nil, `{"type":%q,"data":%s}`, typ, data))
}

func (s *comfyUI) status() {
	for _, conn := range s.sockets {
		s.write(conn, "status", fmt.Sprintf(`{"status":{"exec_info":{"queue_remaining":%d}}}`, len(s.queue)))
	}
}

func (s *comfyUI) submit(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Prompt   json.RawMessage `json:"prompt"`
		PromptID string          `json:"prompt_id"`
		ClientID string          `json:"client_id"`
		Number   *float64        `json:"number"`
		Extra    json.RawMessage `json:"extra_data"`
		Targets  []string        `json:"partial_execution_targets"`
	}
	q := &queued{woken: make(chan struct{}), interrupt: make(chan struct{})}
	if json.NewDecoder(r.Body).Decode(&body) != nil || json.Unmarshal(body.Prompt, &q.nodes) != nil {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte("500 Internal Server Error\n\nServer got itself in trouble"))
		return
	}
	q.id, q.client, q.graph, q.extra, q.targets = body.PromptID, body.ClientID, body.Prompt, body.Extra, body.Targets
	bad, good := []string{}, 0
	for id, n := range q.nodes {
		if n.Class != "Bad" {
			good++
			continue
		}
		bad = append(bad, fmt.Sprintf(`%q:{"errors":[{"type":"required_input_missing","message":"Required input is missing","details":"text",`+
			`"extra_info":{"input_name":"text","received_value":NaN}}],"dependent_outputs":[%q],"class_type":"Bad"}`, id, id))
	}
	sort.Strings(bad)
	nodeErrors := "{" + strings.Join(bad, ",") + "}"
	if good == 0 {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":{"type":"prompt_outputs_failed_validation","message":"Prompt outputs failed validation","details":"","extra_info":{}},"node_errors":%s}`, nodeErrors)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q.number = float64(s.next)
	if s.next++; body.Number != nil {
		q.number = *body.Number
	}
	if s.oldIDs {
		q.id = fmt.Sprintf("own-%d", s.next)
	}
	at := len(s.queue)
	for at > 0 && (at > 1 || !s.running) && s.queue[at-1].number > q.number {
		at--
	}
	s.queue = slices.Insert(s.queue, at, q)
	s.status()
	if !s.running {
		s.running = true
		go s.work()
	}
	fmt.Fprintf(w, `{"prompt_id":%q,"number":%g,"node_errors":%s}`, q.id, q.number, nodeErrors)
}

func (s *comfyUI) list(w http.ResponseWriter, _ *http.Request) {
	s.lists.Add(1)
	if s.failed.Add(-1) >= 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	items := func(qs []*queued) string {
		list := []string{}
		for _, q := range slices.Backward(qs) { // the order of a heap is not the order of the run
			extra := `{"client_id":"` + q.client + `","create_time":1767225600000}`
			list = append(list, fmt.Sprintf(`[%g,%q,%s,%s,["1"]]`, q.number, q.id, q.graph, extra))
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	runs := min(1, len(s.queue))
	fmt.Fprintf(w, `{"queue_running":%s,"queue_pending":%s}`, items(s.queue[:runs]), items(s.queue[runs:]))
}

func (s *comfyUI) change(_ http.ResponseWriter, r *http.Request) {
	var body struct{ Delete []string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.queue) - 1; i > 0; i-- { // the first runs
		if slices.Contains(body.Delete, s.queue[i].id) {
			s.queue = slices.Delete(s.queue, i, i+1)
		}
	}
	s.status()
}

func (s *comfyUI) stop(_ http.ResponseWriter, r *http.Request) {
	var body struct {
		PromptID string `json:"prompt_id"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) > 0 && s.queue[0].id == body.PromptID {
		close(s.queue[0].interrupt)
	}
}

func (s *comfyUI) record(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text, ok := s.records[r.PathValue("id")]; ok {
		fmt.Fprintf(w, `{%q:%s}`, r.PathValue("id"), text)
		return
	}
	fmt.Fprint(w, "{}")
}

func (s *comfyUI) recordList(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.history)
	if text := r.URL.Query().Get("max_items"); text != "" {
		_, _ = fmt.Sscan(text, &n)
	}
	list := []string{}
	for _, id := range s.history[max(0, len(s.history)-n):] {
		list = append(list, fmt.Sprintf("%q:%s", id, s.records[id]))
	}
	fmt.Fprint(w, "{"+strings.Join(list, ",")+"}")
}
