//go:build e2e

package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/sse"
	"github.com/stretchr/testify/require"
)

const (
	soakClients = 16 // of each script; half of them are behind the bad way
	soakSteps   = 30
	soakFollows = 4 // prompts that a client watches or follows
)

// soakPrompts is the length of the soak. The short form runs by default.
var soakPrompts = flag.Int("prompts", 120, "number of prompts in each soak of the JavaScript client; the long form has some thousands")

// soaked is a published event, or what a script says that one of its clients has received.
type soaked struct {
	Client string `json:"client"`
	Type   string `json:"type"`
	Cursor string `json:"cursor"`
	Prompt string `json:"prompt"`
	N      int    `json:"n"`
	Since  uint64 `json:"since"` // of a gap
	Next   uint64 `json:"next"`

	// What a client has learned about a run that it follows.
	State      string `json:"state"`
	Text       string `json:"text"`
	Incomplete bool   `json:"incomplete"`

	id uint64
	to string
}

// kept are the types that are never replaced by newer events.
var kept = []string{
	"execution_start", "executing", "e2e.said", "nodebus.text", "blob", "execution_success", "executing end",
}

// toSoaked returns what the test compares of a published event.
func toSoaked(ev nodebus.Event) soaked {
	x := soaked{id: ev.ID, to: ev.To, Type: ev.Payload.EventType(), Prompt: ev.PromptID}
	switch p := ev.Payload.(type) {
	case Said:
		x.N = p.N
	case nodebus.TextPiece:
		x.N = p.Offset
	case nodebus.Custom:
		if b, ok := p.Data.([]byte); ok {
			x.Type, x.N = "blob", int(b[4])
		}
	case nodebus.Executing:
		if p.UniqueID == "" {
			x.Type = "executing end"
		}
	}
	return x
}

// soakPrompt publishes the events of a run.
func soakPrompt(hub *nodebus.Hub, n int, rnd *rand.Rand, clients []string) error {
	id, to := fmt.Sprint("p", n), clients[n%len(clients)]
	var failed error
	send := func(p nodebus.Payload) {
		if err := hub.Publish(nodebus.Event{PromptID: id, To: to, Payload: p}); err != nil {
			failed = err
		}
	}
	place := nodebus.Place{UniqueID: "1", DisplayID: "1"}
	send(nodebus.ExecutionStart{PromptID: id})
	send(nodebus.Executing{PromptID: id, UniqueID: "1", DisplayID: "1"})
	for i, at := 0, 0; i < soakSteps; i++ {
		piece := fmt.Sprintf("%d ", i)
		send(Said{i})
		send(nodebus.TextPiece{Place: place, PromptID: id, Offset: at, Piece: piece})
		at += len(piece)
		send(nodebus.Custom{Type: "20099", Data: append([]byte{0, 0, 0x4e, 0x83, byte(i)}, make([]byte, rnd.IntN(300))...)})
		send(nodebus.ProgressState{PromptID: id}.With(nodebus.NodeState{Place: place, State: "running", Value: float64(i), Max: soakSteps}))
		time.Sleep(time.Duration(rnd.IntN(40)) * time.Millisecond)
	}
	send(nodebus.ExecutionSuccess{PromptID: id})
	send(nodebus.Executing{PromptID: id})
	return failed
}

// soakServer is the server, and a list of all that it has published.
type soakServer struct {
	hub    *nodebus.Hub
	web    *httptest.Server
	bad    *faulty
	truth  []soaked
	record sync.WaitGroup
}

