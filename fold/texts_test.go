package fold_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/fold"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/nodebus/nodebus/internal/bytelog"
	"github.com/stretchr/testify/require"
)

// TestTextsArriveOnce: whenever readers join, however slow they are, and wherever their
// connections break, they have each byte of each text once, in order.
func TestTextsArriveOnce(t *testing.T) {
	const seeds = 20
	joined := 0
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := newTextWorld(rand.New(rand.NewPCG(seed, 13)))
				w.play(t)
				joined += w.joined
			})
		})
	}
	require.Greater(t, joined, 10*seeds, "few pieces were joined")
}

// textWorld is a prompt whose nodes write texts, and the readers of the prompt.
type textWorld struct {
	*rand.Rand
	hub     *nodebus.Hub
	calls   []*nodebus.Context
	readers []*textReader
	serving sync.WaitGroup
	pieces  atomic.Int64 // that were published
	joined  int
}

func newTextWorld(r *rand.Rand) *textWorld {
	opts := &nodebus.HubOptions{QueueLen: 1 + r.IntN(40)}
	if r.IntN(3) == 0 {
		opts.Log = bytelog.New()
	}
	return &textWorld{Rand: r, hub: nodebus.NewHub(opts)}
}

func (w *textWorld) Publish(ev nodebus.Event) error {
	if _, ok := ev.Payload.(nodebus.TextPiece); ok {
		w.pieces.Add(1)
	}
	return w.hub.Publish(ev)
}

// textReader is a client that folds what it receives.
type textReader struct {
	w       *textWorld
	opts    nodebus.SessionOptions
	codec   nodebus.Codec
	session *nodebus.Session
	left    chan struct{} // closed when the connection has ended

	mu     sync.Mutex
	run    fold.Run
	since  nodebus.Cursor
	length map[string]int // of each text
	pieces int
	soFar  map[string]string // for stock clients, by node
	fault  string
	lasts  int           // frames until the connection breaks
	pause  time.Duration // before each Write returns
}

func (r *textReader) Write(_ context.Context, frames []nodebus.Frame) error {
	time.Sleep(r.pause)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range frames {
		if r.lasts--; r.lasts < 0 {
			return errors.New("the connection broke")
		}
		ev, err := r.codec.Decode(f)
		if err != nil {
			return err
		}
		if ev.ID > 0 {
			r.since = ev.Cursor()
		}
		r.receive(ev)
	}
	return nil
}

func (r *textReader) Close(error) error { return nil }

func (r *textReader) receive(ev nodebus.Event) {
	switch p := ev.Payload.(type) {
	case nodebus.TextPiece:
		r.pieces++
		key := p.UniqueID + "/" + p.Name
		if p.Offset != 0 && p.Offset != r.length[key] {
			r.fault = fmt.Sprintf("text %s has %d bytes, and the piece %+v came", key, r.length[key], p)
		}
		r.length[key] = p.Offset + len(p.Piece)
	case nodebus.ProgressText:
		r.soFar[p.UniqueID] = p.Text
	case nodebus.Gap:
		r.fault = fmt.Sprintf("gap %+v", p)
	}
	r.run.Apply(ev)
}

// join connects the reader, again if it was connected.
func (r *textReader) join(t *testing.T, breaks bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lasts, r.pause = 1<<30, 0
	if breaks && r.w.IntN(2) == 0 {
		r.lasts = r.w.IntN(60)
	}
	if r.w.IntN(2) == 0 {
		r.pause = time.Duration(r.w.IntN(100)) * time.Millisecond
	}
	opts := r.opts
	opts.Codec = r.codec
	if opts.Codec != nodebus.JSON {
		opts.Since = r.since
	}
	if opts.Since == (nodebus.Cursor{}) {
		r.run, r.length = fold.Run{PromptID: "p"}, map[string]int{}
	}
	s := r.w.hub.Join("me", &opts)
	left := make(chan struct{})
	r.session, r.left = s, left
	r.w.serving.Go(func() {
		defer close(left)
		_ = s.Serve(t.Context(), r)
	})
}

