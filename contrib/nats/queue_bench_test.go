package nats_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// BenchmarkPush compares Push with a bare publish that waits for its acknowledgement, of the
// same bytes, on the same server. The server synchronizes its files, or does not.
func BenchmarkPush(b *testing.B) {
	for _, unsynced := range []bool{false, true} {
		for _, callers := range []int{1, 32} {
			name := fmt.Sprintf("synced=%v/%d callers/", !unsynced, callers)
			b.Run(name+"bare", func(b *testing.B) { barePublish(b, benchServer(b, unsynced), callers) })
			b.Run(name+"push", func(b *testing.B) { pushes(b, benchServer(b, unsynced), callers) })
		}
	}
}

const benchBytes = 1000

func benchServer(b *testing.B, unsynced bool) *embed.Server {
	b.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	s, err := embed.Start(ctx, &embed.Options{Dir: b.TempDir(), Unsynced: unsynced, Logger: quiet})
	require.NoError(b, err)
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// calls makes b.N calls by some callers.
func calls(b *testing.B, callers int, call func(n int64)) {
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

func barePublish(b *testing.B, s *embed.Server, callers int) {
	js, err := jetstream.New(connect(b, s))
	require.NoError(b, err)
	_, err = js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "BARE", Subjects: []string{"BARE.>"}})
	require.NoError(b, err)
	data := make([]byte, benchBytes)
	calls(b, callers, func(n int64) {
		_, err := js.Publish(b.Context(), fmt.Sprint("BARE.", n), data)
		must(err)
	})
}

// roomyQueue has room for every prompt of a benchmark.
var roomyQueue = &flow.QueueOptions{Len: 1 << 40, PerClient: 1 << 40, Bytes: 1 << 50}

func benchPrompt(n int64) *nodebus.Prompt {
	return &nodebus.Prompt{ID: fmt.Sprint(n), Extra: map[string]any{"x": strings.Repeat("x", benchBytes-200)}}
}

func pushes(b *testing.B, s *embed.Server, callers int) {
	q := open(b, s, nats.Options{Name: newName(), Queue: roomyQueue}).Queue()
	calls(b, callers, func(n int64) { must(q.Push(b.Context(), benchPrompt(n), nil)) })
}

// BenchmarkPrompt takes a prompt through the queue: Push, Take and Done.
func BenchmarkPrompt(b *testing.B) {
	for _, unsynced := range []bool{false, true} {
		b.Run(fmt.Sprintf("synced=%v", !unsynced), func(b *testing.B) {
			q := open(b, benchServer(b, unsynced), nats.Options{Name: newName(), Queue: roomyQueue}).Queue()
			calls(b, 1, func(n int64) {
				must(q.Push(b.Context(), benchPrompt(n), nil))
				l, err := q.Take(b.Context(), nobody)
				must(err)
				must(l.Done(b.Context()))
			})
		})
	}
}
