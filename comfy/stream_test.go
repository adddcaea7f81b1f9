package comfy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// largePrompt is a prompt with this text.
func largePrompt(id, text string) *nodebus.Prompt {
	return &nodebus.Prompt{
		ID: id, Created: time.UnixMilli(1000), Outputs: []string{"2"}, Extra: map[string]any{"client_id": "<me>"},
		Nodes: nodebus.Nodes{
			{ID: "2", Class: "Show", Inputs: nodebus.Inputs{"value": nodebus.Link{Node: "1"}}},
			{ID: "1", Class: "Text", Inputs: nodebus.Inputs{"text": text}},
		},
	}
}

// largeItem is the JSON of that prompt in a listing.
func largeItem(id, text string) string {
	return `[0,"` + id + `",{"2":{"class_type":"Show","inputs":{"value":["1",0]}},"1":{"class_type":"Text","inputs":{"text":"` +
		text + `"}}},{"client_id":"\u003cme\u003e"},["2"]]`
}

func largeRecord(id, text string) flow.Record {
	return flow.Record{
		Prompt: largePrompt(id, text), State: nodebus.Succeeded, Ended: time.UnixMilli(3000),
		Outputs: []nodebus.NodeOutput{{Place: nodebus.Place{UniqueID: "2"}.WithDefaults(), UI: nodebus.UI{"text": {"a"}}}},
		Start:   &nodebus.ExecutionStart{PromptID: id, Timestamp: 2000}, Success: &nodebus.ExecutionSuccess{PromptID: id, Timestamp: 3000},
	}
}

func largeEntry(id, text string) string {
	return `"` + id + `":{"prompt":` + largeItem(id, text) + `,"outputs":{"2":{"text":["a"]}},` +
		`"status":{"status_str":"success","completed":true,"messages":[["execution_start",{"prompt_id":"` + id + `","timestamp":2000}],` +
		`["execution_success",{"prompt_id":"` + id + `","timestamp":3000}]]},` +
		`"meta":{"2":{"node_id":"2","display_node":"2","parent_node":null,"real_node_id":"2"}}}`
}

// shelf is a server whose engine does not run, with n prompts and n records of this
// text.
func shelf(t *testing.T, n int, text string) (*comfy.Server, flow.Queue) {
	hub := nodebus.NewHub(nil)
	engine := flow.NewEngine(flow.NewRegistry(), hub, &flow.EngineOptions{
		Queue: flow.NewQueue(&flow.QueueOptions{Len: n + 1, PerClient: n + 1, Bytes: 1 << 40}),
		Store: flow.NewStore(&flow.StoreOptions{Bytes: 1 << 40}),
	})
	for i := range n {
		require.NoError(t, engine.Queue().Push(t.Context(), largePrompt(fmt.Sprint("q", i), text), nil))
		require.NoError(t, engine.Store().Put(t.Context(), largeRecord(fmt.Sprint("r", i), text)))
	}
	server := comfy.New(engine, nil)
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.NoError(t, hub.Close())
	})
	return server, engine.Queue()
}

// TestListingsKeepTheirForm compares listings byte for byte: short ones, which have a
// Content-Length, and long ones, which are sent in parts.
func TestListingsKeepTheirForm(t *testing.T) {
	for _, size := range []int{10, 1000, 30_000, 200_000} {
		const n = 5
		text := strings.Repeat("x", size)
		server, queue := shelf(t, n, text)
		l, err := queue.Take(t.Context(), func(string) bool { return false })
		require.NoError(t, err)
		var waiting, entries []string
		for i := range n {
			entries = append(entries, largeEntry(fmt.Sprint("r", i), text))
			if i > 0 {
				waiting = append(waiting, largeItem(fmt.Sprint("q", i), text))
			}
		}
		for path, want := range map[string]string{
			"/queue":                          `{"queue_running":[` + largeItem("q0", text) + `],"queue_pending":[` + strings.Join(waiting, ",") + `]}`,
			"/history":                        `{` + strings.Join(entries, ",") + `}`,
			"/history?max_items=2":            `{` + strings.Join(entries[3:], ",") + `}`,
			"/history?max_items=2&offset=1":   `{` + strings.Join(entries[1:3], ",") + `}`,
			"/history?offset=4":               `{` + entries[4] + `}`,
			"/history?offset=9":               `{}`,
			"/history/r3":                     `{` + entries[3] + `}`,
			"/history/nobody":                 `{}`,
			"/api/jobs?limit=2&status=failed": `{"jobs":[],"pagination":{"offset":0,"limit":2,"total":0,"has_more":false}}`,
			"/api/jobs?status=in_progress": `{"jobs":[{"id":"q0","status":"in_progress","priority":0,"create_time":1000,"outputs_count":0,"previewable_outputs_count":0}],` +
				`"pagination":{"offset":0,"limit":1,"total":1,"has_more":false}}`,
			"/api/jobs?status=completed&limit=1&offset=1": `{"jobs":[{"id":"r3","status":"completed","priority":0,"create_time":1000,` +
				`"execution_start_time":2000,"execution_end_time":3000,"preview_output":{"content":"a","nodeId":"2","mediaType":"text"},"outputs_count":0,"previewable_outputs_count":0}],"pagination":{"offset":1,"limit":1,"total":5,"has_more":true}}`,
		} {
			w := httptest.NewRecorder()
			server.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			require.Equal(t, 200, w.Code, path)
			if want != w.Body.String() {
				require.Equal(t, want, w.Body.String()[:min(w.Body.Len(), 3000)], path)
			}
			require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
			if len(want) < 64<<10 {
				require.Equal(t, fmt.Sprint(len(want)), w.Header().Get("Content-Length"), path)
			}
		}
		require.NoError(t, l.Done(t.Context()))
	}
}

