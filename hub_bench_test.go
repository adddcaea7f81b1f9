package nodebus_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
)

// BenchmarkSubscribe sends events to one Subscribe loop, and the same number of events
// over a Go channel, in turns. One op is a batch of both. It reports the nanoseconds
// for each event, from the first send to the last receive, and the ratio of the two.
func BenchmarkSubscribe(b *testing.B) {
	progress := func(n int) nodebus.Payload {
		return nodebus.Progress{Value: float64(n), Max: 4096, PromptID: "prompt", UniqueID: "12"}
	}
	executing := func(int) nodebus.Payload {
		return nodebus.Executing{UniqueID: "12", DisplayID: "12", PromptID: "prompt"}
	}
	for _, prompt := range []string{"", "prompt"} {
		for _, c := range []struct {
			name string
			make func(int) nodebus.Payload
		}{{"progress", progress}, {"executing", executing}} {
			boxed := c.make(1)
			where := map[bool]string{true: "outside", false: "prompt"}[prompt == ""]
			b.Run(fmt.Sprintf("%s/%s/preboxed", c.name, where), func(b *testing.B) {
				benchSubscribe(b, prompt, func(int) nodebus.Payload { return boxed })
			})
			b.Run(fmt.Sprintf("%s/%s/boxing", c.name, where), func(b *testing.B) {
				benchSubscribe(b, prompt, c.make)
			})
		}
	}
}

const benchChunk = 4096

func benchSubscribe(b *testing.B, prompt string, payload func(int) nodebus.Payload) {
	h := openHub(b, nil)
	events := h.Subscribe(b.Context())
	received := make(chan struct{})
	go func() {
		n := 0
		for _, err := range events {
			if err != nil {
				b.Error(err)
			}
			if n++; n%benchChunk == 0 {
				received <- struct{}{}
			}
		}
	}()
	ch := make(chan nodebus.Event, 1024)
	defer close(ch)
	go func() {
		n := 0
		for range ch {
			if n++; n%benchChunk == 0 {
				received <- struct{}{}
			}
		}
	}()
	boxed := payload(1)
	var hub, channel time.Duration
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ReportAllocs()
	chunks := 0
	for b.Loop() {
		chunks++
		begin := time.Now()
		for n := range benchChunk {
			_ = h.Publish(nodebus.Event{PromptID: prompt, Broadcast: prompt == "", Payload: payload(n)})
		}
		<-received
		middle := time.Now()
		for range benchChunk {
			ch <- nodebus.Event{PromptID: prompt, Payload: boxed}
		}
		<-received
		hub += middle.Sub(begin)
		channel += time.Since(middle)
	}
	runtime.ReadMemStats(&after)
	total := float64(chunks) * benchChunk
	b.ReportMetric(float64(hub)/total, "ns/event")
	b.ReportMetric(float64(channel)/total, "channel-ns/event")
	b.ReportMetric(float64(hub)/float64(channel), "×channel")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/total, "allocs/event")
}

// BenchmarkPublish reports the time inside Publish, which is the time a publisher
// waits. Between bursts it waits until all sessions have been written to; only ns/op
// includes that time.
func BenchmarkPublish(b *testing.B) {
	for _, burst := range []int{1, 10} {
		for _, sessions := range []int{0, 1, 100, 1000} {
			for _, kind := range []string{"plain", "try"} {
				if sessions > 0 || kind == "plain" {
					b.Run(fmt.Sprintf("burst-%d/sessions-%d/%s", burst, sessions, kind), func(b *testing.B) {
						benchPublish(b, burst, sessions, kind == "try")
					})
				}
			}
		}
	}
}

// meter counts the frames that its transports receive, and signals when the wanted
// number is reached.
type meter struct {
	left atomic.Int64
	done chan struct{}
}

func (m *meter) add(n int) {
	if m.left.Add(-int64(n)) == 0 {
		m.done <- struct{}{}
	}
}

type meteredHole struct {
	hole
	*meter
}

func (p meteredHole) Write(_ context.Context, frames []nodebus.Frame) error {
	p.add(len(frames))
	return nil
}

type meteredTryHole struct{ meteredHole }

func (p meteredTryHole) AppendFrame(dst []byte, f nodebus.Frame) []byte {
	return append(append(dst, 0x81, byte(len(f.Data))), f.Data...)
}

func (p meteredTryHole) TryWrite(wire []byte) (bool, error) {
	n := 0
	for ; len(wire) > 0; n++ {
		wire = wire[2+int(wire[1]):]
	}
	p.add(n)
	return true, nil
}

// joinMany joins sessions that read at once.
func joinMany(b *testing.B, h *nodebus.Hub, sessions int, m *meter, try bool) {
	for n := range sessions {
		var t nodebus.Transport = meteredHole{meter: m}
		if try {
			t = meteredTryHole{meteredHole{meter: m}}
		}
		serveOn(b, h.Join(fmt.Sprint("client ", n), nil), t)
	}
	m.expect(sessions)
	publish(b, h, nodebus.Event{Broadcast: true, Payload: word("hello")})
	if sessions > 0 {
		<-m.done
	}
}

func (m *meter) expect(n int) { m.left.Store(int64(n)) }

func benchPublish(b *testing.B, burst, sessions int, try bool) {
	h := openHub(b, nil)
	m := &meter{done: make(chan struct{}, 1)}
	joinMany(b, h, sessions, m, try)
	var p nodebus.Payload = nodebus.Executing{UniqueID: "12", DisplayID: "12", PromptID: "prompt"}
	var inside time.Duration
	events := 0
	b.ReportAllocs()
	for b.Loop() {
		m.expect(burst * sessions)
		begin := time.Now()
		for range burst {
			_ = h.Publish(nodebus.Event{Broadcast: true, Payload: p})
		}
		inside += time.Since(begin)
		if events += burst; sessions > 0 {
			<-m.done
		}
	}
	b.ReportMetric(float64(inside)/float64(events), "ns-inside/event")
	b.ReportMetric(float64(b.Elapsed())/float64(events*max(sessions, 1)), "ns/delivery")
}

// BenchmarkIdleSession reports the memory of a session that has received an event and
// now waits.
func BenchmarkIdleSession(b *testing.B) {
	for _, try := range []bool{false, true} {
		b.Run(fmt.Sprintf("try=%t", try), func(b *testing.B) {
			const sessions = 2000
			var heap, stack float64
			for b.Loop() {
				h := nodebus.NewHub(&nodebus.HubOptions{KeepLen: 1})
				// Do not count the memory for the first session and for frames.
				joinMany(b, h, 1, &meter{done: make(chan struct{}, 1)}, try)
				m := &meter{done: make(chan struct{}, 1)}
				before := memory()
				joinMany(b, h, sessions, m, try)
				m.expect(501 * sessions)
				for range 500 {
					publish(b, h, nodebus.Event{Broadcast: true, Payload: word("hello")})
				}
				publish(b, h, nodebus.Event{Broadcast: true, Payload: word("last")})
				<-m.done
				after := memory()
				heap += float64(after.HeapAlloc) - float64(before.HeapAlloc)
				stack += float64(after.StackInuse) - float64(before.StackInuse)
				_ = h.Close()
			}
			b.ReportMetric(heap/float64(b.N)/sessions, "heap-B/session")
			b.ReportMetric(stack/float64(b.N)/sessions, "stack-B/session")
		})
	}
}

func memory() (m runtime.MemStats) {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m
}