func newSoakServer(t *testing.T, seed uint64) *soakServer {
	t.Helper()
	opts := nodebus.HubOptions{QueueLen: 64, KeepLen: 1 << 19, KeepBytes: 512 << 20, Retain: time.Hour}
	s := &soakServer{hub: nodebus.NewHub(&opts)}
	engine := flow.NewEngine(flow.NewRegistry(), s.hub, nil)
	bus := comfy.New(engine, nil)
	routes := http.NewServeMux()
	routes.Handle("/", bus)
	routes.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><link rel="icon" href="data:,">`))
	})
	routes.Handle("GET /events", sse.New(s.hub, &sse.Options{PingInterval: time.Second}))
	s.web = httptest.NewServer(routes)
	t.Cleanup(func() {
		_ = s.hub.Close()
		s.record.Wait()
		_ = bus.Close()
		s.web.CloseClientConnections()
		s.web.Close()
	})
	events := s.hub.Subscribe(t.Context())
	s.record.Go(func() {
		for ev, err := range events {
			if err != nil {
				t.Error(err)
				return
			}
			s.truth = append(s.truth, toSoaked(ev))
		}
	})
	s.bad = newFaulty(t, s.web.Listener.Addr().String(), seed)
	return s
}

// TestModuleSoak compares what clients of the JavaScript module receive, half of them over
// a bad way, with what was published. Each event must arrive once and in order, also if a
// client is made anew with the cursor of the client before. What clients know about the
// runs that they follow must be right.
func TestModuleSoak(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script    []string
		transport string
	}{
		"Node, streams":        {[]string{"node", filepath.Join("clients", "soak.mjs")}, "sse"},
		"Node, WebSockets":     {[]string{"node", "--experimental-websocket", "--no-warnings", filepath.Join("clients", "soak.mjs")}, "ws"},
		"Chromium, WebSockets": {[]string{"node", filepath.Join("browser", "soak.mjs")}, "ws"},
	} {
		t.Run(name, func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			s := newSoakServer(t, seed)
			var clients []string
			for i := range soakClients {
				clients = append(clients, fmt.Sprint("m", i))
			}
			var said []string
			var script sync.WaitGroup
			defer script.Wait()
			script.Go(func() {
				args := []string{c.transport, s.web.URL + "/", s.bad.url(), strconv.Itoa(soakClients), strconv.Itoa(soakFollows), strconv.Itoa(*soakPrompts)}
				said = run(t, c.script[0], append(c.script[1:], args...)...)
			})
			s.awaitClients(t, soakClients)
			s.bad.good.Store(false)
			s.publish(t, seed, clients)
			script.Wait()
			require.NoError(t, s.hub.Close())
			s.record.Wait()
			t.Logf("%d events published, %d lines received; %d cuts, %d stalls, %d rejected connections", len(s.truth), len(said), s.bad.cuts.Load(), s.bad.stalls.Load(), s.bad.rejects.Load())
			require.Positive(t, s.bad.cuts.Load())
			s.compare(t, said)
		})
	}
}

// awaitClients waits until the clients are connected.
func (s *soakServer) awaitClients(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		connected := map[string]bool{}
		for _, x := range s.hub.Sessions() {
			connected[x.Client] = true
		}
		if len(connected) >= n {
			return
		}
		require.True(t, time.Now().Before(deadline), "%d of %d clients are connected", len(connected), n)
	}
}

// publish publishes all runs, some at a time, and then what ends the scripts.
func (s *soakServer) publish(t *testing.T, seed uint64, clients []string) {
	t.Helper()
	next := make(chan int)
	var publishers sync.WaitGroup
	for i := range 12 {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		publishers.Go(func() {
			for n := range next {
				if err := soakPrompt(s.hub, n, rnd, clients); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range *soakPrompts {
		next <- n
	}
	close(next)
	publishers.Wait()
	s.bad.good.Store(true)
	require.NoError(t, s.hub.Broadcast(nodebus.Custom{Type: "e2e.finish"}))
}

// compare compares what the scripts say with what was published.
func (s *soakServer) compare(t *testing.T, said []string) {
	t.Helper()
	text := ""
	for i := range soakSteps {
		text += fmt.Sprintf("%d ", i)
	}
	received, runs := map[string][]soaked{}, 0
	for _, line := range said {
		var x soaked
		require.NoError(t, json.Unmarshal([]byte(line), &x))
		if x.Type == "run" {
			runs++
			require.Equal(t, []any{"success", text, false}, []any{x.State, x.Text, x.Incomplete}, "client %s follows %s", x.Client, x.Prompt)
			continue
		}
		_, id, _ := strings.Cut(x.Cursor, "-")
		x.id, _ = strconv.ParseUint(id, 10, 64)
		received[x.Client] = append(received[x.Client], x)
	}
	require.Equal(t, soakClients/2*soakFollows, runs)
	for i := range soakClients {
		client := fmt.Sprint("m", i)
		s.compareClient(t, client, received[client])
	}
}

// compareClient compares the events of a client. The first is its greeting, and names the
// prompts that the client watches, or, if N is 1, those that it follows and says nothing of.
func (s *soakServer) compareClient(t *testing.T, client string, got []soaked) {
	t.Helper()
	require.NotEmpty(t, got)
	require.Equal(t, "greeting", got[0].Type)
	named, follows := strings.Split(got[0].Prompt, ","), got[0].N == 1
	var due []soaked
	for _, f := range s.truth {
		mine := f.to == client
		if slices.Contains(named, f.Prompt) {
			mine = !follows
		}
		if f.id > got[0].id && mine && slices.Contains(kept, f.Type) {
			due = append(due, f)
		}
	}
	next, last := 0, got[0].id
	for _, x := range got[1:] {
		require.NotEqual(t, "gap", x.Type, "%s: a gap, although the log has everything", client)
		require.Greater(t, x.id, last, "%s: %+v came again, or too late", client, x)
		last = x.id
		if !slices.Contains(kept, x.Type) {
			continue
		}
		require.Less(t, next, len(due), "%s: %+v was for somebody else", client, x)
		f := due[next]
		require.Equal(t, []any{f.id, f.Type, f.Prompt, f.N}, []any{x.id, x.Type, x.Prompt, x.N}, "%s: event %d of %d is lost, doubled or for somebody else", client, next, len(due))
		next++
	}
	require.Len(t, due, next, "%s: the last events are lost", client)
	require.NotZero(t, next)
}
