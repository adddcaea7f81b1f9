package nodebus_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// word is an event that is never replaced. gauge is an event that a newer gauge with
// the same name replaces.
type (
	word  string
	gauge struct {
		Name string
		N    int
	}
)

func (word) EventType() string       { return "word" }
func (gauge) EventType() string      { return "gauge" }
func (g gauge) CoalesceKey() string  { return g.Name }
func start(id string) nodebus.Event  { return about(id, nodebus.ExecutionStart{PromptID: id}) }
func ending(id string) nodebus.Event { return about(id, nodebus.Executing{PromptID: id}) }

// about returns an event of a prompt that client "alice" submitted.
func about(id string, p nodebus.Payload) nodebus.Event {
	return nodebus.Event{PromptID: id, To: "alice", Payload: p}
}

// openHub returns a hub that is closed at the end of the test.
func openHub(t testing.TB, opts *nodebus.HubOptions) *nodebus.Hub {
	h := nodebus.NewHub(opts)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h
}

// publish publishes all events, without errors. Any goroutine may call it.
func publish(t testing.TB, h *nodebus.Hub, evs ...nodebus.Event) {
	t.Helper()
	for _, ev := range evs {
		if err := h.Publish(ev); err != nil {
			t.Errorf("publish %v: %v", ev.Payload, err)
		}
	}
}

// say broadcasts words.
func say(t testing.TB, h *nodebus.Hub, words ...word) {
	t.Helper()
	for _, w := range words {
		publish(t, h, nodebus.Event{Broadcast: true, Payload: w})
	}
}

// tape is a transport that records its frames. Read the fields only after
// synctest.Wait.
type tape struct {
	mu     sync.Mutex
	frames []nodebus.Frame
	writes []int         // number of frames of each Write
	closed []error       // the causes that Close received
	pause  chan struct{} // Write waits until it is closed; nil: Write does not wait
	gone   chan struct{} // closed by Close; may be nil
	full   chan struct{} // closed when enough frames have arrived
	enough int
	inside bool            // a Write runs
	rest   []nodebus.Frame // frames that TryWrite kept
	takes  int             // number of frames that TryWrite accepts while paused
}

func newPausedTape() *tape {
	return &tape{pause: make(chan struct{}), gone: make(chan struct{})}
}

// play lets waiting Writes and later Writes continue.
func (p *tape) play() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.pause)
	p.pause = nil
}

// stop makes all later Writes wait.
func (p *tape) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pause = make(chan struct{})
}

func (p *tape) Write(ctx context.Context, frames []nodebus.Frame) error {
	p.enter()
	defer p.leave()
	p.mu.Lock()
	pause := p.pause
	p.mu.Unlock()
	if pause != nil {
		select {
		case <-pause:
		case <-p.gone:
			return errors.New("tape: closed")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.mu.Lock()
	rest := p.rest
	p.rest = nil
	p.writes = append(p.writes, len(frames))
	p.mu.Unlock()
	p.record(append(rest, frames...))
	return nil
}

func (p *tape) record(frames []nodebus.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := len(p.frames)
	p.frames = append(p.frames, frames...)
	if p.full != nil && was < p.enough && len(p.frames) >= p.enough {
		close(p.full)
	}
}

// enter and leave panic if two goroutines write at the same time.
func (p *tape) enter() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inside {
		panic("tape: two writes at once")
	}
	if len(p.closed) > 0 {
		panic("tape: written to after Close")
	}
	p.inside = true
}

func (p *tape) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inside = false
}

func (p *tape) Close(cause error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = append(p.closed, cause)
	if p.gone != nil && len(p.closed) == 1 {
		close(p.gone)
	}
	return errors.New("tape: close errors are nobody's business")
}

// said returns one string for each recorded frame: the text of a word, the value of a
// gauge, the range of a gap, and the event type of other frames.
func (p *tape) said(t testing.TB) (all []string) {
	t.Helper()
	for _, f := range p.frames {
		all = append(all, spell(t, f))
	}
	return all
}

func spell(t testing.TB, f nodebus.Frame) string {
	t.Helper()
	ev, err := nodebus.JSON.Decode(nodebus.Frame{Binary: f.Binary, Data: f.Data})
	require.NoError(t, err)
	switch p := ev.Payload.(type) {
	case nodebus.Gap:
		return fmt.Sprintf("gap %d-%d", p.Since, p.Next)
	case nodebus.Executing:
		return strings.TrimSpace("executing " + p.UniqueID)
	case nodebus.Custom:
		raw, _ := p.Data.(json.RawMessage)
		var g gauge
		switch {
		case p.Type == "word":
			return strings.Trim(string(raw), `"`)
		case p.Type == "gauge" && json.Unmarshal(raw, &g) == nil:
			return fmt.Sprintf("%s=%d", g.Name, g.N)
		}
	}
	return f.Type
}

