package bolt_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// BenchmarkPush compares Push with a bare durable append of the same bytes to a bucket of
// bbolt, by 1 caller and by 32 callers at the same time.
func BenchmarkPush(b *testing.B) {
	for _, size := range []int{1_000, 20_000} {
		for _, callers := range []int{1, 32} {
			b.Run(fmt.Sprintf("%d bytes/%d callers/bare", size, callers), func(b *testing.B) { bareAppend(b, size, callers) })
			b.Run(fmt.Sprintf("%d bytes/%d callers/push", size, callers), func(b *testing.B) { pushes(b, size, callers) })
		}
	}
}

func benchPath(b *testing.B) string { return b.TempDir() + "/nodebus.db" }

// parallel makes b.N calls by some callers.
func parallel(b *testing.B, callers int, call func(n int64)) {
	b.Helper()
	var n atomic.Int64
	b.ResetTimer()
	done := make(chan struct{})
	for range callers {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				call(i)
			}
		}()
	}
	for range callers {
		<-done
	}
	b.StopTimer()
}

func bareAppend(b *testing.B, size, callers int) {
	db, err := bbolt.Open(benchPath(b), 0o600, nil)
	require.NoError(b, err)
	defer db.Close()
	name := []byte("b")
	require.NoError(b, db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket(name); return err }))
	value := make([]byte, size)
	parallel(b, callers, func(n int64) {
		must(db.Update(func(tx *bbolt.Tx) error {
			return tx.Bucket(name).Put(binary.BigEndian.AppendUint64(nil, uint64(n)), value)
		}))
	})
}

func pushes(b *testing.B, size, callers int) {
	db, err := bolt.Open(benchPath(b), &bolt.Options{Queue: &flow.QueueOptions{Len: 1 << 40, PerClient: 1 << 40, Bytes: 1 << 50}})
	require.NoError(b, err)
	defer db.Close()
	q, text := db.Queue(), strings.Repeat("x", size-200)
	parallel(b, callers, func(n int64) {
		must(q.Push(b.Context(), &nodebus.Prompt{ID: fmt.Sprint(n), Extra: map[string]any{"x": text}}, nil))
	})
}

// BenchmarkPrompt takes a prompt through the queue, the store and the signals, as an engine
// does.
func BenchmarkPrompt(b *testing.B) {
	for _, callers := range []int{1, 32} {
		b.Run(fmt.Sprintf("%d callers", callers), func(b *testing.B) {
			db, err := bolt.Open(benchPath(b), nil)
			require.NoError(b, err)
			defer db.Close()
			q := db.Queue()
			parallel(b, callers, func(n int64) {
				must(q.Push(b.Context(), &nodebus.Prompt{ID: fmt.Sprint(n)}, nil))
				l, err := q.Take(b.Context(), func(string) bool { return false })
				must(err)
				p := l.Job().Prompt
				must(db.Store().Put(b.Context(), flow.Record{Prompt: p, State: nodebus.Succeeded}))
				must(l.Done(b.Context()))
				must(db.Signals().Drop(b.Context(), p.ID))
			})
		})
	}
}
