package nats_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestDamagedSignals: a message that cannot be read is left out, and told once.
func TestDamagedSignals(t *testing.T) {
	name := newName()
	var out lockedBuffer
	a := open(t, shared, nats.Options{Name: name, Logger: loggerTo(&out)})
	nc := connect(t, shared)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	require.NoError(t, a.Signals().Send(t.Context(), named("one")))
	for _, data := range []string{"", "{", "{}", `{"id":"x"}`, `{"id":7}`, `{"signal":{}}`, `{"void":true}`, `[]`} {
		_, err := js.Publish(t.Context(), name+"_SIGNALS.kept.ip", []byte(data))
		require.NoError(t, err)
	}
	require.NoError(t, a.Signals().Send(t.Context(), named("two")))
	box := &inbox{}
	_, err = a.Signals().Receive("p", box.receive)
	require.NoError(t, err)
	for _, data := range []string{"", "{", `{"id":"x"}`} { // questions of another program
		require.NoError(t, nc.Publish(name+"_SIGNALS.ask.ip", []byte(data)))
	}
	b := open(t, shared, nats.Options{Name: name})
	require.NoError(t, b.Signals().Send(t.Context(), named("three")))
	require.Equal(t, []string{"one", "two", "three"}, box.got())
	require.Equal(t, []string{"one", "two", "three"}, keeps(t, b.Signals()))
	out.comes(t, "\n")
	require.NoError(t, a.Close(), "it waits for the logger")
	require.Equal(t, 1, strings.Count(out.String(), "\n"), out.String())
}

// TestStreamOfSignals: what is refused or dropped leaves nothing behind but a message that
// expires, and no memory.
func TestStreamOfSignals(t *testing.T) {
	opts := nats.Options{Name: newName()}
	a, b := open(t, shared, opts), open(t, shared, opts)
	messages := func() uint64 { return stored(t, shared, opts.Name+"_SIGNALS") }
	require.NoError(t, a.Signals().Drop(t.Context(), "p"))
	require.EqualValues(t, 0, messages(), "there is nothing to drop")
	no := errors.New("no")
	stop, err := a.Signals().Receive("p", func(flow.Signal) error { return no })
	require.NoError(t, err)
	for range 5 {
		require.EqualError(t, b.Signals().Send(t.Context(), named("x")), "no")
		require.EqualError(t, a.Signals().Send(t.Context(), named("x")), "no")
	}
	require.EqualValues(t, 10, messages(), "only that they are refused")
	stop()
	for n := range 5 {
		require.NoError(t, b.Signals().Send(t.Context(), named(fmt.Sprint(n))))
	}
	require.NoError(t, a.Signals().Drop(t.Context(), "p"))
	require.EqualValues(t, 1, messages())
	for _, s := range []flow.Signals{a.Signals(), b.Signals(), open(t, shared, opts).Signals()} {
		require.NoError(t, nats.CatchUpSignals(t.Context(), s))
		boxes, bytes, receivers := nats.Left(s)
		require.Equal(t, []int{0, 0, 0}, []int{boxes, bytes, receivers})
	}
}

// TestDropIsCompleted: a process that opens the signals deletes what another process has
// dropped, and was killed before it deleted it.
func TestDropIsCompleted(t *testing.T) {
	opts := nats.Options{Name: newName()}
	a := open(t, shared, opts)
	require.NoError(t, a.Signals().Send(t.Context(), named("x")))
	require.NoError(t, nats.OrderDrop(t.Context(), a.Signals(), "p"))
	require.NoError(t, a.Signals().Send(t.Context(), named("y")))
	require.EqualValues(t, 3, stored(t, shared, opts.Name+"_SIGNALS"))
	b := open(t, shared, opts)
	require.EqualValues(t, 2, stored(t, shared, opts.Name+"_SIGNALS"))
	require.Equal(t, []string{"y"}, keeps(t, b.Signals()))
	require.Equal(t, []string{"y"}, keeps(t, a.Signals()))
}

// TestOrphans: a process that opens the store deletes the parts of records that were never
// completed.
func TestOrphans(t *testing.T) {
	opts := nats.Options{Name: newName()}
	a := open(t, shared, opts)
	require.NoError(t, a.Store().Put(t.Context(), ended("p", 1, 1<<20)))
	js, err := jetstream.New(connect(t, shared))
	require.NoError(t, err)
	for _, subject := range []string{".ip.c.OTHER.0", ".ip.c.OTHER.1", ".iq.c.X.0"} {
		_, err := js.Publish(t.Context(), opts.Name+"_STORE"+subject, nil)
		require.NoError(t, err)
	}
	open(t, shared, opts)
	require.Len(t, subjects(t, opts.Name+"_STORE"), 7, "they may belong to a record that is being stored")
	defer nats.SetOrphanTime(0)()
	b := open(t, shared, opts)
	require.Len(t, subjects(t, opts.Name+"_STORE"), 4)
	require.Equal(t, []string{"p#1"}, recordsOf(t, b.Store()))
}