// meter is a client that takes an answer and forgets it. It measures the memory in use.
type meter struct {
	header   http.Header
	writes   int
	bytes    int
	largest  int // of one write
	memory   uint64
	deadline time.Time
	late     bool // a write had no deadline
}

func (s *meter) Header() http.Header                 { return s.header }
func (s *meter) WriteHeader(int)                     {}
func (s *meter) Flush()                              {}
func (s *meter) SetWriteDeadline(at time.Time) error { s.deadline = at; return nil }

func (s *meter) Write(p []byte) (int, error) {
	s.late = s.late || s.deadline.IsZero() || time.Until(s.deadline) > 2*time.Minute
	s.bytes += len(p)
	s.largest = max(s.largest, len(p))
	if s.writes++; s.writes%16 == 2 {
		s.memory = max(s.memory, heap())
	}
	return len(p), nil
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestListingsNeedLittleMemory lists much more than the server may hold, and checks that
// each part must be taken within a minute.
func TestListingsNeedLittleMemory(t *testing.T) {
	const n, size = 64, 1 << 20
	server, _ := shelf(t, n, strings.Repeat("x", size))
	for _, path := range []string{"/queue", "/history"} {
		s := &meter{header: http.Header{}}
		before := heap()
		server.ServeHTTP(s, httptest.NewRequest(http.MethodGet, path, nil))
		require.Greater(t, s.bytes, n*size)
		require.Less(t, s.largest, 2*size, path)
		require.Less(t, int(s.memory)-int(before), 12*size, "%s of %d bytes", path, s.bytes)
		require.False(t, s.late, "each write has a deadline")
		require.Zero(t, s.deadline, "the next request on the connection has none")
		t.Logf("%s: %d bytes in %d writes, %d bytes of memory", path, s.bytes, s.writes, int(s.memory)-int(before))
	}
}

// TestListingsOfClientsThatDoNotRead leaves listings unread on real connections, while
// others go on.
func TestListingsOfClientsThatDoNotRead(t *testing.T) {
	server, queue := shelf(t, 64, strings.Repeat("x", 1<<20))
	srv := httptest.NewServer(server)
	defer srv.Close()
	var idle []net.Conn
	for range 4 {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		require.NoError(t, err)
		_, err = io.WriteString(c, "GET /queue HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.NoError(t, err)
		one := make([]byte, 1)
		_, err = io.ReadFull(c, one) // the answer has begun
		require.NoError(t, err)
		idle = append(idle, c)
	}
	require.NoError(t, queue.Push(t.Context(), largePrompt("new", ""), nil), "a listing holds no lock")
	deleted, err := queue.Delete(t.Context(), "q63")
	require.NoError(t, err)
	require.Len(t, deleted, 1)
	res, err := http.Get(srv.URL + "/history/r1")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	for _, c := range idle {
		require.NoError(t, c.Close())
	}
}

var errBroken = errors.New("connection lost")

// breakingQueue and breakingStore fail after some prompts or records.
type (
	breakingQueue struct {
		flow.Queue
		after int
	}
	breakingStore struct {
		flow.Store
		after, gets *int
	}
)

func (b breakingQueue) List(ctx context.Context, ids ...string) iter.Seq2[flow.Queued, error] {
	return func(yield func(flow.Queued, error) bool) {
		n := 0
		for q, err := range b.Queue.List(ctx, ids...) {
			if n++; n > b.after {
				q, err = flow.Queued{}, errBroken
			}
			if !yield(q, err) || err != nil {
				return
			}
		}
	}
}

func (b breakingStore) Get(ctx context.Context, id string) (flow.Record, error) {
	if *b.gets++; *b.gets > *b.after {
		return flow.Record{}, errBroken
	}
	return b.Store.Get(ctx, id)
}

// TestListingsThatBreak checks that a client learns when a listing fails: by the status if
// nothing was sent, and otherwise by a connection that ends too early.
func TestListingsThatBreak(t *testing.T) {
	for after, broken := range map[int]bool{0: false, 3: true} {
		text := strings.Repeat("x", 100_000)
		hub, gets := nodebus.NewHub(nil), 0
		queue, store := breakingQueue{flow.NewQueue(nil), after}, breakingStore{flow.NewStore(nil), &after, &gets}
		for i := range 10 {
			require.NoError(t, queue.Push(t.Context(), largePrompt(fmt.Sprint(i), text), nil))
			require.NoError(t, store.Put(t.Context(), largeRecord(fmt.Sprint(i), text)))
		}
		server := comfy.New(flow.NewEngine(flow.NewRegistry(), hub, &flow.EngineOptions{Queue: queue, Store: store}), nil)
		srv := httptest.NewServer(server)
		for _, path := range []string{"/queue", "/history"} {
			res, err := http.Get(srv.URL + path)
			require.NoError(t, err)
			body, err := io.ReadAll(res.Body)
			require.NoError(t, res.Body.Close())
			if broken {
				require.Equal(t, 200, res.StatusCode)
				require.ErrorIs(t, err, io.ErrUnexpectedEOF, path)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
			require.JSONEq(t, `{"error":"the queue or the store is not available, try again later"}`, string(body))
		}
		srv.Close()
		require.NoError(t, server.Close())
		require.NoError(t, hub.Close())
	}
}
