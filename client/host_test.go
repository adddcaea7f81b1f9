package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/sse"
	"github.com/stretchr/testify/require"
)

// server is a server for the tests of both kinds: nodebus's own, and ComfyUI's. Its nodes
// have the classes Say, Fail, Rest and Bad, see [comfyUI].
type server interface {
	url() string
	wake(id string)
	settle() // waits until no prompt runs
}

func (s *comfyUI) url() string { return s.URL }

// host is a program with an engine and a server of package comfy.
type host struct {
	*httptest.Server
	hub    *nodebus.Hub
	engine *flow.Engine
	server *comfy.Server
	rests  *rests
}

func (h *host) url() string    { return h.URL }
func (h *host) wake(id string) { close(h.rests.of(id)) }
func (h *host) settle()        {}

// rests holds a channel for each prompt with a Rest node.
type rests struct {
	mu  sync.Mutex
	all map[string]chan struct{}
}

func (r *rests) of(id string) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all[id] == nil {
		r.all[id] = make(chan struct{})
	}
	return r.all[id]
}

type say struct{ Text string }

func (n say) Run(*nodebus.Context) (nodebus.UI, error) { return nodebus.Text(n.Text), nil }

type fail struct{}

func (fail) Run(*nodebus.Context) (nodebus.UI, error) { return nil, errors.New("boom") }

type rest struct {
	Text  string
	rests *rests
}

func (n rest) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	select {
	case <-n.rests.of(ctx.PromptID()):
		return nodebus.Text(n.Text), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// approve asks a question and shows the answer.
type approve struct{}

func (approve) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	ok, err := nodebus.Await[bool](ctx, "ok", nil)
	if err != nil {
		return nil, err
	}
	return nodebus.Text(map[bool]string{true: "yes", false: "no"}[ok]), nil
}

// bad has an input that no prompt of these tests gives.
type bad struct{ Needed string }

func (n bad) Run(*nodebus.Context) (nodebus.UI, error) { return nodebus.Text(n.Needed), nil }

func newHost(t testing.TB, opts *comfy.Options) *host {
	reg := flow.NewRegistry()
	h := &host{hub: nodebus.NewHub(nil), rests: &rests{all: map[string]chan struct{}{}}}
	flow.Register(reg, say{}, nodebus.Info{Name: "Say"})
	flow.Register(reg, fail{}, nodebus.Info{Name: "Fail"})
	flow.Register(reg, rest{rests: h.rests}, nodebus.Info{Name: "Rest", Async: true, NoCache: true})
	flow.Register(reg, approve{}, nodebus.Info{Name: "Approve", Async: true})
	flow.Register(reg, bad{}, nodebus.Info{Name: "Bad"})
	h.engine = flow.NewEngine(reg, h.hub, &flow.EngineOptions{Parallel: 1})
	h.server = comfy.New(h.engine, opts)
	mux := http.NewServeMux()
	mux.Handle("/", h.server)
	mux.Handle("/events", sse.New(h.hub, nil))
	h.Server = httptest.NewServer(mux)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = h.engine.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		require.NoError(t, h.hub.Close())
		require.NoError(t, h.server.Close())
		h.Close()
	})
	return h
}

// onBoth runs a test against both kinds of server.
func onBoth(t *testing.T, test func(t *testing.T, s server, c *client.Client)) {
	t.Run("nodebus", func(t *testing.T) {
		s := newHost(t, nil)
		test(t, s, dial(t, s.URL+"/ws", nil))
	})
	t.Run("ComfyUI", func(t *testing.T) {
		s := newComfyUI(t)
		test(t, s, dial(t, s.URL+"/ws", nil))
	})
}

// node is a prompt with one node of a class, whose id is 1.
func node(class string) *nodebus.Prompt {
	g := nodebus.NewGraph()
	in := nodebus.Inputs{}
	if class == "Say" || class == "Rest" {
		in["text"] = "hello"
	}
	g.Add(class, in)
	return &nodebus.Prompt{Nodes: g.Nodes()}
}

func submit(t testing.TB, c *client.Client, p *nodebus.Prompt) string {
	t.Helper()
	id, err := c.Submit(t.Context(), p)
	require.NoError(t, err)
	return id
}

// begun waits until a node of a prompt runs. It breaks the loop, so that another loop
// continues.
func begun(t testing.TB, c *client.Client, id string) {
	t.Helper()
	for ev, err := range c.Follow(t.Context(), id) {
		require.NoError(t, err)
		if p, ok := ev.Payload.(nodebus.Executing); ok && p.UniqueID != "" {
			return
		}
	}
	t.Fatal("it has ended")
}
