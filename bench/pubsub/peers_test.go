package pubsub

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/asaskevich/EventBus"
)

// funcs is the limit: a slice of functions, and nothing that would allow
// listeners to come and go.
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

// copyOnWrite is the same behind an atomic pointer, so that they may.
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

// channels is a buffered channel and a goroutine per listener.
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

// watermill carries bytes. What is in them is made once and not looked at, so
// that encoding and decoding are not in its figures.
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
