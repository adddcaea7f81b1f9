package comfy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// step and sink are trivial nodes.
type step struct{ In int }

func (n step) Run(*nodebus.Context) (int, error) { return n.In + 1, nil }

type sink struct{ In int }

func (n sink) Run(*nodebus.Context) (nodebus.UI, error) { return nil, nil }

// benchHost starts a server on a real socket. It has no cache, so every node runs
// again. Prompts have no head start, because the benchmarks measure work and not
// waiting.
func benchHost(b *testing.B) *host {
	reg := flow.NewRegistry()
	flow.Register(reg, step{}, nodebus.Info{Name: "Step"})
	flow.Register(reg, sink{}, nodebus.Info{Name: "Sink"})
	h := &host{t: b, reg: reg, hub: nodebus.NewHub(nil)}
	h.engine = flow.NewEngine(reg, h.hub, &flow.EngineOptions{
		Executor: flow.NewLocal(reg, &flow.LocalOptions{Cache: flow.NoCache()}), Store: flow.NewStore(&flow.StoreOptions{Len: 100}),
	})
	h.server = comfy.New(h.engine, &comfy.Options{HeadStart: -1})
	srv := httptest.NewServer(h.server)
	h.url = srv.URL
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = h.engine.Run(ctx) })
	b.Cleanup(func() {
		stop()
		running.Wait()
		require.NoError(b, h.hub.Close())
		srv.Close()
	})
	return h
}

// counted is a connection that counts the bytes that it reads.
type counted struct {
	net.Conn
	read *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// benchClient submits prompts and waits for their ends, as a script does.
type benchClient struct {
	h    *host
	id   string
	http *http.Client
	ws   *websocket.Conn
	read atomic.Int64 // bytes from the network
}

func newBenchClient(h *host, id string) *benchClient {
	c := &benchClient{h: h, id: id}
	tr := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return counted{nc, &c.read}, err
	}}
	c.http = &http.Client{Transport: tr}
	ws, _, err := websocket.Dial(h.t.Context(), h.url+"/ws?clientId="+id, &websocket.DialOptions{HTTPClient: c.http})
	require.NoError(h.t, err)
	ws.SetReadLimit(-1)
	c.ws = ws
	h.t.Cleanup(func() {
		_ = ws.CloseNow()
		tr.CloseIdleConnections()
	})
	return c
}

// run submits a prompt and reads events up to the executing event without a node,
// which is the last event of a prompt.
func (c *benchClient) run(graph string) error {
	res, err := c.http.Post(c.h.url+"/prompt", "application/json", strings.NewReader(`{"client_id":"`+c.id+`","prompt":`+graph+`}`))
	if err != nil {
		return err
	}
	var answer struct {
		PromptID string `json:"prompt_id"`
	}
	err = json.NewDecoder(res.Body).Decode(&answer)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != 200 {
		return fmt.Errorf("status %d: %w", res.StatusCode, err)
	}
	end := `{"type":"executing","data":{"node":null,"prompt_id":"` + answer.PromptID + `"}}`
	for {
		_, data, err := c.ws.Read(c.h.t.Context())
		if err != nil || string(data) == end {
			return err
		}
	}
}

// stepsOf returns a graph that is a chain of n trivial nodes. sinksOf returns a
// graph of n trivial nodes without links.
func stepsOf(n int) string {
	g := nodebus.NewGraph()
	var last any = 0
	for range n - 1 {
		last = g.Add("Step", nodebus.Inputs{"in": last})
	}
	g.Add("Sink", nodebus.Inputs{"in": last})
	text, _ := json.Marshal(g.Nodes())
	return string(text)
}

func sinksOf(n int) string {
	g := nodebus.NewGraph()
	for i := range n {
		g.Add("Sink", nodebus.Inputs{"in": i})
	}
	text, _ := json.Marshal(g.Nodes())
	return string(text)
}

