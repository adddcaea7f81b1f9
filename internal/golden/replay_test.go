package golden_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/refpack"
	"github.com/stretchr/testify/require"
)

// watcher is an additional client that watches all prompts. No trace contains it.
const watcher = "(watcher)"

// replayer repeats the actions of the clients in a trace, each action at its recorded
// time.
type replayer struct {
	t        *testing.T
	tr       *trace
	registry *flow.Registry
	engine   *flow.Engine
	hub      *nodebus.Hub
	folders  refpack.Options
	sinks    map[string]*sink
	serving  sync.WaitGroup
	given    []string // pairs of a recorded id and the id that replaces it in this run
}

// stage is the system under test: an engine with a hub, or a server.
type stage interface {
	open(e *entry)  // a client connects
	say(e *entry)   // a client sends a message
	leave(e *entry) // a client closes its connection
	ask(e *entry)   // a client sends a request
	seen() *transcript
	stop()
}

// replay runs the scenario and returns its transcript. Call it inside a synctest bubble.
func (tr *trace) replay(t *testing.T, m mode) *transcript {
	r := &replayer{
		t: t, tr: tr, registry: flow.NewRegistry(), hub: nodebus.NewHub(nil),
		folders: refpack.Options{Temp: t.TempDir(), Output: t.TempDir()},
		sinks:   map[string]*sink{},
	}
	r.folders.Hub = r.hub
	refpack.Register(r.registry, &r.folders)
	r.engine = flow.NewEngine(r.registry, r.hub, &flow.EngineOptions{
		Executor: flow.NewLocal(r.registry, &flow.LocalOptions{Workers: 1, Cache: flow.ClassicCache()}), // the order and the cache of the reference
		Parallel: 1,
	})
	var s stage = &inside{replayer: r, sessions: map[string]*nodebus.Session{}}
	if m != core {
		s = newOutside(r, m)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.serving.Go(func() { _ = r.engine.Run(ctx) })
	defer func() {
		cancel()
		require.NoError(t, r.hub.Close())
		s.stop()
		r.serving.Wait()
	}()
	r.join(watcher, watcher, &nodebus.SessionOptions{WatchAll: true, Codec: nodebus.JSONCodec{BarePreviews: true}})
	r.run(s, m)
	time.Sleep(time.Minute) // until everything has ended
	synctest.Wait()
	ts := s.seen()
	for client, sink := range r.sinks {
		ts.clients[client] = nil
		for _, f := range sink.frames {
			f.Data = r.then(f.Data)
			ts.clients[client] = append(ts.clients[client], received(t, f))
		}
	}
	return ts
}

// run performs the entries of the log in the order of time. For a request, the log
// position is the time of the response, so run uses the start time instead.
func (r *replayer) run(s stage, m mode) {
	at := func(e *entry) float64 {
		if e.Kind == "http" {
			return e.Start
		}
		return e.T
	}
	var todo []*entry
	for i := range r.tr.Log {
		if e := &r.tr.Log[i]; !r.tr.skips(m, e) {
			todo = append(todo, e)
		}
	}
	slices.SortStableFunc(todo, func(a, b *entry) int { return cmp.Compare(at(a), at(b)) })
	begin := time.Now()
	for _, e := range todo {
		time.Sleep(time.Until(begin.Add(time.Duration(at(e) * float64(time.Second)))))
		synctest.Wait()
		switch e.Kind {
		case "ws_open":
			s.open(e)
		case "ws_send":
			s.say(e)
		case "ws_close", "ws_close_frame": // ws_close_frame answers ws_close, and not every ws_close was logged
			s.leave(e)
		case "http":
			s.ask(e)
		}
		synctest.Wait()
	}
}

func (r *replayer) join(name, id string, opts *nodebus.SessionOptions) *nodebus.Session {
	s, sink := r.hub.Join(id, opts), &sink{}
	r.sinks[name] = sink
	r.serving.Go(func() { _ = s.Serve(r.t.Context(), sink) })
	synctest.Wait() // from now on every message is written at once, and messages are not merged
	return s
}

// sink is a Transport that keeps all frames.
type sink struct{ frames []nodebus.Frame }

func (s *sink) Write(_ context.Context, frames []nodebus.Frame) error {
	s.frames = append(s.frames, frames...)
	return nil
}

// AppendFrame encodes a frame as a line of JSON.
func (s *sink) AppendFrame(dst []byte, f nodebus.Frame) []byte {
	line, _ := json.Marshal(f)
	return append(append(dst, line...), '\n')
}

func (s *sink) TryWrite(wire []byte) (bool, error) {
	for line := range bytes.Lines(wire) {
		var f nodebus.Frame
		if err := json.Unmarshal(line, &f); err != nil {
			return false, err
		}
		s.frames = append(s.frames, f)
	}
	return true, nil
}

func (s *sink) Close(error) error { return nil }
