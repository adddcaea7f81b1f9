package client_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// TestWaitsGrowWhileConnectionsBreak: a server that greets and closes at once is asked less
// and less often. An event after the greeting ends that.
func TestWaitsGrowWhileConnectionsBreak(t *testing.T) {
	for name, cursors := range map[string]bool{"cursors": true, "no cursors": false} {
		t.Run(name, func(t *testing.T) { waitsGrow(t, cursors) })
	}
}

func waitsGrow(t *testing.T, cursors bool) {
	greeting := ""
	if cursors {
		greeting = "e-1"
	}
	s := &script{}
	onPipes(t, func(*nodebus.Hub) http.Handler {
		s.accepted = make(chan *scripted, 10)
		return s.handler()
	}, func(t *testing.T, p *pipes) {
		var waits []time.Duration
		go func() {
			for i := range 12 {
				began := time.Now()
				on := <-s.accepted
				if i > 0 {
					waits = append(waits, time.Since(began))
				}
				on.greets(t, greeting)
				if i == 8 {
					on.says(t, `{"type":"n","data":1}`)
				}
				if i == 11 {
					on.says(t, `{"type":"mark","data":1}`)
					return
				}
				_ = on.Close(1001, "going")
			}
		}()
		c := p.dial(t, client.Options{ID: "me", Retry: time.Second})
		for ev, err := range c.Events(t.Context()) {
			require.NoError(t, err)
			if ev.Payload.EventType() == "mark" {
				break
			}
		}
		const s = time.Second
		require.Equal(t, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 32 * s, 32 * s, s, 2 * s, 4 * s}, waits)
	})
}