// BenchmarkPrompt runs a graph of 10 nodes and measures from POST /prompt to the
// last event. There is no head start, so it measures only the server. One op is one
// prompt of each client, all at the same time.
func BenchmarkPrompt(b *testing.B) {
	graph := stepsOf(10)
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("clients-%d", n), func(b *testing.B) {
			h := benchHost(b)
			clients := make([]*benchClient, n)
			for i := range clients {
				clients[i] = newBenchClient(h, fmt.Sprint("client-", i))
			}
			b.ReportAllocs()
			for b.Loop() {
				var all sync.WaitGroup
				for _, c := range clients {
					all.Go(func() {
						if err := c.run(graph); err != nil {
							b.Error(err)
						}
					})
				}
				all.Wait()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/prompt")
		})
	}
}

// BenchmarkWide1000 runs a graph of 1000 nodes without links for one client. It
// measures from POST /prompt to the last event.
func BenchmarkWide1000(b *testing.B) {
	graph := sinksOf(1000)
	c := newBenchClient(benchHost(b), "me")
	require.NoError(b, c.run(graph))
	c.read.Store(0)
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, c.run(graph))
	}
	b.ReportMetric(float64(c.read.Load())/float64(b.N), "wire-B/op")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*1000), "ns/node")
}

// BenchmarkObjectInfo describes 1000 classes of 14 inputs.
func BenchmarkObjectInfo(b *testing.B) {
	h := benchHost(b)
	for i := range 1000 {
		flow.Register(h.reg, sampler{}, nodebus.Info{Name: fmt.Sprint("Class", i), Category: "a/b", Description: "Takes samples."})
	}
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		size = len(h.send("GET", "/object_info", "").body)
	}
	b.ReportMetric(float64(size), "answer-B")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*1000), "ns/class")
}

// BenchmarkIdleSocket measures the memory and the goroutines of a connected client
// that receives nothing. The result includes the client's side of the connection,
// which is small and in the same process.
func BenchmarkIdleSocket(b *testing.B) {
	const n = 400
	h := benchHost(b)
	var bytes, goroutines float64
	for b.Loop() {
		before, running := inUse(), runtime.NumGoroutine()
		conns := make([]net.Conn, n)
		for i := range conns {
			conns[i] = h.bareSocket()
		}
		bytes += (inUse() - before) / n
		goroutines += float64(runtime.NumGoroutine()-running) / n
		for _, c := range conns {
			_ = c.Close()
		}
		for runtime.NumGoroutine() > running+n/10 {
			runtime.Gosched() // until the goroutines of the connections have ended
		}
	}
	b.ReportMetric(bytes/float64(b.N), "B/conn")
	b.ReportMetric(goroutines/float64(b.N), "goroutines/conn")
}

// BenchmarkConnect measures connecting and leaving, with an empty store and with 10 000
// records of other clients. The cost must be the same.
func BenchmarkConnect(b *testing.B) {
	for _, records := range []int{0, 10_000} {
		b.Run(fmt.Sprint(records), func(b *testing.B) {
			h := newHostOf(b, nil, &flow.EngineOptions{Store: flow.NewStore(&flow.StoreOptions{Len: 10_001})})
			for i := range records {
				id := fmt.Sprint(i)
				require.NoError(b, h.engine.Store().Put(b.Context(), flow.Record{
					Prompt: &nodebus.Prompt{ID: id, ClientID: id}, State: nodebus.Succeeded, Ended: time.Now(),
				}))
			}
			for b.Loop() {
				_ = h.bareSocket().Close()
			}
		})
	}
}

// inUse returns the memory in use for the heap and for stacks, in bytes.
func inUse() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

// bareSocket connects and reads the first byte of the first message. The client's side
// is only a TCP connection, without a WebSocket library.
func (h *host) bareSocket() net.Conn {
	addr := strings.TrimPrefix(h.url, "http://")
	c, err := net.Dial("tcp", addr)
	require.NoError(h.t, err)
	_, err = io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: "+addr+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	require.NoError(h.t, err)
	r := bufio.NewReader(c)
	for line := ""; line != "\r\n"; {
		line, err = r.ReadString('\n')
		require.NoError(h.t, err)
	}
	_, err = r.ReadByte() // the first byte of the first message
	require.NoError(h.t, err)
	return c
}
