package nats_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// safeServer starts a server that writes to the disk before it acknowledges.
func safeServer(b *testing.B) *embed.Server {
	s, err := embed.Start(b.Context(), &embed.Options{Dir: b.TempDir(), Logger: quiet})
	require.NoError(b, err)
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// BenchmarkPut compares Put with a bare durable publish of the same bytes, by 1 caller and
// by 32 callers at the same time.
func BenchmarkPut(b *testing.B) {
	for _, callers := range []int{1, 32} {
		b.Run(fmt.Sprintf("%d callers/bare", callers), func(b *testing.B) {
			s := safeServer(b)
			js, err := jetstream.New(s.Conn())
			require.NoError(b, err)
			_, err = js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "B", Subjects: []string{"B.*"}})
			require.NoError(b, err)
			data := []byte(text(ended("p", 1, 1000)))
			inParallel(b, callers, func(n int64) error {
				_, err := js.Publish(b.Context(), fmt.Sprint("B.", n), data)
				return err
			})
		})
		b.Run(fmt.Sprintf("%d callers/put", callers), func(b *testing.B) {
			bus := open(b, safeServer(b), nats.Options{Name: "B", Store: &flow.StoreOptions{Len: 1 << 40, Bytes: 1 << 50}})
			inParallel(b, callers, func(n int64) error { return bus.Store().Put(b.Context(), ended(fmt.Sprint("p", n), 1, 1000)) })
		})
	}
}

// inParallel makes b.N calls by some callers.
func inParallel(b *testing.B, callers int, call func(n int64) error) {
	b.Helper()
	var n atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	for range callers {
		all.Go(func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				if err := call(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
}

// BenchmarkList lists 1000 records.
func BenchmarkList(b *testing.B) {
	bus := open(b, shared, nats.Options{Name: newName()})
	for n := range 1000 {
		require.NoError(b, bus.Store().Put(b.Context(), ended(fmt.Sprint("p", n), 1, 1000)))
	}
	for b.Loop() {
		n := 0
		for _, err := range bus.Store().List(b.Context()) {
			require.NoError(b, err)
			n++
		}
		require.Equal(b, 1000, n)
	}
}

// BenchmarkSend sends to a receiver in this process, in another process, and to nobody.
func BenchmarkSend(b *testing.B) {
	for _, where := range []string{"here", "there", "nobody"} {
		b.Run(where, func(b *testing.B) {
			s, opts := safeServer(b), nats.Options{Name: "B", Signals: &flow.SignalsOptions{PromptLen: 1 << 40, PromptBytes: 1 << 50, Bytes: 1 << 50}}
			x, y := open(b, s, opts), open(b, s, opts)
			f := func(flow.Signal) error { return nil }
			var err error
			switch where {
			case "here":
				_, err = x.Signals().Receive("p", f)
			case "there":
				_, err = y.Signals().Receive("p", f)
			}
			require.NoError(b, err)
			for b.Loop() {
				require.NoError(b, x.Signals().Send(b.Context(), named("x")))
			}
		})
	}
}
