package client_test

import (
	"context"
	"encoding/json"
	"net/url"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/conform"
)

// conformed is a client of the suite.
type conformed struct{ *client.Client }

// startConformed returns a function that connects a client, over Server-Sent Events if sse
// is true.
func startConformed(sse bool) func(context.Context, conform.ClientStart) (conform.ClientUnderTest, error) {
	return func(ctx context.Context, s conform.ClientStart) (conform.ClientUnderTest, error) {
		since, err := nodebus.ParseCursor(s.Since)
		if err != nil {
			return nil, err
		}
		at, err := url.Parse(s.URL)
		if err != nil {
			return nil, err
		}
		at = at.JoinPath(map[bool]string{false: "ws", true: "events"}[sse])
		c, err := client.Dial(ctx, at.String(), &client.Options{
			ID: s.ID, Since: since, SSE: sse, Retry: s.Retry, PingInterval: s.Ping,
		})
		if err != nil {
			return nil, err
		}
		return conformed{c}, nil
	}
}

func (c conformed) Next(ctx context.Context) (conform.ClientEvent, error) {
	for ev, err := range c.Events(ctx) {
		if err != nil {
			return conform.ClientEvent{}, err
		}
		return conformedEvent(ev)
	}
	return conform.ClientEvent{}, context.Cause(ctx)
}

// conformedEvent returns an event as the suite compares it.
func conformedEvent(ev nodebus.Event) (conform.ClientEvent, error) {
	got := conform.ClientEvent{Type: ev.Payload.EventType(), Cursor: ev.Cursor().String(), PromptID: ev.PromptID, Attempt: ev.Attempt}
	if !ev.Time.IsZero() {
		got.Time = ev.Time.UnixMilli()
	}
	var err error
	switch p := ev.Payload.(type) {
	case nodebus.ProgressText:
		got.Data, err = json.Marshal(map[string]string{"node_id": p.UniqueID, "text": p.Text})
	case nodebus.Preview:
		got.Image = p.Image
		got.Data, err = json.Marshal(map[string]any{
			"node_id": p.UniqueID, "prompt_id": p.PromptID, "display_node_id": p.DisplayID,
			"real_node_id": p.RealID, "image_type": p.ImageType,
		})
	default:
		var f nodebus.Frame
		if f, err = nodebus.JSON.Encode(ev); err == nil && !f.Binary {
			var message struct{ Data json.RawMessage }
			err = json.Unmarshal(f.Data, &message)
			got.Data = message.Data
		}
	}
	return got, err
}

func TestConform(t *testing.T) {
	conform.Client(t, startConformed(false), &conform.ClientClaims{Status: true, Watches: true, Pings: true})
}

// TestConformOfStreams claims no pings: a stream may be silent for 30 s, see TestSilentLine.
func TestConformOfStreams(t *testing.T) {
	conform.Client(t, startConformed(true), &conform.ClientClaims{Stream: true, Status: true, Watches: true})
}
