package nats_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/stretchr/testify/require"
)

// note is an event that no other event replaces. Its frame has about 100 bytes.
type note struct {
	Text string `json:"text"`
	N    int    `json:"n"`
}

func (note) EventType() string { return "bench.note" }

const noteText = "a line of text that a node says while it works, of usual length"

func noteEvent(n int) nodebus.Event { return about("prompt", note{noteText, n}) }

// noteBytes is the frame of a note.
func noteBytes(b *testing.B) []byte {
	f, err := nodebus.JSON.Encode(noteEvent(1))
	require.NoError(b, err)
	return f.Data
}

// synced runs f with a server that acknowledges when the disk has a message, and with one
// that acknowledges earlier.
func synced(b *testing.B, f func(b *testing.B, s *embed.Server)) {
	for name, unsynced := range map[string]bool{"synced": false, "unsynced": true} {
		b.Run(name, func(b *testing.B) {
			s, err := embed.Start(b.Context(), &embed.Options{Dir: b.TempDir(), Unsynced: unsynced, Logger: quiet})
			require.NoError(b, err)
			b.Cleanup(func() { _ = s.Close() })
			f(b, s)
		})
	}
}

// BenchmarkLogEvents publishes through a hub until a follower has all events. Bare publishes
// as many messages of the same bytes, up to 4000 at once, until all are acknowledged.
func BenchmarkLogEvents(b *testing.B) {
	synced(b, func(b *testing.B, s *embed.Server) {
		for _, publishers := range []int{1, 8} {
			b.Run(fmt.Sprint("log/publishers=", publishers), func(b *testing.B) {
				l := open(b, s, nats.Options{Name: newName()}).Log()
				hub := nodebus.NewHub(&nodebus.HubOptions{Log: l})
				defer func() { _ = hub.Close() }()
				all := awaitEvents(b, l, b.N)
				b.ReportAllocs()
				b.ResetTimer()
				var publishing sync.WaitGroup
				for p := range publishers {
					publishing.Go(func() {
						for n := p; n < b.N; n += publishers {
							if err := hub.Publish(noteEvent(n)); err != nil {
								b.Error(err)
							}
						}
					})
				}
				publishing.Wait()
				<-all
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
		b.Run("bare", func(b *testing.B) {
			js, subject := bareStream(b, s)
			data := noteBytes(b)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				_, err := js.PublishAsync(subject, data, jetstream.WithStallWait(time.Minute))
				require.NoError(b, err)
			}
			<-js.PublishAsyncComplete()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	})
}

// awaitEvents returns a channel that is closed when a log has passed on n events.
func awaitEvents(b *testing.B, l nodebus.Log, n int) <-chan struct{} {
	all := make(chan struct{})
	_, stop, err := l.Follow(func(nodebus.Event) {
		if n--; n == 0 {
			close(all)
		}
	})
	require.NoError(b, err)
	b.Cleanup(stop)
	return all
}

// bareStream makes a stream without this package.
func bareStream(b *testing.B, s *embed.Server) (jetstream.JetStream, string) {
	js, err := jetstream.New(connect(b, s), jetstream.WithPublishAsyncMaxPending(4000))
	require.NoError(b, err)
	name := newName() + "_BARE"
	_, err = js.CreateStream(b.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{name + ".events"}, MaxBytes: 512 << 20})
	require.NoError(b, err)
	return js, name + ".events"
}

// BenchmarkLogLatency publishes an event and waits until a follower has it, in the process
// itself and in another one. Bare waits for the acknowledgement of a message.
func BenchmarkLogLatency(b *testing.B) {
	synced(b, func(b *testing.B, s *embed.Server) {
		opts := nats.Options{Name: newName()}
		here, there := open(b, s, opts).Log(), open(b, s, opts).Log()
		for name, l := range map[string]nodebus.Log{"here": here, "there": there} {
			b.Run(name, func(b *testing.B) {
				heard := make(chan struct{}, 1)
				_, stop, err := l.Follow(func(nodebus.Event) { heard <- struct{}{} })
				require.NoError(b, err)
				defer stop()
				for n := 0; b.Loop(); n++ {
					require.NoError(b, here.Append(noteEvent(n)))
					<-heard
				}
			})
		}
		b.Run("bare", func(b *testing.B) {
			js, subject := bareStream(b, s)
			data := noteBytes(b)
			for b.Loop() {
				_, err := js.Publish(b.Context(), subject, data)
				require.NoError(b, err)
			}
		})
	})
}

// received counts the frames that a session writes.
type received struct {
	want int
	all  chan struct{}
}

// Write implements [nodebus.Transport].
func (r *received) Write(_ context.Context, frames []nodebus.Frame) error {
	if r.want -= len(frames); r.want <= 0 {
		close(r.all)
		r.want = 1 << 62
	}
	return nil
}

// Close implements [nodebus.Transport].
func (r *received) Close(error) error { return nil }

// BenchmarkResume lets a client receive 1000 events that it has missed, at the hub of another
// process. Bare makes a consumer of as many messages for it.
func BenchmarkResume(b *testing.B) {
	const missed = 1000
	opts := nats.Options{Name: newName()}
	here, there := open(b, shared, opts).Log(), open(b, shared, opts).Log()
	hub := nodebus.NewHub(&nodebus.HubOptions{Log: there})
	b.Cleanup(func() { _ = hub.Close() })
	at, stop, err := here.Follow(func(nodebus.Event) {})
	require.NoError(b, err)
	stop()
	all := awaitEvents(b, there, missed)
	for n := range missed {
		require.NoError(b, here.Append(noteEvent(n)))
	}
	<-all
	b.Run("log", func(b *testing.B) {
		for b.Loop() {
			ctx, leave := context.WithCancel(b.Context())
			r, over := &received{missed, make(chan struct{})}, make(chan struct{})
			session := hub.Join("ann", &nodebus.SessionOptions{Since: at})
			go func() {
				defer close(over)
				_ = session.Serve(ctx, r)
			}()
			<-r.all
			leave()
			<-over
		}
	})
	b.Run("bare", func(b *testing.B) {
		js, subject := bareStream(b, shared)
		for range missed {
			_, err := js.PublishAsync(subject, noteBytes(b))
			require.NoError(b, err)
		}
		<-js.PublishAsyncComplete()
		stream, err := js.StreamNameBySubject(b.Context(), subject)
		require.NoError(b, err)
		for b.Loop() {
			c, err := js.OrderedConsumer(b.Context(), stream, jetstream.OrderedConsumerConfig{})
			require.NoError(b, err)
			messages, err := c.Messages()
			require.NoError(b, err)
			for range missed {
				_, err := messages.Next()
				require.NoError(b, err)
			}
			messages.Stop()
		}
	})
}

// BenchmarkOpen opens a bus whose log has 100 000 events.
func BenchmarkOpen(b *testing.B) {
	opts := nats.Options{Name: newName(), Log: &nodebus.HubOptions{KeepLen: 200_000, KeepBytes: 1 << 30}}
	l := open(b, shared, opts).Log()
	for n := range 100_000 {
		require.NoError(b, l.Append(noteEvent(n)))
	}
	ctx, stop := context.WithTimeout(b.Context(), time.Minute)
	defer stop()
	require.NoError(b, nats.Flush(ctx, l))
	opts.Logger, opts.LogBytes = quiet, 64<<20
	for b.Loop() {
		bus, err := nats.Open(b.Context(), shared.Conn(), &opts)
		require.NoError(b, err)
		b.StopTimer()
		require.NoError(b, bus.Close())
		b.StartTimer()
	}
}

// BenchmarkStart starts a server and opens a bus on it for the first time.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s, err := embed.Start(b.Context(), &embed.Options{Dir: b.TempDir(), Logger: quiet})
		require.NoError(b, err)
		bus, err := nats.Open(b.Context(), s.Conn(), &nats.Options{LogBytes: 64 << 20, Logger: quiet})
		require.NoError(b, err)
		b.StopTimer()
		require.NoError(b, bus.Close())
		require.NoError(b, s.Close())
		b.StartTimer()
	}
}
