package nats_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// ended returns a record with some bytes of output.
func ended(id string, attempt, bytes int) flow.Record {
	return flow.Record{
		Prompt: &nodebus.Prompt{ID: id, Nodes: nodebus.Nodes{}}, Attempt: attempt, State: nodebus.Succeeded,
		Outputs: []nodebus.NodeOutput{{UI: nodebus.UI{"text": {strings.Repeat("x", bytes)}}}},
	}
}

// recordsOf returns the ids and attempts of the records of a store.
func recordsOf(t *testing.T, s flow.Store) []string {
	t.Helper()
	all := []string{}
	for r, err := range s.List(t.Context()) {
		require.NoError(t, err)
		all = append(all, fmt.Sprint(r.Prompt.ID, "#", r.Attempt))
	}
	return all
}

// subjects returns the number of messages per subject of a stream.
func subjects(t *testing.T, stream string) map[string]uint64 {
	t.Helper()
	js, err := jetstream.New(connect(t, shared))
	require.NoError(t, err)
	x, err := js.Stream(t.Context(), stream)
	require.NoError(t, err)
	info, err := x.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	require.NoError(t, err)
	return info.State.Subjects
}

func TestRecordsOfTwoProcesses(t *testing.T) {
	a, b := two(t, nats.Options{})
	for n, s := range []flow.Store{a.Store(), b.Store(), a.Store(), b.Store()} {
		require.NoError(t, s.Put(t.Context(), ended(fmt.Sprint("p", n), 1, 10)))
		require.Len(t, recordsOf(t, a.Store()), n+1)
		require.Len(t, recordsOf(t, b.Store()), n+1)
	}
	require.NoError(t, b.Store().Put(t.Context(), ended("p0", 2, 10)), "another process replaces it")
	require.NoError(t, a.Store().Put(t.Context(), ended("p0", 3, 10)))
	r, err := b.Store().Get(t.Context(), "p0")
	require.NoError(t, err)
	require.Equal(t, 3, r.Attempt)
	require.NoError(t, b.Store().Delete(t.Context(), "p2", "nobody"))
	for _, s := range []flow.Store{a.Store(), b.Store()} {
		require.Equal(t, []string{"p3#1", "p1#1", "p0#3"}, recordsOf(t, s), "a record keeps its place")
		_, err = s.Get(t.Context(), "p2")
		require.ErrorIs(t, err, flow.ErrNotFound)
	}
	require.NoError(t, a.Store().Put(t.Context(), ended("p2", 9, 10)))
	require.Equal(t, []string{"p2#9", "p3#1", "p1#1", "p0#3"}, recordsOf(t, b.Store()), "after Delete it is new")
}

// TestRecordsAtOnce puts and deletes the same records in two processes at the same time:
// the processes agree about what is there, and no part of a large record is left.
func TestRecordsAtOnce(t *testing.T) {
	name := newName()
	a, b := open(t, shared, nats.Options{Name: name}), open(t, shared, nats.Options{Name: name})
	var all sync.WaitGroup
	for w, s := range []flow.Store{a.Store(), b.Store(), a.Store(), b.Store()} {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 0))
			for n := range 25 {
				id := fmt.Sprint("p", r.IntN(3))
				var err error
				if r.IntN(4) == 0 {
					err = s.Delete(t.Context(), id)
				} else {
					err = s.Put(t.Context(), ended(id, 100*w+n, []int{10, 700_000}[r.IntN(2)]))
				}
				if err != nil {
					t.Errorf("%s: %v", id, err)
				}
			}
		})
	}
	all.Wait()
	there := recordsOf(t, a.Store())
	require.ElementsMatch(t, there, recordsOf(t, b.Store()))
	require.NoError(t, a.Store().Delete(t.Context(), "p0", "p1", "p2"))
	require.Empty(t, recordsOf(t, b.Store()))
	for subject := range subjects(t, name+"_STORE") {
		require.NotContains(t, subject, ".c.", "a part of a record that is gone")
	}
}