// bare returns the frames as strings, to compare them.
func bare(frames []nodebus.Frame) (all []string) {
	for _, f := range frames {
		all = append(all, fmt.Sprintf("%d %s %t %q", f.ID, f.Type, f.Binary, f.Data))
	}
	return all
}

// serveOn serves s on tr until the session or the test ends. over waits for the end and
// returns the error of Serve.
func serveOn(t testing.TB, s *nodebus.Session, tr nodebus.Transport) (over func() error) {
	var err error
	done := make(chan struct{})
	ctx := t.Context()
	go func() {
		defer close(done)
		err = s.Serve(ctx, tr)
	}()
	return func() error {
		<-done
		return err
	}
}

// tryTape is a tape that is a TryWriter. It accepts all frames at once, or only the
// first few while it is paused.
type tryTape struct{ *tape }

// asTransport returns p as a tape or as a tryTape.
func asTransport(p *tape, try bool) nodebus.Transport {
	if try {
		return tryTape{p}
	}
	return p
}

func (p tryTape) AppendFrame(dst []byte, f nodebus.Frame) []byte { return appendWire(dst, f) }

func (p tryTape) TryWrite(wire []byte) (all bool, err error) {
	p.enter()
	defer p.leave()
	if len(wire) == 0 {
		panic("tape: tried with nothing")
	}
	p.mu.Lock()
	paused, owes := p.pause != nil, len(p.rest) > 0
	p.mu.Unlock()
	if owes {
		panic("tape: tried before the rest was written")
	}
	frames := parseWire(wire)
	if !paused {
		p.record(frames)
		return true, nil
	}
	n := min(p.takes, len(frames))
	p.record(frames[:n])
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest = append(p.rest, frames[n:]...)
	return len(p.rest) == 0, nil
}

// appendWire appends the wire form of the test transports: the parts of the frame, each
// after its length.
func appendWire(dst []byte, f nodebus.Frame) []byte {
	for _, part := range [][]byte{fmt.Append(nil, f.ID), []byte(f.Type), fmt.Append(nil, f.Binary), f.Data} {
		dst = binary.AppendUvarint(dst, uint64(len(part)))
		dst = append(dst, part...)
	}
	return dst
}

// parseWire returns the frames in the output of appendWire.
func parseWire(wire []byte) (frames []nodebus.Frame) {
	part := func() []byte {
		n, size := binary.Uvarint(wire)
		p := wire[size:][:n]
		wire = wire[size:][n:]
		return bytes.Clone(p)
	}
	for len(wire) > 0 {
		id, _ := strconv.ParseUint(string(part()), 10, 64)
		f := nodebus.Frame{ID: id, Type: string(part()), Binary: string(part()) == "true"}
		f.Data = part()
		frames = append(frames, f)
	}
	return frames
}

// holdUp is a TryWriter that blocks the worker of its shard until it is opened. A real
// TryWriter must not block.
type holdUp struct {
	opened  chan struct{}
	once    sync.Once
	mu      sync.Mutex
	batches [][]nodebus.Frame
}

func newHoldUp(t testing.TB) *holdUp {
	g := &holdUp{opened: make(chan struct{})}
	t.Cleanup(g.open) // so that a failed test ends
	return g
}

func (g *holdUp) open()                                      { g.once.Do(func() { close(g.opened) }) }
func (*holdUp) Write(context.Context, []nodebus.Frame) error { return nil }
func (*holdUp) Close(error) error                            { return nil }

func (*holdUp) AppendFrame(dst []byte, f nodebus.Frame) []byte { return appendWire(dst, f) }

func (g *holdUp) TryWrite(wire []byte) (bool, error) {
	<-g.opened
	g.mu.Lock()
	defer g.mu.Unlock()
	g.batches = append(g.batches, parseWire(wire))
	return true, nil
}

// moodyTape accepts a random number of bytes, like an unreliable connection. The tape
// inside checks that the hub respects the contract of TryWriter.
type moodyTape struct {
	tryTape
	rnd *rand.Rand
}

func (p moodyTape) TryWrite(wire []byte) (bool, error) {
	p.mu.Lock()
	p.pause = nil
	if p.takes = p.rnd.IntN(4); p.takes < 3 {
		p.pause = make(chan struct{})
	}
	p.mu.Unlock()
	return p.tryTape.TryWrite(wire)
}

func (p moodyTape) Write(ctx context.Context, frames []nodebus.Frame) error {
	p.mu.Lock()
	p.pause = nil
	p.mu.Unlock()
	return p.tryTape.Write(ctx, frames)
}

// hole is a transport that accepts all frames at once and keeps none.
type hole struct{}

func (hole) Write(context.Context, []nodebus.Frame) error { return nil }
func (hole) Close(error) error                            { return nil }

// tryHole is a hole that is a TryWriter.
type tryHole struct{ hole }

func (tryHole) AppendFrame(dst []byte, f nodebus.Frame) []byte { return append(dst, f.Data...) }
func (tryHole) TryWrite([]byte) (bool, error)                  { return true, nil }
