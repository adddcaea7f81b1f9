package comfy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// pipes is a network of in-memory connections. It works in a synctest bubble with
// fake time, where real sockets do not.
type pipes chan net.Conn

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	there, here := net.Pipe()
	p <- here
	return there, nil
}

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error {
	close(p)
	return nil
}

func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// paced is a program with a server in a synctest bubble.
type paced struct {
	t      *testing.T
	hub    *nodebus.Hub
	engine *flow.Engine
	server *comfy.Server
	begun  chan string // the ids of the prompts that begin
	stop   func()      // ends the engine

	network pipes
	web     *http.Server
}

func newPaced(t *testing.T, opts *comfy.Options) *paced {
	return newPacedOf(t, opts, &flow.EngineOptions{Parallel: 4})
}

func newPacedOf(t *testing.T, opts *comfy.Options, engineOpts *flow.EngineOptions) *paced {
	reg, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(reg, Secret{}, nodebus.Info{})
	ctx, cancel := context.WithCancel(context.Background())
	p := &paced{t: t, hub: hub, begun: make(chan string, 10), stop: cancel, network: make(pipes)}
	p.engine = flow.NewEngine(reg, hub, engineOpts)
	p.server = comfy.New(p.engine, opts)
	p.web = &http.Server{Handler: p.server}
	events := hub.Subscribe(context.Background())
	go func() {
		for e, err := range events {
			if start, ok := e.Payload.(nodebus.ExecutionStart); ok && err == nil {
				p.begun <- start.PromptID
			}
		}
	}()
	go func() { _ = p.engine.Run(ctx) }()
	go func() { _ = p.web.Serve(p.network) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, hub.Close())
		require.NoError(t, p.server.Close())
		require.NoError(t, p.web.Close())
	})
	return p
}

// dial connects a client.
func (p *paced) dial(client string) *socket {
	transport := &http.Transport{DialContext: p.network.dial}
	c, _, err := websocket.Dial(p.t.Context(), "http://localhost/ws?clientId="+client,
		&websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	require.NoError(p.t, err)
	p.t.Cleanup(func() { _ = c.CloseNow() })
	return &socket{p.t, c}
}

// connect connects a client that reads all messages. It returns after the first
// message: the server then knows the client.
func (p *paced) connect(client string) {
	s := p.dial(client)
	s.next()
	go func() {
		for err := error(nil); err == nil; {
			_, err = s.read()
		}
	}()
}

// submit submits a prompt. It returns when the answer has been written.
func (p *paced) submit(client, id string) {
	body := `{"client_id":"` + client + `","prompt_id":"` + id + `","prompt":` + quick + `}`
	w := httptest.NewRecorder()
	p.server.ServeHTTP(w, httptest.NewRequestWithContext(p.t.Context(), "POST", "/prompt", strings.NewReader(body)))
	require.Equal(p.t, http.StatusOK, w.Code, w.Body)
}

// TestHeadStart: a client that listens only after the answer has some time to begin
// listening. If the client has no socket, the prompt does not wait.
func TestHeadStart(t *testing.T) {
	for name, c := range map[string]struct {
		opts   *comfy.Options
		client string
		want   time.Duration
	}{
		"default":   {nil, "me", 20 * time.Millisecond},
		"longer":    {&comfy.Options{HeadStart: time.Second}, "me", time.Second},
		"none":      {&comfy.Options{HeadStart: -1}, "me", 0},
		"no socket": {nil, "other", 0},
		"no client": {nil, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPaced(t, c.opts)
				p.connect("me")
				for _, id := range []string{"first", "cached"} {
					p.submit(c.client, id)
					at := time.Now()
					require.Equal(t, id, <-p.begun)
					require.Equal(t, c.want, time.Since(at))
				}
			})
		})
	}
}

// TestHeadStartIsOfOneClient: a head start does not delay the prompts of other
// clients, and the prompts of the client keep their order.
func TestHeadStartIsOfOneClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPaced(t, nil)
		p.connect("me")
		at := time.Now()
		p.submit("me", "first")
		time.Sleep(5 * time.Millisecond)
		p.submit("me", "second")
		p.submit("other", "other")
		require.Equal(t, "other", <-p.begun)
		require.Equal(t, 5*time.Millisecond, time.Since(at))
		require.Equal(t, "first", <-p.begun)
		require.Equal(t, 20*time.Millisecond, time.Since(at))
		require.Equal(t, "second", <-p.begun)
		require.Equal(t, 25*time.Millisecond, time.Since(at))
	})
}

