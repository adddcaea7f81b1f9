package pubsub

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/asaskevich/EventBus"
)

// funcs is the limit: a slice of functions. Listeners cannot be added or removed while
// events are published.
func funcs() bus {
	var on []func(event)
	return bus{
		listen: func(f func(event)) { on = append(on, f) },
		publish: func(e event) {
			for _, f := range on {
				f(e)
			}
		},
	}
}

// copyOnWrite is like funcs, but listeners can be added and removed at any time,
// because the slice is behind an atomic pointer.
func copyOnWrite() bus {
	var on atomic.Pointer[[]func(event)]
	on.Store(new([]func(event)))
	return bus{
		listen: func(f func(event)) {
			next := append(append([]func(event){}, *on.Load()...), f)
			on.Store(&next)
		},
		publish: func(e event) {
			for _, f := range *on.Load() {
				f(e)
			}
		},
	}
}

// channels has a buffered channel and a goroutine for each listener.
func channels() bus {
	var to []chan event
	var readers sync.WaitGroup
	return bus{
		listen: func(f func(event)) {
			c := make(chan event, 1024)
			to = append(to, c)
			readers.Go(func() {
				for e := range c {
					f(e)
				}
			})
		},
		publish: func(e event) {
			for _, c := range to {
				c <- e
			}
		},
		close: func() {
			for _, c := range to {
				close(c)
			}
			readers.Wait()
		},
	}
}

func eventBus() bus {
	b := EventBus.New()
	return bus{
		listen: func(f func(event)) {
			if err := b.Subscribe("progress", f); err != nil {
				panic(err)
			}
		},
		publish: func(e event) { b.Publish("progress", e) },
	}
}

// watermill carries bytes. The bytes are encoded once and never decoded, so the figures
// do not include encoding and decoding.
func watermill(wait bool) bus {
	g := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 1024, BlockPublishUntilSubscriberAck: wait}, nil)
	payload := []byte(`{"type":"progress","data":{"value":3,"max":20,"prompt_id":"` + sample.Prompt + `","node":"17"}}`)
	var readers sync.WaitGroup
	return bus{
		listen: func(f func(event)) {
			c, err := g.Subscribe(context.Background(), "progress")
			if err != nil {
				panic(err)
			}
			readers.Go(func() {
				for m := range c {
					f(event{Max: float64(len(m.Payload))})
					m.Ack()
				}
			})
		},
		publish: func(event) {
			if err := g.Publish("progress", message.NewMessage("", payload)); err != nil {
				panic(err)
			}
		},
		close: func() {
			_ = g.Close()
			readers.Wait()
		},
	}
}