func TestLargeRecords(t *testing.T) {
	name := newName()
	a, b := open(t, shared, nats.Options{Name: name}), open(t, shared, nats.Options{Name: name})
	parts := func() (n int) {
		for subject := range subjects(t, name+"_STORE") {
			if strings.Contains(subject, ".c.") {
				n++
			}
		}
		return n
	}
	require.NoError(t, a.Store().Put(t.Context(), ended("large", 1, 5<<20)))
	require.Equal(t, 11, parts())
	for _, s := range []flow.Store{a.Store(), b.Store(), open(t, shared, nats.Options{Name: name}).Store()} {
		r, err := s.Get(t.Context(), "large")
		require.NoError(t, err)
		require.Len(t, r.Outputs[0].UI["text"][0], 5<<20)
		require.False(t, r.Reduced)
		require.Equal(t, []string{"large#1"}, recordsOf(t, s))
	}
	require.NoError(t, b.Store().Put(t.Context(), ended("large", 2, 3<<20)))
	require.Equal(t, 7, parts(), "the old parts are deleted")
	require.NoError(t, a.Store().Put(t.Context(), ended("large", 3, 10)))
	require.Equal(t, 0, parts())
	require.NoError(t, a.Store().Put(t.Context(), ended("large", 4, 1<<20)))
	require.NoError(t, b.Store().Delete(t.Context(), "large"))
	require.Equal(t, 0, parts())
}

func TestStoreLimits(t *testing.T) {
	t.Run("len", func(t *testing.T) {
		a, b := two(t, nats.Options{Store: &flow.StoreOptions{Len: 3}})
		for n := range 7 {
			require.NoError(t, []flow.Store{a.Store(), b.Store()}[n%2].Put(t.Context(), ended(fmt.Sprint("p", n), 1, 10)))
		}
		require.Equal(t, []string{"p6#1", "p5#1", "p4#1"}, recordsOf(t, a.Store()))
		require.Equal(t, []string{"p6#1", "p5#1", "p4#1"}, recordsOf(t, b.Store()))
	})
	t.Run("bytes", func(t *testing.T) {
		a, b := two(t, nats.Options{Store: &flow.StoreOptions{Bytes: 100_000, RecordBytes: 90_000}})
		for n := range 6 {
			require.NoError(t, []flow.Store{a.Store(), b.Store()}[n%2].Put(t.Context(), ended(fmt.Sprint("p", n), 1, 30_000)))
		}
		require.Equal(t, []string{"p5#1", "p4#1", "p3#1"}, recordsOf(t, a.Store()))
		require.NoError(t, b.Store().Put(t.Context(), ended("p6", 1, 85_000)))
		require.Equal(t, []string{"p6#1"}, recordsOf(t, a.Store()))
	})
	t.Run("record", func(t *testing.T) {
		a, b := two(t, nats.Options{Store: &flow.StoreOptions{RecordBytes: 10_000}})
		require.NoError(t, a.Store().Put(t.Context(), ended("p", 1, 30_000)))
		r, err := b.Store().Get(t.Context(), "p")
		require.NoError(t, err)
		require.True(t, r.Reduced)
		require.Empty(t, r.Outputs)
		require.Equal(t, nodebus.Succeeded, r.State)
	})
	t.Run("id", func(t *testing.T) {
		a, _ := two(t, nats.Options{})
		id := strings.Repeat("é", 2000)
		require.NoError(t, a.Store().Put(t.Context(), ended(id, 1, 10)))
		r, err := a.Store().Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, id, r.Prompt.ID)
		require.ErrorContains(t, a.Store().Put(t.Context(), ended(id+id, 1, 10)), "the id of the prompt has 8000 bytes")
	})
}

