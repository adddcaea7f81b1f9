package client_test

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// TestFollowAForgottenPrompt: a server that was started anew has no record of the prompt, and
// does not run it. Follow ends with an error if the client knows that the prompt was there.
func TestFollowAForgottenPrompt(t *testing.T) {
	empty := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/queue" {
			_, _ = w.Write([]byte(`{"queue_running":[],"queue_pending":[]}`))
			return
		}
		_, _ = w.Write([]byte(`{}`))
	}
	for name, k := range map[string]struct {
		keep, event, known bool
	}{
		"submitted here":    {keep: true, known: true},
		"had an event":      {event: true, known: true},
		"both":              {true, true, true},
		"not submitted yet": {},
	} {
		t.Run(name, func(t *testing.T) {
			bubbled(t, client.Options{PingInterval: -1}, "e-1", func(t *testing.T, c *client.Client, on *scripted, s *script) {
				if k.keep {
					c.Keep("p")
				}
				says := func() {
					if k.event {
						on.says(t, `{"type":"execution_start","data":{"prompt_id":"p"},"cursor":"e-2"}`)
					}
					time.Sleep(time.Minute)
					s.serve(empty)
					_ = on.CloseNow()
					on = <-s.accepted
					on.greets(t, "f-1")
					on.says(t, `{"type":"nodebus.gap","data":{"since":0,"next":1},"cursor":"f-1"}`)
					for range 2 {
						select {
						case m := <-on.heard:
							id := regexp.MustCompile(`"prompt_id":"([^"]*)"`).FindStringSubmatch(m)[1]
							on.says(t, `{"type":"nodebus.watching","data":{"prompt_id":%q,"watching":false}}`, id)
						case <-time.After(time.Hour):
						}
					}
					if !k.known {
						on.says(t, `{"type":"executing","data":{"node":null,"prompt_id":"p"},"cursor":"f-2"}`)
					}
				}
				go says()
				for range 2 { // the second Follow does not wait, either
					var got []string
					var last error
					for ev, err := range c.Follow(t.Context(), "p") {
						if last = err; err == nil {
							got = append(got, ev.Payload.EventType())
						}
					}
					if !k.known {
						require.NoError(t, last)
						require.Equal(t, []string{"nodebus.gap", "executing"}, got)
						return
					}
					require.ErrorIs(t, last, client.ErrNotFound)
				}
			})
		})
	}
}

// TestFollowOverANewProcess: the same with a real server, while loops run.
func TestFollowOverANewProcess(t *testing.T) {
	for _, sse := range []bool{false, true} {
		t.Run(map[bool]string{false: "socket", true: "stream"}[sse], func(t *testing.T) {
			first, site := newHost(t, nil), newFront(t)
			site.now.Store(first)
			c := dial(t, site.URL+map[bool]string{false: "/ws", true: "/events"}[sse], &client.Options{SSE: sse, Retry: time.Millisecond})
			lost, waits := submit(t, c, node("Rest")), submit(t, c, node("Say"))
			begun(t, c, lost)
			errs := make(chan error, 2)
			for _, id := range []string{lost, waits} {
				go func() {
					var last error
					for _, err := range c.Follow(deadline(t), id) {
						last = err
					}
					errs <- last
				}()
			}
			site.now.Store(nil)
			require.NoError(t, first.hub.Close())
			require.NoError(t, first.server.Close())
			site.now.Store(newHost(t, nil))
			for range 2 {
				require.ErrorIs(t, <-errs, client.ErrNotFound)
			}
			o, err := c.Wait(deadline(t), submit(t, c, node("Fail")))
			require.NoError(t, err)
			require.Equal(t, nodebus.Failed, o.State)
		})
	}
}