// TestHeadStartOfOneThatSleeps: a prompt waits for a client that cannot read for a
// while because it gets no processor time, before its head start or in the middle of it. The
// wait has a limit, which is longer for a client that has replied to the last ping.
func TestHeadStartOfOneThatSleeps(t *testing.T) {
	// nap says when the client replies to the ping before the head start, how long it takes to
	// reply to the ping after it, and how long the prompt waits.
	type nap struct{ before, after, want time.Duration }
	const ms, long = time.Millisecond, time.Hour
	awake := nap{ms, ms, 22 * ms}
	for name, naps := range map[string][]nap{
		"once":      {{100 * ms, ms, 121 * ms}},
		"new":       {{long, long, 270 * ms}, {long, long, 270 * ms}},
		"known":     {awake, {1000 * ms, ms, 1021 * ms}, {1000 * ms, ms, 1021 * ms}},
		"no more":   {awake, {long, long, 2020 * ms}, {long, long, 270 * ms}},
		"returned":  {{long, long, 270 * ms}, awake, {1000 * ms, ms, 1021 * ms}},
		"afterward": {{ms, 300 * ms, 321 * ms}, {100 * ms, 500 * ms, 620 * ms}, awake},
		"then gone": {{ms, long, 2021 * ms}, {long, long, 270 * ms}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPaced(t, nil)
				c, err := p.network.dial(t.Context(), "", "")
				require.NoError(t, err)
				defer c.Close()
				_, err = io.WriteString(c, "GET /ws?clientId=me HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
					"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
				require.NoError(t, err)
				go func() { _, _ = io.Copy(io.Discard, c) }() // reads all bytes, but replies to no ping
				synctest.Wait()
				pong := func() { _, _ = c.Write([]byte{0x8a, 0x80, 0, 0, 0, 0}) }
				for i, n := range naps {
					at := time.Now()
					id := fmt.Sprint("held ", i)
					p.submit("me", id)
					before := time.AfterFunc(n.before, pong)
					after := time.AfterFunc(n.before+20*ms+n.after, pong)
					require.Equal(t, id, <-p.begun)
					require.Equal(t, n.want, time.Since(at))
					before.Stop()
					after.Stop()
				}
			})
		})
	}
}

// TestHeadStartOfOneThatLeaves: a client closes its only socket after it has submitted a prompt.
// The prompt does not wait for its replies.
func TestHeadStartOfOneThatLeaves(t *testing.T) {
	for name, after := range map[string]time.Duration{"before it has replied": 0, "after it has replied": 10 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPaced(t, nil)
				s := p.dial("me")
				s.next()
				stays := p.dial("me") // its end alone changes nothing
				stays.next()
				if after > 0 {
					s.reads()
				}
				at := time.Now()
				p.submit("me", "left")
				_ = stays.c.CloseNow()
				time.Sleep(after)
				_ = s.c.CloseNow()
				require.Equal(t, "left", <-p.begun)
				if after > 0 {
					require.Equal(t, 20*time.Millisecond, time.Since(at))
				} else {
					require.Zero(t, time.Since(at))
				}
			})
		})
	}
}

// TestHeadStartCountsAsWaiting: during the head start, a prompt is in the list of
// waiting prompts and can be ended like a waiting prompt. If the engine stops, the
// prompt stays in the queue, and the next run of the engine runs it.
func TestHeadStartCountsAsWaiting(t *testing.T) {
	for name, c := range map[string]struct {
		end   func(p *paced)
		waits int // the number of prompts that still wait after the end
	}{
		"interrupt": {func(p *paced) { _, _ = p.engine.Interrupt(context.Background(), "held") }, 0},
		"delete":    {func(p *paced) { _, _ = p.engine.Delete(context.Background(), "held") }, 0},
		"shutdown":  {func(p *paced) { p.stop() }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPaced(t, &comfy.Options{HeadStart: time.Hour})
				p.connect("me")
				p.submit("me", "held")
				synctest.Wait()
				require.Equal(t, []string{"held"}, p.waiting())
				require.Equal(t, 1, p.engine.Remaining(), "nothing runs")
				c.end(p)
				synctest.Wait()
				require.Len(t, p.waiting(), c.waits)
				require.Equal(t, c.waits, p.engine.Remaining())
				time.Sleep(2 * time.Hour)
				require.Empty(t, p.begun)
				rec, err := p.engine.Store().Get(t.Context(), "held")
				if name == "interrupt" {
					require.NoError(t, err)
					require.Equal(t, nodebus.Interrupted, rec.State)
					return
				}
				require.ErrorIs(t, err, flow.ErrNotFound)
				if name == "shutdown" {
					ctx, stop := context.WithCancel(t.Context())
					defer stop()
					go func() { _ = p.engine.Run(ctx) }()
					require.Equal(t, "held", <-p.begun)
				}
			})
		})
	}
}

// waiting returns the ids of the prompts that GET /queue lists as pending.
func (p *paced) waiting() (ids []string) {
	w := httptest.NewRecorder()
	p.server.ServeHTTP(w, httptest.NewRequestWithContext(p.t.Context(), "GET", "/queue", nil))
	require.Equal(p.t, http.StatusOK, w.Code, w.Body)
	for _, item := range at(p.t, answered{body: w.Body.String()}.json(p.t), "queue_pending").([]any) {
		ids = append(ids, at(p.t, item, 1).(string))
	}
	return ids
}