// TestDamagedRecords: a message that cannot be read hides only its own record. The log
// tells it once.
func TestDamagedRecords(t *testing.T) {
	name := newName()
	var out lockedBuffer
	a := open(t, shared, nats.Options{Name: name})
	nc := connect(t, shared)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	require.NoError(t, a.Store().Put(t.Context(), ended("one", 1, 10)))
	for subject, m := range map[string]*natsgo.Msg{
		"no header":    {Subject: name + "_STORE.ia.r", Data: []byte("x")},
		"no JSON":      {Subject: name + "_STORE.ib.r", Header: natsgo.Header{"Nb-Meta": {"{"}}},
		"no record":    {Subject: name + "_STORE.ic.r", Header: natsgo.Header{"Nb-Meta": {`{"id":"c","size":1}`}}, Data: []byte("x")},
		"parts absent": {Subject: name + "_STORE.id.r", Header: natsgo.Header{"Nb-Meta": {`{"id":"d","size":9,"parts":3,"name":"N"}`}}},
		"many parts":   {Subject: name + "_STORE.ie.r", Header: natsgo.Header{"Nb-Meta": {`{"id":"e","size":9,"parts":900000000,"name":"N"}`}}},
		"size":         {Subject: name + "_STORE.if.r", Header: natsgo.Header{"Nb-Meta": {`{"id":"f","size":-1}`}}},
	} {
		_, err := js.PublishMsg(t.Context(), m)
		require.NoError(t, err, subject)
	}
	require.NoError(t, a.Store().Put(t.Context(), ended("two", 1, 10)))
	b := open(t, shared, nats.Options{Name: name, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	for _, s := range []flow.Store{a.Store(), b.Store()} {
		require.Equal(t, []string{"two#1", "one#1"}, recordsOf(t, s))
		for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
			_, err := s.Get(t.Context(), id)
			require.ErrorContains(t, err, "is damaged")
		}
	}
	require.Equal(t, 1, strings.Count(out.String(), "\n"), out.String())
	require.NoError(t, a.Store().Put(t.Context(), ended("a", 5, 10)), "Put replaces it")
	require.NoError(t, b.Store().Put(t.Context(), ended("d", 5, 10)))
	require.NoError(t, b.Store().Delete(t.Context(), "b", "c", "e", "f"))
	for _, s := range []flow.Store{a.Store(), b.Store()} {
		require.ElementsMatch(t, []string{"two#1", "one#1", "a#5", "d#5"}, recordsOf(t, s))
		_, err := s.Get(t.Context(), "b")
		require.ErrorIs(t, err, flow.ErrNotFound)
	}
}

// lockedBuffer is a buffer for a logger.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// comes waits until the logger has written some texts: it is called in a goroutine of its own.
func (b *lockedBuffer) comes(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		for began := time.Now(); !strings.Contains(b.String(), text); time.Sleep(time.Millisecond) {
			require.Less(t, time.Since(began), patience, "%q does not come: %s", text, b)
		}
	}
}

// TestStoreForgets deletes a record so that this process never reads that it is gone, as if
// the process had been away until that had expired: Put must not try to delete the record
// again and again.
func TestStoreForgets(t *testing.T) {
	bus := open(t, shared, nats.Options{Name: newName(), Store: &flow.StoreOptions{Len: 2}})
	s := bus.Store()
	put := func(id string) {
		ctx, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		require.NoError(t, s.Put(ctx, flow.Record{Prompt: &nodebus.Prompt{ID: id}, State: nodebus.Succeeded}))
		require.NoError(t, ctx.Err())
	}
	put("a")
	put("b")
	require.NoError(t, nats.StoreStream(s).Purge(t.Context(), jetstream.WithPurgeSubject("*.ia.r")))
	put("c")
	put("d")
	for id, want := range map[string]error{"b": flow.ErrNotFound, "c": nil, "d": nil} {
		_, err := s.Get(t.Context(), id)
		require.ErrorIs(t, err, want, id)
	}
}
