package nats_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// messagesOf returns how many messages a stream has.
func messagesOf(t *testing.T, s jetstream.Stream) int {
	t.Helper()
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	return int(info.State.Msgs)
}

// largeRecord returns a record that is stored in parts.
func largeRecord(id string) flow.Record {
	return flow.Record{Prompt: &nodebus.Prompt{ID: id, Extra: map[string]any{"x": strings.Repeat("x", 2<<20)}}, State: nodebus.Succeeded}
}

// TestFailedPutLeavesNoCopies: the engine puts a record again and again while it cannot be
// stored. The stream has one copy of its parts at most.
func TestFailedPutLeavesNoCopies(t *testing.T) {
	fails := func(t *testing.T, bus *nats.Bus) {
		ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer stop()
		require.Error(t, bus.Store().Put(ctx, largeRecord("p")))
	}
	t.Run("the log is away", func(t *testing.T) {
		bus := open(t, shared, nats.Options{Name: newName()})
		nats.StopReading(bus, "LOG")
		require.NoError(t, bus.Log().Append(about("p", said(1))))
		t.Cleanup(func() { nats.EndLog(bus, nodebus.ErrClosed) }) // so that Close does not wait
		fails(t, bus)
		require.Zero(t, messagesOf(t, nats.StoreStream(bus.Store())), "the events come first")
	})
	t.Run("the record is refused", func(t *testing.T) {
		bus := open(t, shared, nats.Options{Name: newName()})
		require.NoError(t, nats.FailHeads(bus.Store(), true))
		for range 4 {
			fails(t, bus)
		}
		copies := messagesOf(t, nats.StoreStream(bus.Store())) // on a slow machine, not all of the parts
		require.NoError(t, nats.FailHeads(bus.Store(), false))
		require.NoError(t, bus.Store().Put(t.Context(), largeRecord("p")))
		whole := messagesOf(t, nats.StoreStream(bus.Store()))
		require.Equal(t, nats.PartsOf(bus.Store(), "p")+1, whole)
		require.Less(t, copies, whole)
		r, err := bus.Store().Get(t.Context(), "p")
		require.NoError(t, err)
		require.Equal(t, largeRecord("p").Prompt.Extra, r.Prompt.Extra)
	})
	t.Run("another process has stored the record meanwhile", func(t *testing.T) {
		bus, other := two(t, nats.Options{})
		require.NoError(t, nats.FailHeads(bus.Store(), true))
		fails(t, bus)
		require.NoError(t, nats.FailHeads(bus.Store(), false))
		require.NoError(t, other.Store().Put(t.Context(), flow.Record{Prompt: &nodebus.Prompt{ID: "p"}, State: nodebus.Failed}))
		require.NoError(t, bus.Store().Put(t.Context(), largeRecord("p")))
		r, err := other.Store().Get(t.Context(), "p")
		require.NoError(t, err)
		require.Equal(t, largeRecord("p").Prompt.Extra, r.Prompt.Extra)
		require.Equal(t, 1+nats.PartsOf(bus.Store(), "p"), messagesOf(t, nats.StoreStream(bus.Store())))
	})
}

// TestOrphansOfAnOpenStore: a store removes what killed processes leave also while it is open.
func TestOrphansOfAnOpenStore(t *testing.T) {
	t.Cleanup(nats.SetOrphanTime(10 * time.Millisecond))
	bus, killed := two(t, nats.Options{})
	require.NoError(t, nats.FailHeads(killed.Store(), true))
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	require.Error(t, killed.Store().Put(ctx, largeRecord("p")))
	require.NoError(t, nats.FailHeads(killed.Store(), false))
	until(t, func() bool {
		require.NoError(t, bus.Store().Put(t.Context(), flow.Record{Prompt: &nodebus.Prompt{ID: "q"}}))
		return messagesOf(t, nats.StoreStream(bus.Store())) == 1
	})
	require.NoError(t, bus.Store().Put(t.Context(), largeRecord("p")))
	require.NoError(t, bus.Store().Put(t.Context(), flow.Record{Prompt: &nodebus.Prompt{ID: "q"}}))
	_, err := bus.Store().Get(t.Context(), "p")
	require.NoError(t, err, "the parts of a record stay")
}

// TestDeletedStaysDeleted: a process is killed before it has removed what is gone, and no
// process runs until what says so would have expired. It stays gone.
func TestDeletedStaysDeleted(t *testing.T) {
	t.Cleanup(nats.SetGoneTime(time.Second))
	opts := nats.Options{Name: newName()}
	killed := open(t, shared, opts)
	pushAll(t, killed.Queue(), "p")
	l, err := killed.Queue().TakeOne(t.Context(), "p")
	require.NoError(t, err)
	require.NoError(t, killed.Signals().Send(t.Context(), flow.Signal{PromptID: "q", Node: "1", Name: "n"}))
	require.NoError(t, nats.OrderDrop(t.Context(), killed.Signals(), "q"))
	require.NoError(t, nats.EndAsKilled(t.Context(), l))
	queue, signals := nats.QueueStream(killed.Queue()), nats.SignalsStream(killed.Signals())
	require.NoError(t, killed.Close())
	js, err := jetstream.New(connect(t, shared))
	require.NoError(t, err)
	marker, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: opts.Name + "_X", Subjects: []string{opts.Name + "_X"}, AllowMsgTTL: true})
	require.NoError(t, err)
	_, err = js.PublishMsg(t.Context(), natsMsg(opts.Name+"_X"), jetstream.WithMsgTTL(2*time.Second))
	require.NoError(t, err)
	until(t, func() bool { return messagesOf(t, marker) == 0 })

	bus := open(t, shared, opts)
	for x, err := range bus.Queue().List(t.Context()) {
		require.NoError(t, err)
		t.Errorf("prompt %q is back", x.Prompt.ID)
	}
	stop, err := bus.Signals().Receive("q", func(s flow.Signal) error { t.Errorf("%+v is back", s); return nil })
	require.NoError(t, err)
	stop()
	require.NoError(t, nats.Sweep(t.Context(), bus.Queue()))
	// What says that they are gone expires when they are removed.
	until(t, func() bool { return messagesOf(t, queue)+messagesOf(t, signals) == 0 })
}

// TestOneProcessCleans: a process removes what it has ended, and the others hear of it.
func TestOneProcessCleans(t *testing.T) {
	a, b := two(t, nats.Options{})
	pushAll(t, a.Queue(), "done", "deleted")
	require.NoError(t, takeFrom(t, a.Queue(), "done", 1).Done(t.Context()))
	deleted, err := a.Queue().Delete(t.Context(), "deleted")
	require.NoError(t, err)
	require.Len(t, deleted, 1)
	for _, bus := range []*nats.Bus{a, b} {
		until(t, func() bool {
			waiting, leased, err := bus.Queue().Len(t.Context())
			require.NoError(t, err)
			return waiting+leased+nats.Gone(bus.Queue()) == 0
		})
	}
	require.Equal(t, 2, messagesOf(t, nats.QueueStream(a.Queue())), "they say for an hour that the prompts are gone")
	pushAll(t, b.Queue(), "done", "deleted") // the ids are free
	require.NoError(t, takeFrom(t, b.Queue(), "done", 1).Done(t.Context()))
}
