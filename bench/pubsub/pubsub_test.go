package pubsub

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/nodebus/nodebus/bench/internal/measure"
	"github.com/nodebus/nodebus/internal/leak"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// TestEveryListenerHasEveryEvent ends only if no event is lost. The counts show that no
// event came twice.
func TestEveryListenerHasEveryEvent(t *testing.T) {
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			g := newGang(p.make(), 3)
			for range 500 {
				g.send(sample)
			}
			g.end()
			for i := range g.counters {
				require.EqualValues(t, 500, g.counters[i].n.Load())
			}
		})
	}
}

func TestPayloadsCarryTheEvent(t *testing.T) {
	for _, ev := range []struct {
		name string
		e    event
	}{
		{"progress", unwrap(progress(sample).Payload)},
		{"own", unwrap(ownPayload(sample).Payload)},
	} {
		require.Equal(t, sample, ev.e, ev.name)
	}
}

// BenchmarkPublish reports nanoseconds and CPU nanoseconds per event, until every
// listener has run.
func BenchmarkPublish(b *testing.B) {
	for _, listeners := range []int{1, 10, 100} {
		for _, p := range peers {
			b.Run(fmt.Sprintf("listeners=%d/peer=%s", listeners, p.name), func(b *testing.B) {
				g := newGang(p.make(), listeners)
				b.ReportAllocs()
				user, system := measure.CPU()
				began := time.Now()
				for b.Loop() {
					g.send(sample)
				}
				g.wait(g.sent)
				wall := time.Since(began)
				user2, system2 := measure.CPU()
				g.end()
				n := float64(b.N)
				b.ReportMetric(float64(wall)/n, "ns/event")
				b.ReportMetric(float64(user2-user+system2-system)/n, "cpu-ns/event")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