// cut ends the connection.
func (r *textReader) cut() {
	r.session.Close(errors.New("the line is cut"))
	<-r.left
}

// play runs the prompt, and checks what the readers have.
func (w *textWorld) play(t *testing.T) {
	job := &nodebus.Job{Prompt: &nodebus.Prompt{ID: "p", ClientID: "me"}, Attempt: 1}
	publish := func(p nodebus.Payload) {
		require.NoError(t, w.hub.Publish(nodebus.Event{PromptID: "p", To: "me", Attempt: 1, Payload: p}))
	}
	publish(nodebus.ExecutionStart{PromptID: "p", Attempt: 1})
	for k := range 1 + w.IntN(3) {
		id := fmt.Sprint(k + 1)
		publish(nodebus.Executing{UniqueID: id, DisplayID: id, PromptID: "p"})
		w.calls = append(w.calls, nodebus.NewContext(t.Context(), nodebus.CallInfo{
			Place: nodebus.Place{UniqueID: id}, Job: job, Publisher: w,
			TextPause: []time.Duration{0, time.Millisecond, 20 * time.Millisecond}[w.IntN(3)],
		}))
	}
	want := map[string]string{} // by node and name
	for range 200 + w.IntN(1000) {
		w.step(t, want, publish)
	}
	for _, c := range w.calls {
		c.End()
	}
	w.finish(t)
	w.check(t, want)
	require.NoError(t, w.hub.Close())
	w.serving.Wait()
}

// step does something at random, usually it writes.
func (w *textWorld) step(t *testing.T, want map[string]string, publish func(nodebus.Payload)) {
	c := w.calls[w.IntN(len(w.calls))]
	name := []string{"", "", "", "log"}[w.IntN(4)]
	switch n := w.IntN(100); {
	case n < 2:
		codec := nodebus.Codec(nodebus.JSONCodec{Envelope: true})
		if w.IntN(4) == 0 {
			codec = nodebus.JSON
		}
		r := &textReader{w: w, codec: codec, soFar: map[string]string{}}
		r.join(t, true)
		w.readers = append(w.readers, r)
	case n < 5 && len(w.readers) > 0:
		r := w.readers[w.IntN(len(w.readers))]
		r.cut()
		r.join(t, true)
	case n < 8:
		publish(nodebus.Progress{Value: 1, Max: 2, PromptID: "p", UniqueID: c.UniqueID()})
	case n < 10:
		require.NoError(t, c.SendSync(nodebus.Custom{Type: "test.mark", Data: 1}))
	case n < 11:
		require.NoError(t, c.Text(name).Reset())
		want[c.UniqueID()+"/"+name] = ""
	case n < 25:
		time.Sleep(time.Duration(w.IntN(30)) * time.Millisecond)
	default:
		word := []string{"a", "ö", "€ ", "word ", "\n"}[w.IntN(5)]
		out := c.Text(name)
		for b := range len(word) { // a character comes in several writes
			_, err := out.Write([]byte(word[b : b+1]))
			require.NoError(t, err)
		}
		want[c.UniqueID()+"/"+name] += word
	}
}

// finish lets each reader receive everything.
func (w *textWorld) finish(t *testing.T) {
	for _, r := range w.readers {
		r.cut()
		r.join(t, false)
	}
	time.Sleep(time.Hour)
	synctest.Wait()
}

func (w *textWorld) check(t *testing.T, want map[string]string) {
	for _, r := range w.readers {
		require.Empty(t, r.fault)
		if r.codec == nodebus.JSON {
			for id, text := range r.soFar {
				require.Contains(t, []string{want[id+"/"], want[id+"/log"]}, text)
			}
			require.Zero(t, r.pieces)
			continue
		}
		for key, text := range want {
			node := r.run.Nodes[key[:1]]
			require.Equal(t, text, node.Texts[key[2:]], key)
		}
		w.joined += max(0, int(w.pieces.Load())-r.pieces)
	}
}
