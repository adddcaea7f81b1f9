package pubsub

import (
	"context"
	"sync"

	"github.com/nodebus/nodebus"
)

// hub returns a nodebus.Hub with default options. Each listener is a Subscribe.
func hub(wrap func(event) nodebus.Event) bus {
	h := nodebus.NewHub(nil)
	ctx, cancel := context.WithCancel(context.Background())
	var readers sync.WaitGroup
	return bus{
		listen: func(f func(event)) {
			events := h.Subscribe(ctx)
			readers.Go(func() {
				for ev, err := range events {
					if err != nil {
						panic(err)
					}
					f(unwrap(ev.Payload))
				}
			})
		},
		publish: func(e event) {
			if err := h.Publish(wrap(e)); err != nil {
				panic(err)
			}
		},
		close: func() {
			cancel()
			readers.Wait()
			if err := h.Close(); err != nil {
				panic(err)
			}
		},
	}
}

func unwrap(p nodebus.Payload) event {
	switch p := p.(type) {
	case nodebus.Progress:
		return event{p.PromptID, p.UniqueID, p.Value, p.Max}
	case own:
		return event{p.Prompt, p.Node, float64(p.Value), float64(p.Max)}
	}
	return event{}
}

// own is a custom payload. It has no floats, because encoding a float can fail. So the
// hub encodes the payload only if a client needs it.
type own struct {
	Prompt, Node string
	Value, Max   int
}

func (own) EventType() string { return "bench.own" }

func progress(e event) nodebus.Event {
	return nodebus.Event{Broadcast: true, Payload: nodebus.Progress{Value: e.Value, Max: e.Max, PromptID: e.Prompt, UniqueID: e.Node}}
}

func progressOfPrompt(e event) nodebus.Event {
	ev := progress(e)
	ev.PromptID = e.Prompt
	return ev
}

func ownPayload(e event) nodebus.Event {
	return nodebus.Event{Broadcast: true, Payload: own{e.Prompt, e.Node, int(e.Value), int(e.Max)}}
}

func ownPayloadOfPrompt(e event) nodebus.Event {
	ev := ownPayload(e)
	ev.PromptID = e.Prompt
	return ev
}