func TestSignalsHaveLimits(t *testing.T) {
	for name, c := range map[string]struct {
		opts flow.SignalsOptions
		err  string
		kept int
	}{
		"len":   {flow.SignalsOptions{PromptLen: 3}, `nodebus: the prompt has 3 answers already, see SignalsOptions.PromptLen: prompt "p"`, 3},
		"bytes": {flow.SignalsOptions{PromptBytes: 700}, `nodebus: the answers to the prompt would take more than 700 bytes, see SignalsOptions.PromptBytes: prompt "p"`, 4},
		"all":   {flow.SignalsOptions{Bytes: 700}, `nodebus: the signals of all prompts would take more than 700 bytes; send again later, or raise SignalsOptions.Bytes: prompt "p"`, 4},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := two(t, nats.Options{Signals: &c.opts})
			for n := range c.kept {
				require.NoError(t, []*nats.Bus{a, b}[n%2].Signals().Send(t.Context(), named("x")))
			}
			box := &inbox{}
			_, err := a.Signals().Receive("p", box.receive)
			require.NoError(t, err)
			for _, s := range []flow.Signals{a.Signals(), b.Signals()} {
				err := s.Send(t.Context(), named("y"))
				require.ErrorIs(t, err, flow.ErrFull)
				require.EqualError(t, err, c.err)
			}
			require.Len(t, box.got(), c.kept)
			require.NoError(t, a.Signals().Drop(t.Context(), "p"))
			require.NoError(t, b.Signals().Send(t.Context(), named("z")), "another process has made room")
		})
	}
	t.Run("message", func(t *testing.T) {
		a, _ := two(t, nats.Options{Signals: &flow.SignalsOptions{PromptBytes: 64 << 20}})
		large := flow.Signal{PromptID: "p", Answer: json.RawMessage(`"` + strings.Repeat("x", 9<<20) + `"`)}
		err := a.Signals().Send(t.Context(), large)
		require.ErrorIs(t, err, flow.ErrFull)
		require.ErrorContains(t, err, "max_payload")
		require.ErrorContains(t, a.Signals().Send(t.Context(), flow.Signal{PromptID: "p", Answer: json.RawMessage(`{`)}), "has no JSON")
		require.Empty(t, keeps(t, a.Signals()))
	})
}

// TestOtherStreamOfStoreAndSignals deletes the streams and makes them again.
func TestOtherStreamOfStoreAndSignals(t *testing.T) {
	opts := nats.Options{Name: newName()}
	a := open(t, shared, opts)
	js, err := jetstream.New(connect(t, shared))
	require.NoError(t, err)
	require.NoError(t, js.DeleteStream(t.Context(), opts.Name+"_STORE"))
	require.NoError(t, js.DeleteStream(t.Context(), opts.Name+"_SIGNALS"))
	b := open(t, shared, opts)
	for err = nil; err == nil; {
		err = a.Store().Put(t.Context(), ended("p", 1, 10))
	}
	for err = nil; err == nil || errors.Is(err, nats.ErrAway); {
		_, err = a.Store().Get(t.Context(), "p")
	}
	require.ErrorIs(t, err, nats.ErrOtherStream)
	for err = nil; err == nil || errors.Is(err, nats.ErrAway); {
		err = a.Signals().Drop(t.Context(), "p")
	}
	require.ErrorIs(t, err, nats.ErrOtherStream)
	require.ErrorIs(t, a.Signals().Send(t.Context(), named("x")), nats.ErrOtherStream)
	require.NoError(t, b.Signals().Send(t.Context(), named("x")))
}

// TestTwoReceiversAtOnce begins to receive in two processes at the same time. Whoever wins,
// a signal reaches a receiver.
func TestTwoReceiversAtOnce(t *testing.T) {
	a, b := two(t, nats.Options{})
	for n := range 20 {
		var all sync.WaitGroup
		boxes := []*inbox{{}, {}}
		for i, s := range []flow.Signals{a.Signals(), b.Signals()} {
			all.Go(func() {
				if _, err := s.Receive("p", boxes[i].receive); err != nil {
					t.Errorf("receive: %v", err)
				}
			})
		}
		all.Wait()
		name := fmt.Sprint(n)
		require.NoError(t, a.Signals().Send(t.Context(), named(name)))
		require.Contains(t, append(boxes[0].got(), boxes[1].got()...), name)
	}
}

// TestCloseEndsGoroutines: Close waits for the goroutines of receivers and readers, also if
// receivers were stopped or replaced, or NATS is away.
func TestCloseEndsGoroutines(t *testing.T) {
	port, name := freePort(t), newName()
	s, url := serve(t, t.TempDir(), port), fmt.Sprint("nats://127.0.0.1:", port)
	a, b := openOn(t, newLine(), url, nats.Options{Name: name}), openOn(t, newLine(), url, nats.Options{Name: name})
	for n := range 8 {
		id := fmt.Sprint("p", n/2)
		stop, err := []*nats.Bus{a, b}[n%2].Signals().Receive(id, func(flow.Signal) error { return nil })
		require.NoError(t, err)
		require.NoError(t, a.Signals().Send(t.Context(), flow.Signal{PromptID: id}))
		if n%3 == 0 {
			stop()
		}
	}
	require.NoError(t, a.Close())
	require.NoError(t, s.Close())
	require.NoError(t, b.Close())
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for _, part := range []string{"nats.(*receiver)", "nats.(*signals)", "nats.(*reader)", "nats.(*recordStore)"} {
		require.NotContains(t, string(stacks), part)
	}
}
